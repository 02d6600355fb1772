"""The screen is spread over kinds and lengths, and is the same at every checkpoint."""

import random
from collections import Counter

from acc.evaluate.screen import screen_of


def rows(**sizes):
    return {f"{name}-{i}": tuple(name.split("_")) for name, size in sizes.items() for i in range(size)}


def counted(chosen, asked):
    return Counter("_".join(asked[row]) for row in chosen)


def test_strata_are_taken_in_proportion():
    asked = rows(two_short=60, two_long=30, four_short=10)
    assert counted(screen_of(asked, 10), asked) == {"two_short": 6, "two_long": 3, "four_short": 1}


def test_every_stratum_has_a_row_while_there_are_places():
    asked = rows(two_short=97, two_long=1, four_short=1, four_long=1)
    assert counted(screen_of(asked, 5), asked) == {"two_short": 2, "two_long": 1, "four_short": 1, "four_long": 1}
    # With fewer places than strata the larger ones come first.
    assert counted(screen_of(asked, 1), asked) == {"two_short": 1}


def test_neither_order_nor_more_rows_of_other_strata_change_the_choice():
    asked = rows(two_short=20, two_long=20)
    shuffled = list(asked.items())
    random.Random(0).shuffle(shuffled)
    assert screen_of(dict(shuffled), 8) == screen_of(asked, 8)
    more = {**asked, **rows(four_short=20)}
    assert {r for r in screen_of(more, 12) if r.startswith("two")} == screen_of(asked, 8)


def test_a_larger_screen_holds_the_smaller_one():
    asked = rows(two_short=50, two_long=30, four_long=7)
    assert screen_of(asked, 10) < screen_of(asked, 20) < screen_of(asked, 60)


def test_no_more_rows_than_there_are():
    asked = rows(two_short=3)
    assert screen_of(asked, 10) == set(asked)
    assert screen_of({}, 10) == frozenset()
