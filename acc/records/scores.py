"""Scores: one `scores.jsonl` a run, whoever writes it (the training processes, a watcher, a batch job)."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCORES = "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Score:
    """One number about one model: a mean over rows with its bootstrap 95% interval.

    `step` is the checkpoint's global step, 0 for the base. `benchmark` is "mrcr", "graphwalks", "held_out"…, `metric` the
    rule by name ("official", "precision", "exact", "nll"), `condition` what the model was shown ("full", "no_support",
    "question_only"), `group` a slice ("all", "2needle", "parents", a length bin, a domain). `synthetic` rows are never the
    benchmark. `screen` says that only the rows of `evaluate.screen` were asked. `skipped` rows were not asked (over-long);
    of `failed` rows an answer at least gave nothing.
    """

    step: int
    benchmark: str
    metric: str
    mean: float
    ci95: tuple[float, float]
    n: int
    condition: str = "full"
    group: str = "all"
    synthetic: bool = False
    screen: bool = False
    skipped: int = 0
    failed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name under which trackers log it."""
        benchmark = f"synthetic_{self.benchmark}" if self.synthetic else self.benchmark
        benchmark = f"screen_{benchmark}" if self.screen else benchmark
        return "/".join([benchmark, self.metric, *(x for x in (self.condition, self.group) if x not in ("full", "all"))])


def append_scores(path: Path, scores: Iterable[Score]) -> None:
    """Append scores under a file lock, so that several writers never mix lines and no reader sees a part of them.

    They are one batch, named by where it begins in the file: what a batch says of a metric takes the place of all that was said
    of it before, also of slices that are not asked any more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        batch = f.seek(0, os.SEEK_END)
        lines = "".join(json.dumps({**asdict(s), "batch": batch}, sort_keys=True) + "\n" for s in scores)
        if batch:
            f.seek(-1, os.SEEK_END)
            if f.read() != b"\n":
                f.write(b"\n")  # behind a line that a kill has cut
        f.write(lines.encode())
        f.flush()


def read_scores(path: Path) -> list[Score]:
    """Every score of the last batch that has its metric (a step may be evaluated again, and with other slices).

    A line that a kill has cut is passed over: its evaluation was not done, and writes its scores again.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        lines = f.read().splitlines()
    found: dict[tuple[int, str], tuple[int, Score]] = {}
    newest: dict[tuple[int, str, bool, bool, str], int] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        batch = row.pop("batch", -1)
        score = Score(**{**row, "ci95": tuple(row["ci95"])})
        found[score.step, score.name] = batch, score
        newest[_measured(score)] = batch
    return [score for batch, score in found.values() if batch == newest[_measured(score)]]


def _measured(score: Score) -> tuple[int, str, bool, bool, str]:
    """What is measured together, whatever the slice, the condition and what it is compared with."""
    return score.step, score.benchmark, score.synthetic, score.screen, score.metric.partition("_minus_")[0]
