"""The table of a smoke."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """What was tried, whether it passed (None: only measured, or not measured), and its numbers."""

    name: str
    passed: bool | None
    said: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def table(rows: list[Row]) -> str:
    """The rows as text, and a last line that says whether all passed."""
    words = {True: "pass", False: "FAIL", None: "-"}
    shown = [f"{row.name:14} {words[row.passed]:5} {row.said}" for row in rows]
    failed = [row.name for row in rows if row.passed is False]
    shown.append(f"{', '.join(failed)} failed" if failed else "everything that was tried passed")
    return "\n".join(shown) + "\n"
