"""What happens around the steps: when to save and stop, and the log."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from acc.stage.files import write_text
from acc.train.engine import reduce_sum
from acc.train.sampler import is_saved

LOG = "log.jsonl"
SCORES = "scores/"
"""Prefix of an evaluation's scores among the logged values."""


@dataclass(slots=True)
class Stop:
    """Whether this process was asked to stop."""

    asked: bool = False


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Inside, SIGTERM and SIGUSR1 ask for a checkpoint at the step's end instead of ending the process."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(*_: Any) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Flow(TrainerCallback):
    """Saves at the recipe's steps (or each epoch's end), at the last step, and when any process was asked to stop.

    Args:
        every: steps between checkpoints; None for the end of each epoch.
        steps: of the whole run.
        steps_per_epoch: need not be whole.
    """

    def __init__(self, stop: Stop, *, every: int | None, steps: int, steps_per_epoch: float) -> None:
        self.stop, self.every, self.steps, self.steps_per_epoch = stop, every, steps, steps_per_epoch

    def saves(self, step: int) -> bool:
        """Whether the recipe has a checkpoint after this step."""
        return is_saved(step, every=self.every or self.steps_per_epoch, steps=self.steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        step = state.global_step
        state.epoch = step / self.steps_per_epoch
        # A launcher may tell one process before the others: all must end after the same step.
        stopped = bool(reduce_sum(torch.tensor(int(self.stop.asked), device=args.device)))
        control.should_training_stop |= stopped
        if self.saves(step) or stopped:
            # Logged first, so that a checkpoint of a model that has become nan is never written.
            control.should_log = control.should_save = True
        return control


class JsonLog(TrainerCallback):
    """One JSON line a logged step in log.jsonl, and one short line on stderr; written by global rank 0.

    What is not a finite number is null in the file.

    Lines after `step`, left by a run that was killed, are dropped.
    """

    def __init__(self, out: Path, *, step: int, steps: int, writes: bool) -> None:
        self.path, self.steps, self.writes = out / LOG, steps, writes
        if writes:
            keep_lines(self.path, step)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        scores = {k.removeprefix(SCORES): v for k, v in logs.items() if k.startswith(SCORES)}
        if not self.writes or not (scores or "loss" in logs):
            return
        if scores:
            line: dict[str, Any] = {"step": state.global_step, "scores": scores}
            # The file has them all; a person reads each benchmark's first, which is its headline.
            first: dict[str, str] = {}
            for name, value in scores.items():
                first.setdefault(name.partition("/")[0], f"{name} {value:.3f}")
            shown = "  ".join(first.values())
        else:
            line = {"step": state.global_step}
            for name, value in logs.items():
                group, slash, member = name.partition("/")
                told = None if isinstance(value, float) and not math.isfinite(value) else value
                if slash:
                    line.setdefault(group, {})[member] = told
                else:
                    line[name] = told
            shown = f"loss {logs['loss']:.4f}  grad norm {logs['grad_norm']:.3f}  {logs['tokens_per_second']:.0f} tokens/s"
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")
        print(f"step {state.global_step}/{self.steps}  {shown}", file=sys.stderr, flush=True)


def keep_lines(path: Path, step: int) -> None:
    """Drop the lines of a JSONL file that were written after `step`."""
    if path.is_file():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if _step(line) <= step]
        write_text(path, "".join(lines))


def _step(line: str) -> float:
    """The step of a line; a line cut short by a kill belongs to no step that is kept."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
