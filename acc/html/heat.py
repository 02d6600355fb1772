"""Tables whose cells are shaded by their values: two ways to read one number, so that colour alone never carries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from acc.html.page import Child, Markup, tag

SHADES = 10
"""Shades beyond none; the style sheet has a class for each, h0 … h10."""


class Cell(NamedTuple):
    """`value` in [0, 1] is the shade, None for a cell that was not measured; `text` and `small` are read."""

    value: float | None
    text: str
    small: str = ""


def heat_table(
    head: Sequence[Child], rows: Sequence[tuple[Child, Sequence[Cell]]], *, caption: str, cost: bool = False
) -> Markup:
    """A table in its own scroll box, each cell shaded.

    Args:
        head: the column headings, that of the row names first.
        rows: (name, cells).
        cost: dark is bad, not good.
    """
    body = [tag("tr", tag("th", name, scope="row"), *(_cell(c) for c in cells)) for name, cells in rows]
    inner = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col", class_="number" if i else None) for i, h in enumerate(head)))),
        tag("tbody", *body),
        class_="heat cost" if cost else "heat",
    )
    box = tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return tag("div", tag("p", caption, class_="caption"), box, class_="table")


def _cell(cell: Cell) -> Markup:
    shade = None if cell.value is None else round(min(1.0, max(0.0, cell.value)) * SHADES)
    kind = "number" if shade is None else f"number h{shade}"
    return tag("td", cell.text, tag("small", cell.small) if cell.small else "", class_=kind)
