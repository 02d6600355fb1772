"""What every table of scores needs: the names of the models, a choice among many steps, and a score with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acc.html.charts import Series, line_chart
from acc.html.numbers import Format
from acc.html.page import Markup, join, tag
from acc.records.scores import Score


def model_name(step: int) -> str:
    """The base or a checkpoint."""
    return f"step {step}" if step else "base"


def evenly(items: Sequence[int], most: int) -> list[int]:
    """At most so many items, evenly taken, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def step_chart(title: str, series: Sequence[Series], steps: Sequence[int], **more: Any) -> Markup:
    """Lines over the evaluated steps, of which at most seven are named.

    Args:
        more: of `acc.html.charts.line_chart`.
    """
    ticks = [float(step) for step in evenly(steps, 7)]
    return line_chart(title, series, x_label="step", x_format=lambda x: f"{x:.0f}", markers=True, x_ticks=ticks, **more)


def score_cell(score: Score, form: Format, *, lost: bool = True) -> Markup:
    """Mean, interval and n of one score; one row alone has no interval.

    Args:
        lost: say what was skipped or failed too.
    """
    counts = ((score.skipped, "skipped"), (score.failed, "failed")) if lost else ()
    said = "".join(f", {n} {word}" for n, word in counts if n)
    low, high = (form(end) for end in score.ci95)
    interval = f"{low} to {high}" if score.metric.endswith("_minus_base") else f"{low.rstrip('%')}–{high}"
    return join([form(score.mean), tag("small", interval) if score.n > 1 else "", tag("small", f"n {score.n}{said}")])
