"""What Slurm says: submitting a script, and the states of jobs by whatever the cluster keeps."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from acc.errors import UserError

ACTIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STOPPED", "RESIZING"}
"""States of a job that may still do something."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as Slurm knows it: the state's name, the reason it gives, its exit code ("2:0"), how often it was queued again."""

    id: str
    state: str
    reason: str = ""
    exit_code: str = ""
    restarts: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE


def sbatch(words: Sequence[str]) -> str:
    """Submit; return the job's id.

    Raises:
        UserError: there is no sbatch, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise UserError("there is no `sbatch` here", mend="Run on a login node of the cluster, or look with --dry-run")
    done = subprocess.run(["sbatch", "--parsable", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        what = f"sbatch refuses the job: {said[-1].removeprefix('sbatch: error: ')}"
        raise UserError(what, where="launch.slurm", mend="Correct what it names (partition, account, sizes)")
    return done.stdout.strip().partition(";")[0]


def states(ids: Iterable[str]) -> dict[str, JobState]:
    """The states of jobs, of those that Slurm still knows: by `scontrol`, else by its accounts (`sacct`)."""
    found = {}
    for job in ids:
        if (state := _controlled(job) or _accounted(job)) is not None:
            found[job] = state
    return found


def ids_of(folder: Path) -> dict[str, str]:
    """The ids of the jobs of a run by name (prepare, train, evaluate-20, …), oldest first.

    Args:
        folder: runs/<name>.
    """
    paths = [path for path in (folder / "jobs" / "ids").glob("*") if path.is_file()]
    found = {path.name: path.read_text(encoding="utf-8").strip() for path in paths}
    return dict(sorted(((name, job) for name, job in found.items() if job.isdigit()), key=lambda item: int(item[1])))


def _controlled(job: str) -> JobState | None:
    text = _said("scontrol", "show", "job", "--oneliner", job)
    fields = dict(re.findall(r"(\w+)=(\S*)", text))
    if not fields.get("JobState"):
        return None
    reason = fields.get("Reason", "")
    restarts = int(fields.get("Restarts", "0"))
    return JobState(job, fields["JobState"], "" if reason == "None" else reason, fields.get("ExitCode", ""), restarts)


def _accounted(job: str) -> JobState | None:
    text = _said("sacct", "--jobs", job, "--allocations", "--noheader", "--parsable2", "--format=State,Reason,ExitCode")
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 2]
    if not rows:
        return None
    state, reason, code = rows[-1]
    return JobState(job, state.split()[0], "" if reason == "None" else reason, code)


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
