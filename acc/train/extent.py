"""How much a training will be, before it begins. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acc.recipe import Recipe
from acc.records.sequences import SequenceStore
from acc.stage.manifest import read_manifest
from acc.train.sampler import is_saved, make_sampler


@dataclass(frozen=True, slots=True)
class Extent:
    """Optimizer steps, checkpoints and trained tokens of a whole training."""

    steps: int
    checkpoints: int
    tokens: int


def extent_of(recipe: Recipe, packed: Path) -> Extent:
    """What a recipe will train on packed sequences; tokens by the mean of a sequence.

    Args:
        packed: folder of the pack stage.
    """
    train, store, manifest = recipe.train, SequenceStore(packed), read_manifest(packed)
    sampler = make_sampler(
        recipe.seed, store.steps, global_batch=train.global_batch, epochs=train.epochs, max_steps=train.max_steps
    )
    every = train.save_every_steps or sampler.steps_per_epoch
    checkpoints = sum(is_saved(step, every=every, steps=sampler.steps) for step in range(1, sampler.steps + 1))
    counts = manifest.counts if manifest is not None else {}
    trained = counts.get("tokens", 0) * sampler.steps * sampler.per_step // max(1, len(store))
    return Extent(sampler.steps, checkpoints, trained)
