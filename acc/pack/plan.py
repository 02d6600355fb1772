"""Documents → the sequences of each optimizer step, or of one epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acc.errors import UserError
from acc.pack.bins import pack_bins
from acc.pack.mixture import Demand, draw
from acc.recipe import Recipe
from acc.records.balance import even_order, waited

EVEN = 16_384
"""Length at which a document's attention costs as much as its matrix products, tokens (about that of Qwen3-30B-A3B)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`sequences` are (step, slot, document numbers), as `SequenceWriter.close` takes them; `steps` is 0 for scope global."""

    sequences: list[tuple[int, int, list[int]]]
    steps: int
    per_step: int
    fillers: int


def plan(
    recipe: Recipe,
    documents: Mapping[str, NDArray[np.int64]],
    lengths: Sequence[int],
    labelled: Sequence[int],
    filler: int,
    data_parallel: int,
) -> tuple[NDArray[np.int64], Plan]:
    """Draw the samples and pack them, as the recipe says.

    Args:
        documents: source → numbers of its documents.
        lengths: tokens of every document, by number.
        labelled: labelled tokens of every document, by number.
        filler: number of the document that has no labels.

    Returns:
        The documents in the order drawn (of the whole run, or of one epoch with scope global), and the sequences.

    Raises:
        UserError: the recipe asks for more repeats of the samples than it allows.
    """
    pack, train = recipe.pack, recipe.train
    weights = {s.name: s.weight for s in recipe.sources}
    sizes = {"samples": None, "tokens": np.asarray(lengths), "labelled_tokens": np.asarray(labelled)}[pack.weights_in]
    epochs = check_epochs(recipe)
    if pack.scope == "step":
        draws = train.max_steps * train.global_batch if train.max_steps else None
        order = draw(documents, weights, pack.max_repeats, Demand(epochs, draws, train.global_batch), recipe.seed, sizes)
        room = {"batch": train.global_batch, "capacity": pack.length, "data_parallel": data_parallel}
        return order, plan_steps(order, lengths, filler=filler, **room)
    order = draw(documents, weights, pack.max_repeats / max(1.0, epochs), Demand(1.0), recipe.seed, sizes)
    packed = plan_epoch(order, lengths, capacity=pack.length)
    passes = (train.max_steps or 0) * train.global_batch / len(packed.sequences)
    repeats = passes * max(np.isin(order, found).sum() / len(found) for found in documents.values() if len(found))
    if repeats > pack.max_repeats:
        raise UserError(
            f"train.max_steps shows a sample {repeats:.1f} times, but pack.max_repeats allows {pack.max_repeats:g}",
            mend="Lower train.max_steps, add data, or raise pack.max_repeats",
        )
    return order, packed


def check_epochs(recipe: Recipe) -> float:
    """The passes over the samples that a recipe asks for; 1 where train.max_steps says how long it trains.

    Raises:
        UserError: they are more than pack.max_repeats.
    """
    epochs, most = recipe.train.epochs if recipe.train.max_steps is None else 1.0, recipe.pack.max_repeats
    if epochs > most:
        raise UserError(
            f"train.epochs ({epochs:g}) asks for more passes than pack.max_repeats ({most:g}) allows",
            mend="Lower train.epochs or raise pack.max_repeats",
        )
    return epochs


def plan_steps(
    order: NDArray[np.int64], lengths: Sequence[int], *, batch: int, capacity: int, data_parallel: int, filler: int
) -> Plan:
    """Pack exactly the samples of each step, `batch` of them, into the same number of sequences at every step.

    The number is what the fullest step needs, rounded up to a multiple of `data_parallel`. The ranks' sequences are made
    alike in cost: a step's documents are spread over all of its sequences, and these are ordered by `even_order`. Sequences
    that stay empty hold only the document `filler`, which has no labels.

    Args:
        order: document numbers as seen, shape [steps × batch].
        lengths: tokens of every document, by number.
    """
    steps = [documents.tolist() for documents in order.reshape(-1, batch)]
    packed = [_packed(documents, lengths, capacity) for documents in steps]
    per_step = -(-max(map(len, packed)) // data_parallel) * data_parallel
    sequences: list[tuple[int, int, list[int]]] = []
    for step, (documents, full) in enumerate(zip(steps, packed, strict=True)):
        held = [*full, *([] for _ in range(per_step - len(full)))]
        if data_parallel > 1:
            spread = _spread(documents, lengths, capacity=capacity, sequences=per_step)
            held = min((found for found in (held, spread) if found), key=lambda h: _slowest(h, lengths, data_parallel))
        slots = even_order([_cost(numbers, lengths) for numbers in held], data_parallel)
        sequences += [(step, slot, held[i] or [filler]) for slot, i in enumerate(slots)]
    fillers = sum(documents == [filler] for _, _, documents in sequences)
    return Plan(sequences, len(steps), per_step, fillers)


def plan_epoch(order: NDArray[np.int64], lengths: Sequence[int], *, capacity: int) -> Plan:
    """Pack all of an epoch's samples; which step sees which sequence is the sampler's to say, so `step` is -1."""
    packed = _packed(order.tolist(), lengths, capacity)
    return Plan([(-1, slot, documents) for slot, documents in enumerate(packed)], 0, 0, 0)


def _packed(documents: list[int], lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Documents in as few sequences as best fit finds."""
    return [[documents[i] for i in held] for held in pack_bins([lengths[n] for n in documents], capacity)]


def _spread(documents: list[int], lengths: Sequence[int], *, capacity: int, sequences: int) -> list[list[int]]:
    """Documents over so many sequences, the costliest first and each to the sequence that costs the least so far; [] where
    one then fits nowhere."""
    held: list[list[int]] = [[] for _ in range(sequences)]
    cost, free = [0] * sequences, [capacity] * sequences
    for n in sorted(documents, key=lambda n: -lengths[n]):
        open_ones = [i for i in range(sequences) if free[i] >= lengths[n]]
        if not open_ones:
            return []
        i = min(open_ones, key=cost.__getitem__)
        held[i].append(n)
        cost[i] += _cost([n], lengths)
        free[i] -= lengths[n]
    return held


def _cost(documents: list[int], lengths: Sequence[int]) -> int:
    """Of a forward and backward pass: attention within each document, and what grows with tokens."""
    return sum(lengths[n] * (lengths[n] + EVEN) for n in documents)


def _slowest(held: list[list[int]], lengths: Sequence[int], ranks: int) -> float:
    """Cost of a step whose ranks wait for each other in every micro-batch."""
    costs = [_cost(documents, lengths) for documents in held]
    return waited([costs[i] for i in even_order(costs, ranks)], ranks)[0]
