"""Room for the checkpoints to come, and whether the run's folder can be written."""

from __future__ import annotations

from acc.errors import UserError
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding
from acc.launch.check.machine import folder_is_writable
from acc.launch.plan.architecture import Architecture, architecture_from
from acc.launch.plan.setting import setting_of, trained
from acc.train.extent import extent_of
from acc.train.room import room_needed


def check(context: Context) -> list[Finding]:
    """What training will ask of the disk, by the same arithmetic."""
    if not folder_is_writable(context.folder):
        where = str(context.folder)
        return [Finding("error", "this folder can't be written", where, "Start in a folder of your own, or give --runs")]
    student = context.student
    if not context.trains or student is None:
        return []
    try:
        numbers = architecture_from(student.raw, name=context.recipe.model.path)
    except UserError:
        return []  # the student's own family says so
    return _room(context, numbers)


def _room(context: Context, numbers: Architecture) -> list[Finding]:
    recipe, out = context.recipe, context.folder / "train"
    setting = setting_of(recipe, recipe.parallel.sequence)
    saves = _saves(context)
    trainable = trained(numbers, setting)
    need = room_needed(recipe, out, trainable=trainable, parameters=numbers.total, saves=saves or 1)
    free = context.machine.free(context.folder)
    what = f"the run's {saves} checkpoints need" if saves and saves > 1 else "a checkpoint needs"
    said = f"{what} about {_size(need)}, and the disk of {context.folder} has {_size(free)} free"
    if need <= free:
        return [Finding("note", said, "train.keep_checkpoints")]
    mend = "Make room, set train.keep_weights, or lower train.keep_checkpoints"
    return [Finding("error" if _is_here(context) else "warning", said, "train.keep_checkpoints", mend)]


def _is_here(context: Context) -> bool:
    """Whether the run has begun here, or this machine is one that trains: else the run may be on another disk."""
    return context.folder.exists() or context.machine.gpus() > 0


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _saves(context: Context) -> int | None:
    """Checkpoints that the training will write, number, as far as it is known."""
    train = context.recipe.train
    if context.packed is not None:
        return extent_of(context.recipe, context.folder / "pack").checkpoints
    if train.max_steps and train.save_every_steps:
        return -(-train.max_steps // train.save_every_steps)
    return None if train.save_every_steps else max(1, round(train.epochs + 0.499))
