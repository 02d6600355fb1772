"""Training: HF Trainer, DeepSpeed ZeRO-3, Ulysses sequence parallelism; our loss, packed attention and order.

Importing this needs no torch: `acc run` asks for `train_key` long before it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acc.errors import ExitCode
from acc.recipe import Recipe
from acc.train.key import train_key

if TYPE_CHECKING:
    from transformers import TrainerCallback

__all__ = ["keep", "run", "train_key"]


def run(
    recipe: Recipe,
    packed: Path,
    out: Path,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    optimizer: str = "adamw_torch_fused",
    scores: Path | None = None,
) -> ExitCode:
    """Train in this process, as one of those that the launcher started or alone; see `acc.train.stage.train`."""
    from acc.train.stage import train

    return train(recipe, packed, out, callbacks, optimizer=optimizer, scores=scores)


def keep(recipe: Recipe, out: Path, scores: Path) -> None:
    """Name the best checkpoint and drop what need not stay, by the scores there are now; see `acc.train.keeping.keep`."""
    from acc.train import keeping

    keeping.keep(recipe, out, scores)
