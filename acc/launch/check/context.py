"""What every family of checks is given: the recipe, its run's folder, this machine, the hub, the student's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from acc.errors import UserError
from acc.launch.check.config import Student, read_student
from acc.launch.check.hub import Hub
from acc.launch.check.machine import Machine
from acc.recipe import Recipe
from acc.stage.manifest import Manifest, read_manifest


@dataclass(frozen=True)
class Context:
    """One check of one recipe.

    Args:
        runs: the folder of runs.
        offline: ask nothing beyond this machine.
    """

    recipe: Recipe
    runs: Path
    machine: Machine
    offline: bool = False

    @property
    def folder(self) -> Path:
        """The run's folder; it may not be there yet."""
        return self.runs / self.recipe.name

    @property
    def trains(self) -> bool:
        """Whether the recipe trains; else it only evaluates."""
        return bool(self.recipe.sources)

    @property
    def world(self) -> int:
        """Processes over all nodes, number: those of the launcher that started this one, else as the recipe says."""
        launched = self.machine.environment.get("WORLD_SIZE", "")
        return int(launched) if launched.isdigit() and int(launched) else self.planned_world

    @property
    def planned_world(self) -> int:
        """Processes over all nodes as the section launch says, number."""
        return self.recipe.launch.nodes * self.recipe.launch.processes

    @cached_property
    def hub(self) -> Hub:
        return Hub(self.machine.environment, offline=self.offline)

    @cached_property
    def student(self) -> Student | None:
        """The student's configuration; None where it can't be had (`acc.launch.check.student` says why)."""
        try:
            return read_student(self.recipe, self.hub)
        except UserError:
            return None

    @cached_property
    def compiled(self) -> Manifest | None:
        """The account of the run's compile stage, where it has ended."""
        try:
            return read_manifest(self.folder / "compile")
        except UserError:
            return None

    @cached_property
    def packed(self) -> Manifest | None:
        """The account of the run's pack stage, where it has ended."""
        try:
            return read_manifest(self.folder / "pack")
        except UserError:
            return None

    @property
    def longest(self) -> int:
        """The longest document there is, or, before pack, that there can be, tokens."""
        if self.packed is not None:
            return int(self.packed.counts.get("longest_document", 0))
        compiled = all(source.target in ("acc", "answer_only") for source in self.recipe.sources)
        return self.recipe.compile.budget_tokens if compiled else self.recipe.pack.length
