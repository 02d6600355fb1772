"""The mixture: proportions by weight, seeded passes, limited repeats, whole steps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acc.errors import UserError
from acc.pack.mixture import Demand, draw


def documents(**sizes: int) -> dict[str, np.ndarray]:
    found, at = {}, 0
    for name, size in sizes.items():
        found[name] = np.arange(at, at + size)
        at += size
    return found


def test_weights_are_shares_of_samples_in_every_step() -> None:
    order = draw(documents(a=100, b=300), {"a": 1.0, "b": 3.0}, 4, Demand(1, multiple=8), 0)
    assert len(order) == 400
    assert all((step < 100).sum() == 2 for step in order.reshape(-1, 8))


def test_a_pass_sees_every_sample_once_and_passes_differ() -> None:
    order = draw(documents(a=40), {"a": 1.0}, 4, Demand(2, multiple=8), 0)
    first, second = order[:40].tolist(), order[40:].tolist()
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second


def test_the_order_is_a_function_of_the_seed() -> None:
    def order(seed: int) -> list[int]:
        return draw(documents(a=30, b=9), {"a": 1.0, "b": 0.5}, 4, Demand(1, multiple=4), seed).tolist()

    assert order(1) == order(1) != order(2)


def test_a_longer_run_of_the_same_source_begins_with_the_shorter_one() -> None:
    short, long = (draw(documents(a=30), {"a": 1.0}, 4, Demand(1, n, 4), 0).tolist() for n in (20, 80))
    assert long[:20] == short


def test_a_source_seen_often_enough_gives_way_to_the_others() -> None:
    order = draw(documents(small=10, large=1000), {"small": 1.0, "large": 1.0}, 4, Demand(1, multiple=1), 0)
    seen = Counter(order.tolist())
    assert all(seen[i] == 4 for i in range(10))
    assert len(order) == 2000
    # It is spread over the whole run, not used up at its start.
    assert (order[:1000] < 10).sum() == 20


def test_the_last_step_is_filled_up_by_drawing_on() -> None:
    order = draw(documents(a=10), {"a": 1.0}, 4, Demand(1, multiple=4), 0)
    assert len(order) == 12
    assert set(order.tolist()) == set(range(10))


def test_where_repeats_forbid_it_the_last_step_is_left_out() -> None:
    assert len(draw(documents(a=10), {"a": 1.0}, 1, Demand(1, multiple=4), 0)) == 8


def test_a_source_of_weight_zero_is_left_out() -> None:
    assert draw(documents(a=4, b=4), {"a": 0.0, "b": 1.0}, 4, Demand(1), 0).min() == 4


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.05, 10), st.integers(1, 2_000)), min_size=2, max_size=5),
    st.integers(1, 600),
    st.integers(0, 99),
)
def test_weights_in_any_unit_are_met_to_within_a_document_of_each_source(
    sources: list[tuple[int, float, int]], draws: int, seed: int
) -> None:
    found = documents(**{f"s{i}": n for i, (n, _, _) in enumerate(sources)})
    weights = {f"s{i}": w for i, (_, w, _) in enumerate(sources)}
    random = np.random.default_rng(seed)
    sizes = np.concatenate([random.integers(1, most + 1, n) for n, _, most in sources])
    # So many repeats that no source has to give way.
    order = draw(found, weights, 1e6, Demand(1, draws), seed, sizes)
    given_ = {n: int(sizes[order[np.isin(order, numbers)]].sum()) for n, numbers in found.items()}
    largest = {n: int(sizes[numbers].max()) for n, numbers in found.items()}
    # One level fits all: each source is within half a document of its weight times that.
    level = (
        [(given_[n] - largest[n] / 2) / weights[n] for n in found],
        [(given_[n] + largest[n] / 2) / weights[n] for n in found],
    )
    assert max(level[0]) <= min(level[1]) * (1 + 1e-9)


def test_every_step_holds_the_sources_in_their_proportions_of_tokens() -> None:
    sizes = np.concatenate([np.full(100, 10), np.full(100, 1_000)])
    order = draw(documents(short=100, long=100), {"short": 1.0, "long": 4.0}, 100, Demand(1, multiple=26), 0, sizes)
    assert (np.bincount(order, minlength=200)[100:] == 1).all()  # one pass over the largest weighted source
    for step in order.reshape(-1, 26):
        tokens = sizes[step]
        assert abs(tokens[tokens == 10].sum() / tokens.sum() - 0.2) < 0.2


@pytest.mark.parametrize(
    ("sizes", "demand", "said"),
    [
        ({"a": 10}, Demand(1, 400, 4), "max_repeats 4 allows only 40.*40 or more"),
        ({"a": 3}, Demand(1, None, 16), "do not fill one step of 16"),
        ({"a": 0}, Demand(1), "no sample to pack"),
    ],
)
def test_what_the_samples_cannot_give_is_refused(sizes: dict[str, int], demand: Demand, said: str) -> None:
    with pytest.raises(UserError, match=said):
        draw(documents(**sizes), {"a": 1.0}, 4, demand, 0)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.01, 10)), min_size=1, max_size=5),
    st.floats(1, 6),
    st.floats(0.2, 3),
    st.integers(1, 4),
)
def test_no_sample_is_seen_more_often_than_allowed(
    sources: list[tuple[int, float]], repeats: float, passes: float, multiple: int
) -> None:
    found = documents(**{f"s{i}": n for i, (n, _) in enumerate(sources)})
    weights = {f"s{i}": w for i, (_, w) in enumerate(sources)}
    if sum(int(repeats * n) for n, _ in sources) < multiple:
        return
    order = draw(found, weights, repeats, Demand(passes, None, multiple), 0)
    assert len(order) % multiple == 0
    for numbers in found.values():
        assert np.isin(order, numbers).sum() <= repeats * len(numbers)
        assert all(np.ptp(np.bincount(order, minlength=numbers[-1] + 1)[numbers]) <= 1 for _ in [0])
