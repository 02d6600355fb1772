"""Training: HF Trainer, DeepSpeed ZeRO-3, Ulysses sequence parallelism; our loss, packed attention and order.

Importing this needs no torch: `acc run` asks for `train_key` long before it trains. The attention, the loss and the speed need
nothing but torch and transformers, so that `scripts/gpu_check` runs on a bare image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acc.errors import ExitCode

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from acc.recipe import Recipe

__all__ = ["deliver", "keep", "run", "train_key"]


def train_key(recipe: Recipe, packed: Path) -> str:
    """The hash of all that a training is a function of; see `acc.train.key.train_key`."""
    from acc.train import key

    return key.train_key(recipe, packed)


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
    recipe.check_sources()
    from acc.train.stage import train

    return train(recipe, packed, out, callbacks, optimizer=optimizer, scores=scores)


def keep(recipe: Recipe, out: Path, scores: Path, *, over: bool = False) -> None:
    """Name the best checkpoint and drop what need not stay, by the scores there are now; see `acc.train.keeping.keep`."""
    from acc.train import keeping

    keeping.keep(recipe, out, scores, over=over)


def deliver(recipe: Recipe, out: Path, scores: Path) -> None:
    """Append scores that came after training to log.jsonl, and tell the trackers; see `acc.train.delivery.deliver`."""
    from acc.train import delivery

    delivery.deliver(recipe, out, scores)
