"""How much disk a run's checkpoints take. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from acc.recipe import Recipe
from acc.records.markers import checkpoint_folders, read_marker

STATE_BYTES = 12
"""AdamW's float32 weight and two moments of each trained parameter, bytes."""


def room_needed(recipe: Recipe, out: Path, *, trainable: int, parameters: int, saves: int) -> int:
    """By how much the folder of checkpoints grows at its peak, bytes.

    An older checkpoint goes only when the newer one is whole, so what will be freed is no room for the next one, but it is
    for those after it.

    Args:
        out: the folder, with the checkpoints that are there already.
        trainable, parameters: of the student, number; where it has adapters only they are saved.
        saves: checkpoints still to be written, number; 1 for the next alone.
    """
    weights = (trainable if recipe.lora else parameters) * (2 if recipe.model.dtype == "bfloat16" else 4)
    state = trainable * STATE_BYTES
    markers = [marker for folder in checkpoint_folders(out) if (marker := read_marker(folder)) is not None]
    there = len(markers), sum(marker.state for marker in markers)
    keep_state, keep = recipe.train.keep_checkpoints, recipe.train.keep_weights
    # One more than is kept: the newest is written before the oldest goes. The best one stays beside them.
    most = len(markers) + saves if keep is None else max(keep, keep_state) + 1 + bool(recipe.train.best)
    return weights * _more(there[0], saves, most) + state * _more(there[1], saves, keep_state + 1)


def _more(there: int, saves: int, most: int) -> int:
    """By how many the folders grow at their peak; the next one is always written before anything is dropped."""
    return max(1, min(there + saves, most) - there)
