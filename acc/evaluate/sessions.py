"""Processes that outlived a kill: noted by number and time of start, so that they and no others are ended later."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from acc.stage.files import write_json

GRACE_S = 15.0
"""How long they have between being told to end and being killed, s."""
Process = list[int]
"""[number, time of start in ticks since this machine's boot]."""


def note_session(path: Path, leader: int) -> None:
    """Write down the processes of a session that are there now."""
    write_json(path, {"leader": leader, "machine": _machine(), "processes": _session(leader)})


def end_session(path: Path) -> None:
    """End what is left of a session that `note_session` wrote to `path`, if anything, and remove the file."""
    if not path.is_file():
        return
    noted = json.loads(path.read_text(encoding="utf-8"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE_S
        for pid, _ in _left(noted):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        while _left(noted) and time.monotonic() < deadline:
            time.sleep(0.05)
    path.unlink(missing_ok=True)


def _left(noted: dict[str, object]) -> list[Process]:
    """All of a session, if one that was noted is still in it: then its number was never free to be another's."""
    if noted["machine"] != _machine():
        return []
    found, known = _session(int(str(noted["leader"]))), noted["processes"]
    return found if isinstance(known, list) and any(process in known for process in found) else []


def _session(leader: int) -> list[Process]:
    """The processes of a session, less those that ended and wait for their parent."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = stat.rpartition(")")[2].split()  # behind the name, which may hold anything
            if fields[0] != "Z" and int(fields[3]) == leader:
                found.append([int(entry.name), int(fields[19])])
    return sorted(found)


def _machine() -> list[str]:
    """This machine since its last boot: numbers of processes mean nothing elsewhere."""
    return [os.uname().nodename, Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
