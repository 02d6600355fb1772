"""What the launcher's environment says beside the recipe, DeepSpeed's raw settings, and Slurm where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, refusals
from acc.recipe import Recipe


def check(context: Context) -> list[Finding]:
    """Launcher, DeepSpeed, Slurm."""
    if not context.trains:
        return []
    return [*_processes(context), *_accelerate(context), *_deepspeed(context.recipe), *_slurm(context)]


def _processes(context: Context) -> Iterator[Finding]:
    """Processes that a launcher has started, against the groups of the recipe and the sizes that pack planned for."""
    recipe, environment = context.recipe, context.machine.environment
    if "WORLD_SIZE" not in environment or "RANK" not in environment:
        return
    world, sequence, planned = context.world, recipe.parallel.sequence, context.planned_world
    if world % sequence:
        yield Finding(
            "error",
            f"the launcher's {world} process{'es' if world > 1 else ''} can't be cut into groups of {sequence}",
            "parallel.sequence",
            f"Start a multiple of {sequence} processes, or set parallel.sequence to a divisor of {world}",
        )
    elif world != planned:
        what = f"the launcher has {world} processes, and pack shares a step over launch.nodes × launch.processes = {planned}"
        mend = f"Set launch so that both are {world}, or start {planned}"
        yield Finding("warning", what, "launch.processes", mend)


def _accelerate(context: Context) -> Iterator[Finding]:
    """Settings of `accelerate launch` or its configuration file that the recipe decides otherwise."""
    recipe, environment = context.recipe, context.machine.environment
    stage = environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
    if stage not in (None, "3"):
        yield _disagrees(f"ZeRO stage {stage}", "acc trains with stage 3", "Leave --zero_stage out")
    for name, what in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM")):
        if environment.get(name, "").lower() == "true":
            yield _disagrees(what, "acc trains with ZeRO-3", "Launch with --multi_gpu, or without")
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision not in ("no", "bf16" if recipe.model.dtype == "bfloat16" else "no"):
        yield _disagrees(f"mixed precision {precision}", f"model.dtype is {recipe.model.dtype}", "Leave --mixed_precision out")
    steps = environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
    if steps not in ("1", "auto"):
        yield _disagrees(f"{steps} steps of accumulation", "they follow from train.global_batch", "Leave them out")


def _disagrees(theirs: str, ours: str, mend: str) -> Finding:
    return Finding("error", f"accelerate's settings say {theirs}, and {ours}", "environment", mend)


def _deepspeed(recipe: Recipe) -> list[Finding]:
    """Names of the raw section that DeepSpeed does not know; imported only where the recipe has such a section."""
    if not recipe.deepspeed:
        return []
    if find_spec("deepspeed") is None:
        return [Finding("note", "DeepSpeed is not installed here: the names of its settings were not checked", "deepspeed")]
    from acc.train.deepspeed_config import check_names

    return refusals(check_names, recipe.deepspeed)


def _slurm(context: Context) -> Iterator[Finding]:
    """Jobs that can't be submitted from here."""
    asked = {"compile.executor": context.recipe.compile.executor == "slurm"}
    for where, wanted in asked.items():
        if wanted and context.machine.program("sbatch") is None:
            yield Finding("warning", "there is no sbatch on this machine", where, "Start on a login node of the cluster")
    limit = _seconds(context.recipe.compile.slurm.time)
    if context.recipe.compile.executor == "slurm" and limit is None:
        what = f"{context.recipe.compile.slurm.time!r} is no time limit of Slurm"
        yield Finding("error", what, "compile.slurm.time", "Write it as 12:00:00, or 1-00:00:00 for a day")


def _seconds(text: str) -> int | None:
    """A time limit as Slurm writes it (minutes, hours:minutes:seconds, days-hours…), s; None for another text."""
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, *([days] if dash else [])]) or len(parts) > 3:
        return None
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = [0] * (3 - len(numbers)) + numbers if len(numbers) > 1 else [0, numbers[0], 0]
    return (hours * 60 + minutes) * 60 + seconds
