"""Compile: trajectories → samples. Evidence and distractors are taken, shuffled and put into one prompt within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acc.recipe import Recipe
from acc.stage.manifest import Manifest

if TYPE_CHECKING:
    from acc.compile.teacher import Estimate

__all__ = ["dry_run", "run"]


def run(recipe: Recipe, inputs: Mapping[str, Sequence[Path]], out: Path) -> Manifest:
    """Compile the trajectories of all sources into `out`; see `acc.compile.pipeline.run`."""
    from acc.compile.pipeline import run as run_stage

    recipe.check_sources()
    return run_stage(recipe, inputs, out)


def dry_run(recipe: Recipe, inputs: Mapping[str, Sequence[Path]], out: Path) -> Estimate:
    """Say what asking the recipe's teacher will cost; see `acc.compile.pipeline.dry_run`."""
    from acc.compile.pipeline import dry_run as estimate_stage

    recipe.check_sources()
    return estimate_stage(recipe, inputs, out)
