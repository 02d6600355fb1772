"""`acc eval --watch runs/<name>`: evaluate a run's checkpoints as they appear, beside the training or in a job of its own.

Several watchers may share one run: each checkpoint is claimed before it is evaluated (`acc.evaluate.claims`). What was answered
is on disk, so a watcher that is stopped or killed loses nothing, and the next one goes on where it was.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acc.errors import ExitCode, UserError
from acc.evaluate.claims import claim
from acc.evaluate.plan import Job
from acc.launch.evaluating import Evaluated
from acc.launch.processes import world_size
from acc.launch.runs import recipe_of
from acc.recipe import Recipe, load_recipe
from acc.recipe.where import check_watch
from acc.records.evaluated import evaluation_key, is_evaluated

POLL_S = 10.0
"""Between two looks for new checkpoints, s."""
TRIES = 3
"""How often a checkpoint's questions are asked while a server gives none to some of them."""


class Stopped(BaseException):
    """SIGTERM or SIGUSR1: the batch job's time is nearly up."""


def watch(args: argparse.Namespace) -> ExitCode:
    """Evaluate what a run has, and, unless `args.once`, what it will have until its training is over.

    Args:
        args: `watch` (the run's folder), `once`, `step` (with `once`: of the only checkpoint to evaluate), and `recipe` (None
            for the run's own) with `set`.

    Returns:
        OK when everything was evaluated (or was there, with `once`); REQUEUE when a signal asked to stop before.

    Raises:
        UserError: there is no such run, or a checkpoint cannot be evaluated.
    """
    if world_size() > 1:
        raise UserError("one process watches a run; it was started in several", mend="Start it without torchrun or accelerate")
    watcher = Watcher(Path(args.watch), args.recipe, args.set)
    try:
        with _stop_on_signal():
            watcher.run(once=args.once, step=args.step[0] if args.step else None)
    except Stopped:
        _say(f"stopped; exit code {ExitCode.REQUEUE:d} means: start again, and it goes on where it was")
        return ExitCode.REQUEUE
    return ExitCode.OK


class Watcher:
    """Evaluates the checkpoints of one run.

    Args:
        folder: runs/<name>.
        recipe: a YAML file instead of the run's recipe.json.
        overrides: "section.field=value" pairs.
    """

    def __init__(self, folder: Path, recipe: str | None, overrides: list[str]) -> None:
        self.folder, self.path, self.overrides = folder, recipe, overrides
        self._recipe: Recipe | None = None
        self._evaluation: Any = None
        self._tries: dict[tuple[int, str], int] = {}

    def run(self, *, once: bool, step: int | None = None) -> None:
        """Evaluate until training is over and everything is done, or, with `once`, what can be evaluated now. After training
        both wait for what others evaluate: whoever sees the last score writes the report.

        Args:
            step: with `once`, of the only checkpoint to evaluate; 0 is the base, which is evaluated before any other.
        """
        told = False
        while True:
            run = Evaluated(self._read(), self.folder)
            over, jobs = run.is_over(), run.open_jobs()
            if step is not None:
                jobs = self._before(run, step, jobs)
            if run.recipe.evaluate.where == "inline" and not over:
                raise UserError(
                    "this training evaluates its checkpoints itself",
                    where="evaluate.where: inline",
                    mend="Set evaluate.where: watch and start the training again; it goes on",
                )
            if any(self._evaluated(run, job) for job in jobs):
                told = False
                continue
            if over and not jobs and step is None:
                run.finish()
                self._report()
                return
            waits_for_base = bool(step) and [job.step for job in jobs] == [0]
            if once and not waits_for_base and (step is not None or not over):
                if jobs:
                    _say(f"{len(jobs)} are being evaluated by others")
                elif step is None:
                    _say("the training of this recipe and data is not over: there will be more")
                return
            if not told:
                _say("others evaluate what is left" if jobs else "waiting for a checkpoint")
                told = True
            time.sleep(POLL_S)

    def _evaluated(self, run: Evaluated, job: Job) -> bool:
        """Evaluate a job unless another watcher has it; whether it was evaluated, or is gone."""
        from acc.records.markers import read_marker

        held = claim(run.out / "claims", job.step)
        if held is None:
            return False
        with held:
            if is_evaluated(run.out, job.step, job.rows, evaluation_key(run.recipe)):
                return True
            _say(f"{job.checkpoint} (step {job.step}, {'all rows' if job.rows == 'full' else 'the screen'})")
            try:
                evaluation = self._asked(run)
                scores = evaluation.run(job.checkpoint, job.step, rows=job.rows)
            except Exception:
                if job.step and read_marker(Path(job.checkpoint)) is None:
                    _say(f"{job.checkpoint} is gone: skipped")
                    return True
                raise
            lost, again = evaluation.unanswered, (job.step, job.rows)
            if lost and not held.lost and (tries := self._tries.get(again, 1)) < TRIES:
                self._tries[again] = tries + 1
                _say(f"step {job.step}: the server gave no answer to {lost} questions; they are asked again")
                time.sleep(POLL_S)
                return True
            if held.lost:
                _say(f"step {job.step} was taken over by another watcher")
                return True
            run.done(job)
            _say(
                f"step {job.step}: {len(scores)} scores"
                + (f"; {lost} questions have no answer, and count as 0" if lost else "")
            )
        return True

    @staticmethod
    def _before(run: Evaluated, step: int, jobs: list[Job]) -> list[Job]:
        """Those of one checkpoint; while there is none, though it was never evaluated, the base that has to come before it."""
        own = [job for job in jobs if job.step == step]
        key = evaluation_key(run.recipe)
        evaluated = any(is_evaluated(run.out, step, rows, key) for rows in ("screen", "full"))
        return own or ([] if evaluated else jobs[:1])

    def _asked(self, run: Evaluated) -> Any:
        """The questions, encoded once for all checkpoints."""
        from acc.evaluate.runner import Evaluation

        self._evaluation = self._evaluation or Evaluation(run.recipe, run.folder / "compile", run.out)
        return self._evaluation

    def _read(self) -> Recipe:
        """The recipe as it is now: `acc run` writes it anew when it is started with another one."""
        recipe = load_recipe(self.path, self.overrides) if self.path else recipe_of(self.folder, self.overrides)
        if recipe != self._recipe:
            check_watch(recipe)
            self._recipe, self._evaluation = recipe, None
            if not recipe.evaluate.measures_something:
                raise UserError("the recipe evaluates nothing", mend="Add evaluate.held_out or evaluate.benchmarks")
        return recipe

    def _report(self) -> None:
        from acc.report import run as report

        _say(f"everything is evaluated; report: {report(self.folder)}")


@contextmanager
def _stop_on_signal() -> Iterator[None]:
    """Inside, SIGTERM and SIGUSR1 raise `Stopped`, once, where the process is: its answers are on disk."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGUSR1)

    def stop(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    print(f"acc eval: {line}", file=sys.stderr, flush=True)
