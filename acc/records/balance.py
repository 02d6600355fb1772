"""Sequences of a step over the data-parallel ranks: alike in cost in every micro-batch, and in the ranks' sums.

Slot k of a step is data rank k % ranks' sequence in its micro-batch k // ranks. Under ZeRO-3 the ranks wait for each other in
every micro-batch, so what counts is the costliest sequence of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def even_order(costs: Sequence[int] | NDArray[np.int64], ranks: int) -> list[int]:
    """The sequences in the order of their slots.

    Neighbours in cost share a micro-batch, which makes the sum of the costliest ones least; within it the costliest goes to
    the rank with the least so far.

    Args:
        costs: of the sequences of one step; a multiple of `ranks`.
    """
    ordered = sorted(range(len(costs)), key=lambda i: -int(costs[i]))
    load = [0] * ranks
    slots: list[int] = []
    for start in range(0, len(ordered), ranks):
        group = [0] * ranks
        for i, rank in zip(ordered[start : start + ranks], sorted(range(ranks), key=load.__getitem__), strict=True):
            group[rank] = i
            load[rank] += int(costs[i])
        slots += group
    return slots


def waited(costs: Sequence[int] | NDArray[np.int64], ranks: int) -> tuple[float, float]:
    """(cost of the costliest sequence, mean cost), each summed over the micro-batches of a step.

    Their quotient is how much longer the ranks take than if all sequences cost the same; 1 is even.

    Args:
        costs: of the sequences of one step in the order of their slots.
    """
    by_micro_batch = np.asarray(costs, dtype=np.float64).reshape(-1, ranks)
    return float(by_micro_batch.max(1).sum()), float(by_micro_batch.mean(1).sum())
