"""The screen: a few rows of a benchmark, the same ones at every checkpoint, spread over its kinds and lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from acc.stage.seeds import seed_for

Stratum = tuple[str, str]
"""(kind, length bin)."""


def screen_of(rows: Mapping[str, Stratum], size: int) -> frozenset[str]:
    """Choose `size` rows, in proportion to the strata and at least one of each while there are places.

    The choice depends on the rows' names and strata alone: neither their order nor a checkpoint changes it.

    Args:
        rows: row → its stratum.
        size: rows wanted, number; all rows where there are no more.
    """
    strata: dict[Stratum, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (seed_for(0, "screen", r), r)):
        strata[rows[row]].append(row)
    places = _places({name: len(members) for name, members in strata.items()}, min(size, len(rows)))
    return frozenset(row for name, members in strata.items() for row in members[: places[name]])


def _places(sizes: Mapping[Stratum, int], places: int) -> dict[Stratum, int]:
    """How many rows each stratum gives, at most its size and `places` together.

    Places go one by one to the stratum that is furthest behind its share; one without any comes before all others.
    """
    given = dict.fromkeys(sizes, 0)
    for _ in range(places):
        open_ = [name for name in sizes if given[name] < sizes[name]]
        # With g places a stratum of s rows is at (g + 1/2) / s of its share; larger strata and then names settle ties.
        behind = min(open_, key=lambda n: (given[n] > 0, (given[n] + 0.5) / sizes[n], -sizes[n], n))
        given[behind] += 1
    return given
