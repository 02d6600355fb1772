"""A step that takes too long: every process prints its stacks, and the job ends instead of holding GPUs for nothing."""

from __future__ import annotations

import faulthandler
import os
import socket
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from acc.errors import ExitCode
from acc.recipe.launching import Watchdog as Settings
from acc.stage.files import write_text
from acc.train.engine import barrier

FLAG = "watchdog.txt"
"""In the training's folder: which process saw a step take too long first. The others look for it."""
GRACE_S = 20.0
"""How long the others have to print their stacks before the first one ends the job, s; they look every quarter of it."""
KNOWN_STEPS = 3
"""Steps after which their median is a measure; the first ones compile and warm up."""


class Watchdog(TrainerCallback):
    """Watches from a thread of its own, which runs while the main thread waits in a collective operation.

    A step's time runs from the end of what came before (the last step, a checkpoint, an evaluation) to its own end. When it is
    longer than max(least_s, factor × median step) the stacks of all threads go to stderr and to stacks-<rank>.txt, those of the
    other processes too, and the process ends with `ExitCode.WATCHDOG`: a collective that waits can't be interrupted. Should the
    interpreter itself be stuck, its own watch dumps the stacks a little later and ends the process with exit code 1.

    Args:
        out: the training's folder, shared by all processes.
    """

    def __init__(self, settings: Settings, out: Path, *, rank: int, world: int) -> None:
        self.settings, self.out, self.rank, self.world = settings, out, rank, world
        self._steps = deque[float](maxlen=200)
        self._begun: float | None = None
        self._done, self._ending = threading.Event(), threading.Event()
        for old in (out / FLAG, self._stacks(rank)):
            old.unlink(missing_ok=True)

    def limit(self) -> float:
        """How long the running step may take, s."""
        if len(self._steps) < KNOWN_STEPS:
            return self.settings.factor * self.settings.least_s
        return max(self.settings.least_s, self.settings.factor * statistics.median(self._steps))

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Training begins, after whatever callbacks did before it."""
        barrier()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        self._begin()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Measure the step; the next begins."""
        if self._begun is not None:
            self._steps.append(time.monotonic() - self._begun)
            self._begin()

    @contextmanager
    def paused(self, *, together: bool) -> Iterator[None]:
        """Inside, nothing is watched; the next step begins at the end.

        Args:
            together: wait there for every process: evaluation may take some of them longer.
        """
        running, self._begun = self._begun is not None, None
        faulthandler.cancel_dump_traceback_later()
        yield
        if together:
            barrier()
        if running:
            self._begin()

    def close(self) -> None:
        """Training has ended, well or not."""
        if self._ending.is_set():
            time.sleep(2 * GRACE_S)  # another process ended first and broke a collective here; the watch ends this one
        self._begun = None
        self._done.set()
        faulthandler.cancel_dump_traceback_later()

    def _begin(self) -> None:
        self._begun = time.monotonic()
        faulthandler.dump_traceback_later(self.limit() + 2 * GRACE_S, exit=True, file=2)

    def _watch(self) -> None:
        while not self._done.wait(min(GRACE_S / 4, self.settings.least_s / 4)):
            begun, limit = self._begun, self.limit()
            late = begun is not None and time.monotonic() - begun > limit
            if late:
                write_text(self.out / FLAG, f"rank {self.rank}\n")
            if late or (self.out / FLAG).is_file():
                self._end(f"step {len(self._steps) + 1} of this start has taken longer than {limit:.1f} s" if late else "")

    def _end(self, why: str) -> None:
        """Print the stacks, wait until every process has done so, and end this one."""
        self._ending.set()
        path = self._stacks(self.rank)
        why = why or f"{(self.out / FLAG).read_text(encoding='utf-8').strip()} asked for the stacks"
        with path.open("w", encoding="utf-8") as f:
            f.write(f"watchdog: rank {self.rank} of {self.world} on {socket.gethostname()}: {why}\n")
            f.flush()
            faulthandler.dump_traceback(file=f, all_threads=True)
        os.write(2, path.read_bytes())
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end and not all(self._stacks(r).is_file() for r in range(self.world)):
            time.sleep(0.1)
        os._exit(ExitCode.WATCHDOG)

    def _stacks(self, rank: int) -> Path:
        return self.out / f"stacks-{rank}.txt"
