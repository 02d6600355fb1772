"""Room on the disk, asked for before training and before each checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from acc.errors import UserError
from acc.recipe import Recipe
from acc.train.adapters import count_parameters
from acc.train.checkpoints import checkpoint_folders, read_marker
from acc.train.engine import reduce_sum

STATE_BYTES = 12
"""AdamW's float32 weight and two moments of each trained parameter, bytes."""


def check_disk(recipe: Recipe, model: torch.nn.Module, out: Path, *, saves: int) -> None:
    """Raise a `UserError` in every process if the checkpoints to come would not fit.

    An older checkpoint goes only when the newer one is whole, so what will be freed is no room for the next one, but it is
    for those after it.

    Args:
        model: the student; where it has adapters only they are saved.
        saves: checkpoints still to be written, number; 1 for the next alone.
    """
    trainable, parameters = count_parameters(model)
    weights = (trainable if recipe.lora else parameters) * (2 if recipe.model.dtype == "bfloat16" else 4)
    state = trainable * STATE_BYTES
    markers = [marker for folder in checkpoint_folders(out) if (marker := read_marker(folder)) is not None]
    there = len(markers), sum(marker.state for marker in markers)
    keep_state, keep = recipe.train.keep_checkpoints, recipe.train.keep_weights
    # One more than is kept: the newest is written before the oldest goes. The best one stays beside them.
    most = len(markers) + saves if keep is None else max(keep, keep_state) + 1 + bool(recipe.train.best)
    need = weights * _more(there[0], saves, most) + state * _more(there[1], saves, keep_state + 1)
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


def _more(there: int, saves: int, most: int) -> int:
    """By how many the folders grow at their peak; the next one is always written before anything is dropped."""
    return max(1, min(there + saves, most) - there)
