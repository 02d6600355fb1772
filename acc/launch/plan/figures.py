"""A number of a plan: its value, its unit, and how far it is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tag = Literal["measured", "computed", "assumed"]
"""measured: counted in this run's files; computed: follows from the recipe and the student by arithmetic that was checked
against tracked memory or the code that does it; assumed: rests on a figure of others, or on a guess that stands beside it."""
Unit = Literal["bytes", "seconds", "tokens", "tokens/s", "GPU hours", "node hours", "steps", "number", "share", "FLOP"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `why` says what it is made of, and names what was assumed."""

    name: str
    value: float
    unit: Unit
    tag: Tag
    why: str = ""


def shown(value: float, unit: Unit) -> str:
    """A value as people read it: bytes in GB (10⁹), long times in hours."""
    if unit == "bytes":
        if value < 1e9:
            return f"{value / 1e6:,.0f} MB"
        return f"{value / 1e9:,.2f} GB" if value < 100e9 else f"{value / 1e9:,.0f} GB"
    if unit == "seconds":
        return f"{value:.3g} s" if value < 600 else f"{value / 3600:,.1f} h"
    if unit == "share":
        return f"{value:.0%}"
    if unit == "FLOP":
        return f"{value / 1e12:,.0f} TFLOP"
    if unit in ("GPU hours", "node hours"):
        return f"{value:,.1f} {unit.replace(' hours', '-hours')}"
    return f"{value:,.0f}" + ("" if unit == "number" else f" {unit}")
