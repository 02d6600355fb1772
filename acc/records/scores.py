"""Scores: one `scores.jsonl` a run, whoever writes it (the training processes, a watcher, a batch job)."""

from __future__ import annotations

import fcntl
import json
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
    benchmark. `screen` says that only the rows of `evaluate.screen` were asked. `skipped` rows were not asked (over-long),
    `failed` ones were asked and gave nothing.
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
    """Append scores under a file lock, so that several writers never mix lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(asdict(s), sort_keys=True) + "\n" for s in scores)
    with path.open("a", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.write(lines)


def read_scores(path: Path) -> list[Score]:
    """Every score, the last one written winning where (step, name) repeats (a step evaluated again after a resume)."""
    if not path.is_file():
        return []
    found: dict[tuple[int, str], Score] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            row = json.loads(line)
            score = Score(**{**row, "ci95": tuple(row["ci95"])})
            found[score.step, score.name] = score
    return list(found.values())
