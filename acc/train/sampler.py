"""Which sequences a step trains on: a pure function of (seed, step), so resuming is setting the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from acc.errors import UserError
from acc.stage.seeds import seed_for


@dataclass(frozen=True)
class Sampler:
    """The training order.

    `table[s]` are the sequences of step s for a pack that planned its steps, over `epochs` passes. Without a table each epoch
    is a seeded permutation of all `sequences`, and the epochs follow each other without a gap: no sequence is left out at an
    epoch's end.
    """

    seed: int
    sequences: int
    per_step: int
    steps: int
    table: tuple[tuple[int, ...], ...] = ()
    epochs: float = 1.0

    def __call__(self, step: int) -> Sequence[int]:
        """The numbers of the sequences of a step (from 0), in the order of their slots; `per_step` of them."""
        if self.table:
            return self.table[step % len(self.table)]
        first = step * self.per_step
        return [
            int(permutation(self.seed, i // self.sequences, self.sequences)[i % self.sequences])
            for i in range(first, first + self.per_step)
        ]

    @property
    def steps_per_epoch(self) -> float:
        """Steps of one pass; not whole when the last step of an epoch also begins the next."""
        return len(self.table) / self.epochs if self.table else self.sequences / self.per_step


def make_sampler(seed: int, steps: NDArray[np.int64], *, global_batch: int, epochs: float, max_steps: int | None) -> Sampler:
    """The sampler for a store of packed sequences.

    Args:
        steps: `SequenceStore.steps`: the step of each sequence, or -1 everywhere.
        global_batch: sequences per step where the pack planned no steps.
        epochs: passes over the sequences; a pack that planned its steps counted them already.
        max_steps: so many steps, whatever the epochs, though not more than were planned; or None.

    Raises:
        UserError: there are no sequences, or the planned steps differ in size.
    """
    if not len(steps):
        raise UserError("there are no sequences to train on", where="pack", mend="Look at the pack stage's rejections")
    if (steps < 0).all():
        return Sampler(seed, len(steps), global_batch, max_steps or math.ceil(epochs * len(steps) / global_batch))
    groups = [tuple(map(int, np.flatnonzero(steps == s))) for s in np.unique(steps)]
    sizes = {len(g) for g in groups}
    if len(sizes) > 1:
        raise UserError(
            f"steps hold between {min(sizes)} and {max(sizes)} sequences", where="pack", mend="Run `acc pack` again"
        )
    planned = min(len(groups), max_steps or len(groups))
    return Sampler(seed, len(steps), sizes.pop(), planned, tuple(groups), 1.0 if max_steps else epochs)


def is_saved(step: int, *, every: float, steps: int) -> bool:
    """Whether there is a checkpoint after this step, of `steps`: each time that another `every` steps are over (which need
    not be whole, as those of an epoch), and after the last.
    """
    return step == steps or _passed(step, every) > _passed(step - 1, every)


def _passed(step: int, every: float) -> int:
    """How often another `every` steps are over; three times 10/3 are ten, whatever floats say."""
    return math.floor(step / every + 1e-9)


@lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of n sequences in an epoch."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, "train", "epoch", epoch))).permutation(n)
