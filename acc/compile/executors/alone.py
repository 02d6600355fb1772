"""One task in this process: with nothing to share out and nothing to go on from, none of datatrove's executors is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Alone:
    """Runs the only task of a pipeline, from its beginning."""

    def __init__(self, pipeline: list[Any]) -> None:
        self._pipeline = pipeline

    def run_tasks(self, done: Callable[[int], None]) -> None:
        """Run the task; call `done` with 0 before it and with 1 after it."""
        done(0)
        data = None
        for step in self._pipeline:
            data = step.run(data, rank=0, world_size=1)
        done(1)
