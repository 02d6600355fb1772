"""Sequences of a step: exactly its samples, a fixed number, alike in cost across ranks."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acc.pack.plan import EVEN, plan_epoch, plan_steps
from acc.records.balance import even_order, waited

RANDOM = random.Random(0)
LENGTHS = [RANDOM.randint(100, 9_000) for _ in range(64)]
FILLER = len(LENGTHS)
ORDER = np.asarray(RANDOM.sample(range(64), 64))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_step_holds_exactly_its_samples_in_a_fixed_number_of_sequences(ranks: int) -> None:
    plan = plan_steps(ORDER, [*LENGTHS, 8], batch=16, capacity=10_000, data_parallel=ranks, filler=FILLER)
    assert plan.steps == 4
    assert plan.per_step % ranks == 0
    for step in range(4):
        found = [(slot, held) for s, slot, held in plan.sequences if s == step]
        assert [slot for slot, _ in found] == list(range(plan.per_step))
        held = [n for _, numbers in found for n in numbers if n != FILLER]
        assert sorted(held) == sorted(ORDER[16 * step : 16 * step + 16].tolist())
        assert all(sum(LENGTHS[n] for n in numbers if n != FILLER) <= 10_000 for _, numbers in found)
    assert plan.fillers == sum(held == [FILLER] for _, _, held in plan.sequences)


def test_ranks_get_micro_batches_of_similar_cost() -> None:
    plan = plan_steps(ORDER, [*LENGTHS, 8], batch=64, capacity=10_000, data_parallel=4, filler=FILLER)
    costs = [sum(n * (n + EVEN) for n in ([*LENGTHS, 8][d] for d in held)) for _, _, held in plan.sequences]
    ranks = np.asarray(costs).reshape(-1, 4).sum(0)
    assert ranks.max() <= 1.1 * ranks.min()


def test_neighbours_in_cost_share_a_micro_batch() -> None:
    lengths = [6_000, 5_500, 5_400, 5_300, 4_600, 4_500]
    plan = plan_steps(np.arange(6), [*lengths, 8], batch=6, capacity=10_000, data_parallel=2, filler=6)
    costs = [sum(lengths[d] * (lengths[d] + EVEN) for d in held) for _, _, held in plan.sequences]
    assert len(costs) == 4
    assert min(costs[:2]) >= max(costs[2:])


def test_packing_over_an_epoch_uses_its_room() -> None:
    plan = plan_epoch(np.arange(64), LENGTHS, capacity=20_000)
    assert sorted(n for _, _, held in plan.sequences for n in held) == list(range(64))
    assert {step for step, _, _ in plan.sequences} == {-1}
    assert len(plan.sequences) <= -(-sum(LENGTHS) // 20_000) + 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 10_000), min_size=4, max_size=40), st.sampled_from([2, 4, 8]))
def test_no_rank_waits_longer_than_the_longest_document_makes_it(lengths: list[int], ranks: int) -> None:
    """Graham's bound for the greedy: no sequence costs more than its share and one document."""
    order = np.arange(len(lengths))
    plan = plan_steps(order, [*lengths, 8], batch=len(lengths), capacity=400_000, data_parallel=ranks, filler=len(lengths))
    assert plan.per_step == ranks
    cost = np.array([n * (n + EVEN) for n in lengths])
    held = [sum(int(cost[d]) for d in documents if d < len(lengths)) for _, _, documents in plan.sequences]
    assert sum(held) == cost.sum()
    assert max(held) <= cost.sum() / ranks + cost.max()


def test_ranks_are_even_where_documents_are_many() -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        lengths = np.minimum(random.lognormal(8, 1, 64), 20_000).astype(int).tolist()
        plan = plan_steps(np.arange(64), [*lengths, 8], batch=64, capacity=131_072, data_parallel=8, filler=64)
        costs = [sum(lengths[d] * (lengths[d] + EVEN) for d in held if d < 64) for _, _, held in plan.sequences]
        slowest, mean = waited(costs, 8)
        assert slowest <= 1.05 * max(mean, *(n * (n + EVEN) for n in lengths))


def test_sequences_that_the_fullest_step_needs_are_used_by_the_others_too() -> None:
    lengths = [9_000, 9_000, 9_000, 9_000, 100, 100, 100, 100]
    plan = plan_steps(np.arange(8), [*lengths, 8], batch=4, capacity=10_000, data_parallel=4, filler=8)
    assert [documents for step, _, documents in plan.sequences if step == 1] == [[4], [5], [6], [7]]
    assert plan.fillers == 0


def test_micro_batches_hold_sequences_alike_in_cost_and_ranks_get_as_much() -> None:
    costs = [RANDOM.randint(1, 1_000) ** 2 for _ in range(64)]
    slots = [costs[i] for i in even_order(costs, 4)]
    assert sorted(slots) == sorted(costs)
    slowest, mean = waited(slots, 4)
    assert slowest <= 1.1 * mean
    sums = np.asarray(slots).reshape(-1, 4).sum(0)
    assert sums.max() <= 1.05 * sums.mean()
    assert waited([8, 8, 2, 2], 2) == (10.0, 10.0)
    assert waited([8, 2, 2, 8], 2) == (16.0, 10.0)
