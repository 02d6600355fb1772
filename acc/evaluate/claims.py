"""Who evaluates which checkpoint: claims on a shared file system, so that several watchers share the work.

```
claims/<step>.<n>.json      the n-th claim of a checkpoint: host, pid and start; `released` once its holder gave it back
```

A claim is made by creating the next file of a checkpoint exclusively, which one process alone can do, on a shared file system
too. Its holder touches it every few seconds. One that was not touched for long belongs to a process that is gone, and the next
file may be made. Files are never deleted, so a process that was slow can't take what another one has taken meanwhile.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from acc.stage.files import write_json

STALE_S = 120.0
"""After so long without a heartbeat the holder counts as gone, s."""
BEAT_S = 5.0
"""Between two heartbeats, s."""


def claim(folder: Path, step: int, *, stale_s: float | None = None, beat_s: float | None = None) -> Claim | None:
    """Claim a checkpoint, or give back None where another process holds it.

    Args:
        folder: of the claims.
        stale_s: how long a holder may be silent before it counts as gone, s; None is STALE_S.
        beat_s: between two heartbeats, s; None is BEAT_S.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stale, beat = STALE_S if stale_s is None else stale_s, BEAT_S if beat_s is None else beat_s
    last = _last(folder, step)
    if last.number and not last.released and _now(folder) - last.touched < stale:
        return None
    path = folder / f"{step}.{last.number + 1}.json"
    holder = {"host": os.uname().nodename, "pid": os.getpid(), "start": time.time(), "released": False}
    try:
        with path.open("x", encoding="utf-8") as f:
            f.write(json.dumps(holder) + "\n")
    except FileExistsError:
        return None
    return Claim(path, holder, beat)


class Claim:
    """A claim that this process holds, touched by a thread until it is released. A context manager: leaving it releases.

    `lost` says that this process was silent for so long that another one took over.
    """

    def __init__(self, path: Path, holder: dict[str, object], beat_s: float) -> None:
        self.path, self.lost = path, False
        self._holder, self._beat_s = holder, beat_s
        step, number, _ = path.name.split(".")
        self._next = path.with_name(f"{step}.{int(number) + 1}.json")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"claim of {step}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give it back; others may claim the checkpoint at once."""
        self._ended.set()
        self._thread.join()
        self.lost |= self._next.exists()
        write_json(self.path, {**self._holder, "released": True})

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            with suppress(OSError):  # a file system that does not answer for a moment
                os.utime(self.path)
            self.lost |= self._next.exists()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class _Last:
    number: int
    touched: float
    released: bool


def _last(folder: Path, step: int) -> _Last:
    """The newest claim of a checkpoint; number 0 where there is none."""
    found = _Last(0, 0.0, True)
    while True:
        try:
            # Opened and not only looked at: a shared file system then asks for the present time stamp.
            with (folder / f"{step}.{found.number + 1}.json").open(encoding="utf-8") as f:
                text, touched = f.read(), os.fstat(f.fileno()).st_mtime
        except FileNotFoundError:
            return found
        # A file that is being written is empty, or a part: its holder has only begun.
        released = '"released": true' in text
        found = _Last(found.number + 1, touched, released)


def _now(folder: Path) -> float:
    """The time as the file system's own clock stamps it; another machine's clock may differ."""
    probe = folder / f".{os.uname().nodename}.{os.getpid()}.{threading.get_ident()}.clock"
    try:
        probe.write_bytes(b"\n")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
