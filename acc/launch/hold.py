"""One `acc run` at a time in a run's folder: a second one would set aside or overwrite what the first is writing."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from pathlib import Path

from acc.errors import UserError

LOCK = "run.lock"
HERE_S, ELSEWHERE_S = 15.0, 180.0
"""How long one that ends is waited for on this machine and on another, s: a file server learns late that a node died."""
POLL_S = 0.5


class Hold:
    """The right to write a run's folder, until it is released or this process ends, however it ends.

    Args:
        folder: runs/<name>. Where its file system knows no locks, nobody is kept out.

    Raises:
        UserError: another process has it and does not end, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._file = (folder / LOCK).open("a+", encoding="utf-8")
        except OSError as e:
            raise UserError(f"it cannot be written ({e.strerror})", where=str(folder / LOCK), mend="Give --runs DIR") from e
        begun, told = time.monotonic(), False
        # Locks of this kind are the process's own: what it forks does not keep them.
        while not self._taken():
            holder = self._holder()
            here = f" on {socket.gethostname()}" in holder
            if (job := _job()) and holder.endswith(job) and not here:
                # An earlier attempt of this job, which Slurm has ended, on a node that died: some file servers never notice.
                return
            if time.monotonic() - begun > (HERE_S if here else ELSEWHERE_S):
                self._file.close()
                raise UserError(
                    f"another `acc run` of this run is at work ({holder})",
                    where=str(folder),
                    mend="Wait for it or end it, or give this one another name",
                )
            if not told:
                print(f"acc run: {holder} holds {folder}; waiting for it to end", file=sys.stderr, flush=True)
                told = True
            time.sleep(POLL_S)

    def release(self) -> None:
        """Let the next one in, as the processes that this one starts."""
        self._file.close()

    def _taken(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            return True
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}{_job()}")
        self._file.flush()
        return True

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read().strip() or "a process"


def _job() -> str:
    """The job of `acc submit` that this process is of, whose attempts follow each other."""
    job, _, _ = os.environ.get("ACC_LAUNCH", "").partition("-")
    return f", job {job}" if job else ""
