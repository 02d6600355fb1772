"""The files of a run, each read once and only where it is there. Nothing is assumed whole: the run may still be going on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.recipe.policy import kept_out
from acc.records.scores import SCORES, Score, read_scores
from acc.report.answers import Answers
from acc.stage.manifest import Manifest, read_manifest

STAGES = ("compile", "pack", "train", "evaluate")
CHECKPOINT_MARKER = "acc_checkpoint.json"
CONDITIONS = ("full", "no_support", "exchanged", "question_only")


@dataclass
class RunFiles:
    """A run's folder, opened lazily.

    Args:
        folder: runs/<name>.

    Raises:
        UserError: there is no such folder, or it holds nothing of a run.
    """

    folder: Path
    torn: list[str] = field(default_factory=list)
    """What could not be read and was left out, as sentences; the page says them."""

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError("there is no such run", where=str(self.folder), mend="Name a folder under runs/")
        if not any((self.folder / name).exists() for name in ("recipe.json", "synth", *STAGES)):
            raise UserError(
                "this folder holds no run (neither recipe.json nor a stage)",
                where=str(self.folder),
                mend="Name a folder that `acc run` wrote, runs/<name>",
            )

    @property
    def name(self) -> str:
        return str(self.recipe.get("name") or self.folder.resolve().name)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe as plain data; empty where there is none."""
        path = self.folder / "recipe.json"
        if not path.is_file():
            return {}
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as e:
            raise UserError(f"this is not JSON ({e})", where=str(path), mend="Run `acc run` again") from e
        return data if isinstance(data, dict) else {}

    @property
    def sources(self) -> list[dict[str, Any]]:
        return [s for s in self.recipe.get("sources") or [] if isinstance(s, dict)]

    @property
    def synthetic_sources(self) -> set[str]:
        """Names of the sources that are simulated."""
        return {str(s.get("name")) for s in self.sources if s.get("synth")}

    @cached_property
    def kept_out(self) -> frozenset[str]:
        """Names of the sources whose policy keeps their text out of reports."""
        compiled = self.manifests.get("compile")
        return kept_out([*self.sources, *(compiled.recipe.get("sources") or [] if compiled else [])])

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Every stage's manifest that is there, by folder relative to the run ("compile", "synth/wiki")."""
        folders = [p for p in sorted((self.folder / "synth").glob("*")) if p.is_dir()]
        folders += [self.folder / s for s in STAGES]
        found = {str(f.relative_to(self.folder)): read_manifest(f) for f in folders}
        return {name: m for name, m in found.items() if m is not None}

    @property
    def samples(self) -> Path | None:
        return self._there("compile/samples.parquet")

    def rejections(self, stage: str) -> Path | None:
        """The stage's rejections.parquet."""
        return self._there(f"{stage}/rejections.parquet")

    @property
    def packed(self) -> Path | None:
        """The pack folder, if its tables are whole."""
        folder = self.folder / "pack"
        return folder if all((folder / n).is_file() for n in ("documents.arrow", "sequences.arrow")) else None

    @cached_property
    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints that are whole."""
        markers = (self.folder / "train").glob(f"checkpoint-*/{CHECKPOINT_MARKER}")
        steps = [m.parent.name.removeprefix("checkpoint-") for m in markers]
        return sorted(int(s) for s in steps if s.isdigit())

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The training log's lines with a loss, by step; of a step logged again after a resume, the last."""
        path = self._there("train/log.jsonl")
        lines = {int(r["step"]): r for _, r in self.lines(path) if "loss" in r and "step" in r} if path else {}
        return [lines[step] for step in sorted(lines)]

    @cached_property
    def scores(self) -> list[Score]:
        path = self.folder / "evaluate" / SCORES
        try:
            return read_scores(path)
        except (ValueError, TypeError, KeyError) as e:
            raise UserError(
                f"a score cannot be read ({e})", where=str(path), mend="Remove the broken line, or evaluate again"
            ) from e

    @cached_property
    def best(self) -> int | None:
        """The step that `train.best` chose, if it chose one."""
        path = self._there("train/best.json")
        try:
            step = json.loads(path.read_text(encoding="utf-8"))["step"] if path else None
        except (ValueError, KeyError, TypeError):
            self._note("an unreadable train/best.json")
            return None
        return step if isinstance(step, int) else None

    @cached_property
    def answers(self) -> dict[str, dict[int, Answers]]:
        """Suite → step → its responses, indexed."""
        found: dict[str, dict[int, Answers]] = {}
        for path in sorted((self.folder / "evaluate" / "responses").glob("*/*.jsonl")):
            if path.parent.name.isdigit():
                own = found.setdefault(path.stem, {}).setdefault(int(path.parent.name), Answers(path))
                for offset, line in self.lines(path):
                    own.add(offset, line)
        return {suite: dict(sorted(steps.items())) for suite, steps in found.items()}

    @property
    def held_out_rows(self) -> dict[int, list[dict[str, Any]]]:
        """Held-out results question by question, by step: rows of `acc.report.answers.HELD_OUT`."""
        return {step: answers.held_out for step, answers in self.answers.get("held_out", {}).items()}

    def _there(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None

    def lines(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a JSON Lines file, each with the offset of its line, bytes.

        A line that is none (the last one, of a run that was killed) is noted.
        """
        broken = offset = 0
        with path.open("rb") as f:
            for line in f:
                try:
                    row = json.loads(line.decode("utf-8", "replace")) if line.strip() else None
                except ValueError:
                    row = ()
                if isinstance(row, dict):
                    yield offset, row
                elif row is not None:
                    broken += 1
                offset += len(line)
        if broken:
            self._note(f"{broken} broken {'line' if broken == 1 else 'lines'} in {path.relative_to(self.folder)}")

    def _note(self, what: str) -> None:
        """Say once that something was left out."""
        if what not in self.torn:
            self.torn.append(what)
