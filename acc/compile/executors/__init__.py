"""Where tasks run: datatrove's executors, chosen by one word of the recipe. Its completion markers say what is left to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from acc.errors import UserError
from acc.recipe.data import Compile

__all__ = ["Runs", "executor"]


class Runs(Protocol):
    """What runs the tasks that are not yet marked as completed, whatever it runs them on."""

    def run_tasks(self, done: Callable[[int], None]) -> None:
        """Run them, calling `done` with the number that is completed, first with those of an earlier run."""


def executor(settings: Compile, pipeline: list[Any], tasks: int, logs: Path) -> Runs:
    """The executor of a recipe.

    Args:
        settings: `executor` says which; `workers` limits how many tasks run at a time.
        pipeline: datatrove's steps; each task goes through all of them.
        logs: folder for datatrove's logs and markers; it must be shared where tasks run on other nodes.

    Raises:
        UserError: the executor's package or commands are not there.
    """
    if settings.executor == "slurm":
        from acc.compile.executors.slurm import SlurmExecutor

        return SlurmExecutor(settings, pipeline, tasks, logs)
    if settings.executor == "ray":
        if find_spec("ray") is None:
            raise UserError("Ray is not installed", where="compile.executor", mend="pip install 'acc[ray]'")
        from acc.compile.executors.ray import RayExecutor

        return RayExecutor(settings, pipeline, tasks, logs)
    if tasks == 1:
        from acc.compile.executors.alone import Alone

        return Alone(pipeline)
    from acc.compile.executors.local import LocalExecutor

    workers = min(settings.workers or _cores(), tasks)
    return LocalExecutor(pipeline=pipeline, tasks=tasks, workers=workers, logging_dir=str(logs))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
