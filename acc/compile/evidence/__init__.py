"""Trajectory → evidence pieces, one module a domain. A new domain is a module with `take` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from acc.compile.evidence import database, observations, search, software
from acc.compile.evidence.pieces import Evidence, Refused, Taken, whole_characters
from acc.compile.resolvers import NO_RESOLVERS, Resolvers
from acc.trajectories.record import Trajectory

__all__ = ["Evidence", "Refused", "Taken", "take"]

DOMAINS: dict[str, Callable[[Trajectory, Resolvers], Evidence | Refused]] = {
    "search": search.take,
    "software": software.take,
    "database": database.take,
    "other": observations.take,
}


def take(trajectory: Trajectory, domain: str, resolvers: Resolvers = NO_RESOLVERS) -> Evidence | Refused:
    """The evidence that a trajectory gives, whole where a resolver holds it, or why it gives none.

    Args:
        domain: search, software, database or other.
    """
    found = DOMAINS[domain](trajectory, resolvers)
    if isinstance(found, Evidence):
        found.pieces = [replace(p, locator=whole_characters(p.locator), text=whole_characters(p.text)) for p in found.pieces]
    return found
