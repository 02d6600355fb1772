"""`acc status RUN`: where each stage of a run stands, and why a job ended."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from acc.errors import ExitCode, UserError
from acc.launch.endings import attempts, ending
from acc.launch.standing import Standing, standings
from acc.launch.submit.queue import JobState, ids_of, states


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job of `acc submit`: its name, Slurm's id, what Slurm calls its state now (lower case; where it has forgotten the job,
    what the job's own log says), and why each of its attempts ended ("" for one that ended well or still runs)."""

    name: str
    id: str
    state: str
    reason: str
    endings: list[str]
    logs: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `acc status`."""
    parser.add_argument("run", type=Path, help="the run's folder, runs/<name>")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print where a run stands.

    Raises:
        UserError: there is no such run.
    """
    stages, jobs = status(args.run)
    if args.json:
        print(json.dumps({"stages": [asdict(s) for s in stages], "jobs": [asdict(j) for j in jobs]}, indent=1))
        return ExitCode.OK
    for stage in stages:
        print(f"{stage.stage:12} {stage.state:10} {stage.said}".rstrip())
    for job in jobs:
        print(f"{job.name:12} job {job.id}  {job.state}{f' ({job.reason})' if job.reason else ''}")
        for number, said in enumerate(job.endings):
            if said:
                print(f"{'':12} attempt {number + 1}: {said}")
        if any(job.endings):
            print(f"{'':12} logs: {job.logs}")
    return ExitCode.OK


def status(folder: Path) -> tuple[list[Standing], list[JobStatus]]:
    """The stages of a run and its jobs; no jobs where nothing was submitted.

    Args:
        folder: runs/<name>.

    Raises:
        UserError: there is no such run.
    """
    from acc.launch.runs import recipe_of

    ids = ids_of(folder)
    jobs = [_job(folder, name, job, known) for (name, job), known in zip(ids.items(), _known(list(ids.values())), strict=True)]
    if not (folder / "recipe.json").is_file():
        if not jobs:
            raise UserError(f"{folder} holds no run", mend="Name runs/<name> of an `acc run` or `acc submit`")
        return [], jobs
    return standings(recipe_of(folder), folder), jobs


def _known(ids: list[str]) -> list[JobState | None]:
    found = states(ids)
    return [found.get(job) for job in ids]


def _job(folder: Path, name: str, job: str, state: JobState | None) -> JobStatus:
    logs = folder / "jobs" / "logs" / name
    tried = attempts(logs, job)
    running = state is not None and state.state == "RUNNING"
    said = []
    for attempt in tried:
        last = attempt == tried[-1]
        said.append("" if last and running else ending(attempt, state if last else None))
    now = state.state.lower() if state else _noted(tried)
    # What it waits for, or why it never began; one that began says in `endings` why it ended.
    return JobStatus(name, job, now, state.reason if state and (state.is_active or not tried) else "", said, str(logs))


def _noted(tried: list[Path]) -> str:
    """The state of a job that Slurm has forgotten: the script's last word is its exit code."""
    log = tried[-1] / "batch.log" if tried else None
    said = log.read_text(encoding="utf-8").splitlines() if log is not None and log.is_file() else []
    code = said[-1].removeprefix("exit code ") if said else ""
    return (
        "completed"
        if code == "0"
        else f"failed, exit code {code}"
        if code.isdigit()
        else "gone from Slurm, and its log has no end"
    )
