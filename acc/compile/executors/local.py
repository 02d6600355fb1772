"""datatrove's local executor with a pool that dies with its parent."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from datatrove.executor import LocalPipelineExecutor

from acc.errors import UserError


class LocalExecutor(LocalPipelineExecutor):
    """Runs what is not yet marked as completed.

    Tasks, steps, skipping and completion markers are datatrove's. Its own `run` starts a manager process, which a killed
    parent leaves behind together with the workers; here the workers end when the parent is gone.
    """

    def run_tasks(self, done: Callable[[int], None]) -> None:
        """Run the tasks, calling `done` with the number that is completed, first with those of an earlier run.

        Raises:
            UserError: a worker was killed.
        """
        ranks = self.get_incomplete_ranks()
        completed = self.world_size - len(ranks)
        done(completed)
        if self.workers == 1 or len(ranks) < 2:
            for n, rank in enumerate(ranks, 1):
                self._run_task(rank)
                done(completed + n)
            return
        context = multiprocessing.get_context("forkserver")
        # Workers are forked from a server that has imported what they need, once for all of them.
        context.set_forkserver_preload(["acc.compile.tasks"])
        with ProcessPoolExecutor(min(self.workers, len(ranks)), context, _adopt, (self,)) as pool:
            try:
                for n, task in enumerate(as_completed([pool.submit(_run_adopted, rank) for rank in ranks]), 1):
                    task.result()
                    done(completed + n)
            except BrokenProcessPool as e:
                mend = "Set fewer compile.workers and run again: what is done is kept"
                raise UserError("a worker was killed, most likely for want of memory", mend=mend) from e
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _run_task(self, rank: int) -> None:
        self._run_for_rank(rank, local_rank=1)  # a local rank of 0 would log to the user's terminal


_adopted: list[LocalExecutor] = []
"""The executor of a worker: what its steps have opened, such as an index of pages, serves all tasks that the worker runs."""


def _adopt(executor: LocalExecutor) -> None:
    _adopted[:] = [executor]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without it a worker of a killed run would wait for tasks for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _run_adopted(rank: int) -> None:
    _adopted[0]._run_task(rank)
