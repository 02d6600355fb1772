"""Why a job ended, from what Slurm says of it, from its processes' exit codes and from its logs."""

from __future__ import annotations

import re
from pathlib import Path

from acc.errors import ExitCode
from acc.launch.attempt import ended
from acc.launch.submit.queue import JobState

SLURM = {
    "TIMEOUT": "its time limit ended it before it could save: raise launch.slurm.signal_before_s or its time",
    "OUT_OF_MEMORY": "out of memory on a node (Slurm ended it): raise launch.slurm.*.mem",
    "NODE_FAIL": "a node failed",
    "PREEMPTED": "another job took its nodes",
    "DEADLINE": "its deadline passed",
    "BOOT_FAIL": "a node did not start",
}
"""State of a job → what it means."""
LOGGED = (
    (r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY", "out of GPU memory"),
    (r"[Oo]ut.of.memory|oom.kill|Cannot allocate memory|MemoryError", "out of memory on a node"),
    (r"No space left on device|Disk quota exceeded", "the disk is full"),
    (r"^watchdog: ", "a step hung (watchdog); train/stacks-*.txt say where"),
    (r"NCCL error|ncclRemoteError|Connection (closed|reset) by peer|Watchdog caught collective", "processes lost each other"),
)
"""What a log holds → what it means; the first that is found counts."""
SCHEDULER = (
    ("DUE TO TIME LIMIT", SLURM["TIMEOUT"]),
    ("DUE TO NODE FAILURE", SLURM["NODE_FAIL"]),
    ("DUE TO PREEMPTION", SLURM["PREEMPTED"]),
    ("DUE TO JOB REQUEUE", "it was queued again (scontrol requeue)"),
    ("CANCELLED AT", "it was cancelled"),
)
"""What Slurm writes where it ends a whole job → what it means; also where the job's script asked to be queued again."""
SENTENCE = re.compile(r"^acc [a-z]+: .+")
TAIL = 200_000
"""Bytes of a log's end that are read."""


def attempts(folder: Path, job: str) -> list[Path]:
    """The folders of a job's attempts, the first one first.

    Args:
        folder: jobs/logs/<stage> of a run.
    """
    found = [path for path in folder.glob(f"{job}-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def ending(attempt: Path, state: JobState | None = None) -> str:
    """Why an attempt ended, as a sentence; "" where it ended well or is not known to have ended.

    Args:
        attempt: the folder of its logs.
        state: of the job, where this is its last attempt.
    """
    codes, text, script = ended(attempt), _logs(attempt), _script_code(attempt)
    if ExitCode.USER in codes:
        said = [line for line in text.splitlines() if SENTENCE.match(line)]
        return said[-1] if said else "a mistake that the log names"
    if ExitCode.REQUEUE in codes:
        return "told to stop before its time was over; saved, and goes on"
    if state is not None and state.state in SLURM:
        return SLURM[state.state]
    for pattern, meaning in LOGGED:
        if found := re.search(pattern, text, re.MULTILINE):
            # Stacks and notes that a run survived do not count: only that of one that did not end well.
            return "" if codes == {0} else f"{meaning}: {_line(text, found.start())}"
    if script is None and (words := _scheduler(attempt)):
        return next((meaning for said, meaning in SCHEDULER if said in words), "")
    if script is None and state is not None and state.state == "CANCELLED":
        return "it was cancelled"
    if script or ExitCode.INTERNAL in codes or (state is not None and state.state == "FAILED"):
        return f"exit code {script or 1}: {last_line(text)}"
    return ""


def _script_code(attempt: Path) -> int | None:
    """The exit code that the job's script saw; None where it did not live to see one."""
    log = attempt / "batch.log"
    found = re.findall(r"^exit code (\d+)", _tail(log), re.MULTILINE) if log.is_file() else []
    return int(found[-1]) if found else None


def _scheduler(attempt: Path) -> str:
    """What Slurm wrote as it ended the job; it does so once an attempt, into one file for all."""
    job, _, number = attempt.name.rpartition("-")
    stage = re.sub(r"-\d+$", "", attempt.parent.name)
    log = attempt.parent.parent / f"{stage}-{job}.out"
    found = [line for line in _tail(log).splitlines() if "*** JOB" in line] if log.is_file() else []
    return found[int(number)] if int(number) < len(found) else ""


def _logs(attempt: Path) -> str:
    """The ends of an attempt's logs, that of the script last."""
    paths = sorted(attempt.glob("*.log"), key=lambda path: (path.name == "batch.log", path.name))
    return "\n".join(_tail(path) for path in paths)


def _tail(path: Path) -> str:
    with path.open("rb") as f:
        f.seek(max(0, path.stat().st_size - TAIL))
        return f.read().decode("utf-8", "replace")


def _line(text: str, place: int) -> str:
    start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    return text[start : end if end >= 0 else None].strip()[:300]


def last_line(text: str) -> str:
    """The last line that names an error, else the last line."""
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("exit code ")]
    errors = [line for line in found if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or found or ["its log is empty"])[-1][:300]
