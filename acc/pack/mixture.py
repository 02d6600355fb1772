"""Which sample is seen when: sources by their weights, each in seeded passes; a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from acc.errors import UserError
from acc.stage.seeds import seed_for


@dataclass(frozen=True, slots=True)
class Demand:
    """How much is asked of the mixture.

    `passes` counts passes over the largest weighted source: the one with the largest weight, of several the one with the most
    samples. `draws` (if not None) asks for so many samples instead. `multiple` is what the total must be divisible by.
    """

    passes: float
    draws: int | None = None
    multiple: int = 1


def draw(
    documents: Mapping[str, NDArray[np.int64]],
    weights: Mapping[str, float],
    max_repeats: float,
    demand: Demand,
    seed: int,
    sizes: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The order in which documents are seen, with repeats.

    Sources take turns as evenly as their parts allow, so every step holds them in the mixture's proportions. Those are met
    over the whole run to within one document of each source. A source whose samples have been seen `max_repeats` times gives
    way to the others. A last, incomplete multiple is filled up by drawing on; where the repeats forbid that, it is left out.

    Args:
        documents: source → numbers of its documents.
        weights: source → weight.
        sizes: what weights count, of every document by number (tokens, labelled tokens); None counts samples.

    Returns:
        Document numbers, shape [draws].

    Raises:
        UserError: more is asked for than `max_repeats` allows, or not even one multiple can be filled.
    """
    names = sorted(n for n, found in documents.items() if len(found) and weights[n] > 0)
    if not names:
        raise UserError("there is no sample to pack", mend="Look at rejections.parquet of compile and pack")
    limits = {n: floor(max_repeats * len(documents[n])) for n in names}
    size = {n: np.ones(len(documents[n])) if sizes is None else sizes[documents[n]].astype(np.float64) for n in names}
    asked = _asked(size, weights, demand, total=sum(limits.values()), max_repeats=max_repeats)
    # A source's next draw falls due when what it has given, over its weight, is the least of all: the first draws to fall
    # due are the run's. A document falls due by its middle.
    drawn = {n: _passes(documents[n], min(limits[n], asked), seed, n) for n in names}
    ends = {n: np.cumsum(np.ones(len(d)) if sizes is None else sizes[d].astype(np.float64)) for n, d in drawn.items()}
    middles = {n: (ends[n] + np.concatenate([[0.0], ends[n][:-1]])) / 2 for n in names}
    due = np.concatenate([middles[n] / weights[n] for n in names])
    which = np.repeat(np.arange(len(names)), [len(drawn[n]) for n in names])
    quotas = np.bincount(which[np.lexsort((which, due))[:asked]], minlength=len(names))
    # Each source is spread over the whole run, one that reached its limit too.
    parts = [(n, i, int(q)) for i, (n, q) in enumerate(zip(names, quotas, strict=True)) if q]
    place = np.concatenate([middles[n][:q] / ends[n][q - 1] for n, _, q in parts])
    order = np.lexsort((np.repeat([i for _, i, _ in parts], [q for _, _, q in parts]), place))
    chosen: NDArray[np.int64] = np.concatenate([drawn[n][:q] for n, _, q in parts])[order]
    return chosen


def _asked(
    size: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float], demand: Demand, *, total: int, max_repeats: float
) -> int:
    """Samples to draw, at most `total`. `size` are the sizes of every source's documents."""
    multiple = demand.multiple
    if demand.draws is None:
        largest = max(size, key=lambda n: (weights[n], len(size[n])))
        given = demand.passes * float(size[largest].sum()) / weights[largest]
        asked = min(max(1, round(sum(given * weights[n] / float(s.mean()) for n, s in size.items()))), total)
    else:
        asked = demand.draws
    asked = ceil(asked / multiple) * multiple
    if asked > total:
        if demand.draws is not None:
            least = ceil(10 * asked / sum(len(s) for s in size.values())) / 10
            raise UserError(
                f"{asked} samples are asked for, but pack.max_repeats {max_repeats:g} allows only {total}",
                mend=f"Lower train.max_steps, add data, or raise pack.max_repeats to {least:g} or more",
            )
        asked = total // multiple * multiple
    if not asked:
        raise UserError(
            f"the samples do not fill one step of {multiple} (train.global_batch), even with repeats",
            mend="Lower train.global_batch, add data, or raise pack.max_repeats",
        )
    return asked


def _passes(documents: NDArray[np.int64], count: int, seed: int, source: str) -> NDArray[np.int64]:
    """The first `count` of: a permutation of the documents, another one, and so on."""
    passes = [
        documents[np.random.Generator(np.random.PCG64(seed_for(seed, "mixture", source, k))).permutation(len(documents))]
        for k in range(ceil(count / len(documents)))
    ]
    return np.concatenate(passes)[:count]
