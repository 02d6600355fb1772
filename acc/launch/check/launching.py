"""What the launcher's environment says beside the recipe, DeepSpeed's raw settings, and Slurm where it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, findings_of, refusals
from acc.launch.launcher import accelerate_disagreements, process_disagreements
from acc.recipe import Recipe
from acc.recipe.slurm import Job, SlurmJobs

TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}|UNLIMITED|INFINITE")
"""A time limit as Slurm takes it: minutes, hours:minutes:seconds, days-hours…"""


def check(context: Context) -> list[Finding]:
    """Launcher, DeepSpeed, Slurm."""
    if not context.trains:
        return []
    return [*_processes(context), *_accelerate(context), *_deepspeed(context.recipe), *_slurm(context)]


def _processes(context: Context) -> Iterator[Finding]:
    """Processes that a launcher has started, against the groups and the sizes of the recipe."""
    recipe, environment = context.recipe, context.machine.environment
    if "WORLD_SIZE" not in environment or "RANK" not in environment:
        return
    world, sequence = context.world, recipe.parallel.sequence
    if world % sequence:
        yield Finding(
            "error",
            f"the launcher's {world} process{'es' if world > 1 else ''} can't be cut into groups of {sequence}",
            "parallel.sequence",
            f"Start a multiple of {sequence} processes, or set parallel.sequence to a divisor of {world}",
        )
        return
    for error in process_disagreements(recipe, environment):
        yield from findings_of(error)


def _accelerate(context: Context) -> list[Finding]:
    """Settings of `accelerate launch` that `acc run` refuses."""
    errors = accelerate_disagreements(context.recipe, context.machine.environment)
    return [finding for error in errors for finding in findings_of(error)]


def _deepspeed(recipe: Recipe) -> list[Finding]:
    """Names of the raw section that DeepSpeed does not know; imported only where the recipe has such a section."""
    if not recipe.deepspeed:
        return []
    if find_spec("deepspeed") is None:
        return [Finding("note", "DeepSpeed is not installed here: the names of its settings were not checked", "deepspeed")]
    from acc.train.deepspeed_config import check_names

    return refusals(check_names, recipe.deepspeed)


def _slurm(context: Context) -> Iterator[Finding]:
    """Jobs that can't be submitted from here, or that Slurm would not take."""
    recipe, jobs = context.recipe, context.recipe.launch.slurm
    times: dict[str, str | None] = {}
    if recipe.compile.executor == "slurm":
        times["compile.slurm.time"] = recipe.compile.slurm.time
        if context.machine.program("sbatch") is None:
            mend = "Start on a login node of the cluster, or set compile.executor: local"
            yield Finding("warning", "there is no sbatch on this machine", "compile.executor", mend)
    if jobs is not None:
        from acc.launch.submit.jobs import check_jobs

        yield from refusals(check_jobs, recipe)
        times |= {f"launch.slurm.{name}time": job.time for name, job in _jobs(jobs)}
        if jobs.template is not None and not recipe.resolve(jobs.template).is_file():
            yield Finding(
                "error", f"there is no file {jobs.template}", "launch.slurm.template", "Correct the path, or leave it out"
            )
        if context.machine.program("sbatch") is None:
            what = "there is no sbatch on this machine: jobs can be written here (acc submit --dry-run), not given to Slurm"
            yield Finding("note", what, "launch.slurm")
    for where, time in times.items():
        if time is not None and not TIME.fullmatch(time):
            yield Finding(
                "error", f"{time!r} is no time limit of Slurm", where, "Write it as 12:00:00, or 1-00:00:00 for a day"
            )


def _jobs(jobs: SlurmJobs) -> list[tuple[str, Job]]:
    return [("", jobs), ("cpu.", jobs.cpu), ("train.", jobs.train), ("evaluate.", jobs.evaluate)]
