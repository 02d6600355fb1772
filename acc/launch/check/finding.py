"""What a check says: what is wrong or worth knowing, where, and the mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from acc.errors import UserError, UserErrors

Level = Literal["error", "warning", "note"]
"""error: a stage will refuse it or fail; warning: it runs, and is probably not what is meant; note: a fact, or what was not
checked and why."""
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `where` begins with a field of the recipe where one is meant; `mend` is empty where there is nothing to."""

    level: Level
    what: str
    where: str = ""
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.level}: {place}{self.what}." + (f" {self.mend}." if self.mend else "")


def findings_of(error: UserError, *, level: Level = "error", where: str = "") -> list[Finding]:
    """A refusal as findings, one for each mistake in it.

    Args:
        where: the place of those that name none.
    """
    errors = error.errors if isinstance(error, UserErrors) else [error]
    return [Finding(level, e.what, e.where or where, e.mend) for e in errors]


def refusals(check: Callable[..., object], *arguments: Any, level: Level = "error", where: str = "") -> list[Finding]:
    """What a stage's own check refuses, if anything."""
    try:
        check(*arguments)
    except UserError as e:
        return findings_of(e, level=level, where=where)
    return []
