"""Scores that others wrote to scores.jsonl reach the log and the trackers, each once and at its own step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from acc.recipe import Recipe
from acc.recipe.policy import check_trackers
from acc.records.scores import read_scores
from acc.train.callbacks import LOG, SCORES
from acc.train.engine import check_installed

Found = dict[int, dict[str, float]]
"""Step → name of a score → its value."""


class Delivery(TrainerCallback):
    """While training goes on, logs what an evaluation beside it has written since; global rank 0 does it.

    Args:
        out: the folder of log.jsonl.
        scores: scores.jsonl of the evaluation.
        log: the trainer's function that logs scores at a step.
    """

    def __init__(self, out: Path, scores: Path, log: Callable[[dict[str, float], int], None]) -> None:
        self.out, self.scores, self.log = out, scores, log
        self._seen: tuple[int, int] | None = None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._deliver(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._deliver(state.global_step)

    def _deliver(self, step: int) -> None:
        try:
            stat = self.scores.stat()
        except FileNotFoundError:
            return
        if self._seen == (stat.st_size, stat.st_mtime_ns):
            return
        self._seen = stat.st_size, stat.st_mtime_ns
        for scored, values in undelivered(self.out, self.scores, upto=step).items():
            self.log(values, scored)


def undelivered(out: Path, scores: Path, *, upto: int | None = None) -> Found:
    """The scores that log.jsonl does not have, by step.

    Args:
        upto: leave out those of later steps: a training that began again has not come so far.
    """
    logged: dict[int, set[str]] = {}
    for line in (out / LOG).read_text(encoding="utf-8").splitlines() if (out / LOG).is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # cut by a kill; it is dropped when training goes on
        logged.setdefault(row["step"], set()).update(row.get("scores", ()))
    found: Found = {}
    for score in read_scores(scores):
        if score.n and (upto is None or score.step <= upto) and score.name not in logged.get(score.step, ()):
            found.setdefault(score.step, {})[score.name] = score.mean
    return dict(sorted(found.items()))


def deliver(recipe: Recipe, out: Path, scores: Path) -> None:
    """After training: append what log.jsonl does not have, and tell the trackers. One process at a time.

    Args:
        out: the folder of log.jsonl.
        scores: scores.jsonl of the evaluation.
    """
    if found := undelivered(out, scores):
        with (out / LOG).open("a", encoding="utf-8") as log:
            log.writelines(json.dumps({"step": step, "scores": values}) + "\n" for step, values in found.items())
        _tell(recipe, out, found)
        print(f"log.jsonl has the scores of step {', '.join(map(str, found))}", file=sys.stderr, flush=True)


def _tell(recipe: Recipe, out: Path, found: Found) -> None:
    """Hand scores to the recipe's trackers through transformers' own callbacks, without a Trainer."""
    if not recipe.train.report_to:
        return
    check_trackers(recipe)
    check_installed(recipe.train.report_to)
    args = TrainingArguments(output_dir=str(out), run_name=recipe.name, report_to=recipe.train.report_to, use_cpu=True)
    control = TrainerControl()
    for make in get_reporting_integration_callbacks(recipe.train.report_to):
        tracker = make()
        if getattr(tracker, "logging_dir", "") is None:
            # TensorBoard shows a folder as one run, however many files are in it: the newest is the training's.
            begun = sorted((out / "runs").glob("*"), key=lambda p: p.stat().st_mtime)
            tracker.logging_dir = str(begun[-1]) if begun else str(out / "runs" / recipe.name)
        for step, values in found.items():
            state = TrainerState(global_step=step)
            tracker.on_log(args, state, control, logs={f"{SCORES}{name}": value for name, value in values.items()})
        tracker.on_train_end(args, TrainerState(), control, model=None)
