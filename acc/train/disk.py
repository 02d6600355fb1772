"""Room on the disk, asked for before training and before each checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from acc.errors import UserError
from acc.recipe import Recipe
from acc.train.adapters import count_parameters
from acc.train.engine import reduce_sum
from acc.train.room import room_needed


def check_disk(recipe: Recipe, model: torch.nn.Module, out: Path, *, saves: int) -> None:
    """Raise a `UserError` in every process if the checkpoints to come would not fit (see `room_needed`).

    Args:
        model: the student; where it has adapters only they are saved.
        saves: checkpoints still to be written, number; 1 for the next alone.
    """
    trainable, parameters = count_parameters(model)
    need = room_needed(recipe, out, trainable=trainable, parameters=parameters, saves=saves)
    free = shutil.disk_usage(out).free
    # The disk may be full as seen from one node only: all must stop together.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if reduce_sum(torch.tensor(float(free < need), device=device)).item():
        what = "a checkpoint needs" if saves == 1 else f"the run's {saves} checkpoints need"
        raise UserError(
            f"{what} about {need / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free",
            where=str(out),
            mend="Make room, set train.keep_weights, or lower train.keep_checkpoints; a training that has begun goes on",
        )
