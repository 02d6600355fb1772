"""What the evaluation cost: tokens and seconds by suite and checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acc.html.charts import COLOURS, Point, Series
from acc.html.numbers import compact
from acc.html.page import Child, Markup, absent, section, table, tag
from acc.report.answers import COUNTED, Answers
from acc.report.boards import suite_title
from acc.report.cells import model_name, step_chart
from acc.report.files import RunFiles

HEAD = (
    "answers", "prompt tokens", "generated tokens", "of them thinking", "seconds", "seconds an answer", "cut by length",
    "failed",
)  # fmt: skip


def cost_section(run: RunFiles) -> Markup:
    """Generated tokens by checkpoint, totals by suite and by checkpoint, and each file of responses by itself, folded."""
    title = "Cost of the evaluation"
    answered = {suite: {s: a for s, a in steps.items() if a.answers} for suite, steps in run.answers.items()}
    answered = {suite: steps for suite, steps in answered.items() if any(a.sums.get("tokens") for a in steps.values())}
    if not answered:
        return section("cost", title, absent("There are no answers whose tokens are known."))
    steps = sorted({s for own in answered.values() for s in own})
    by_suite = [(suite_title(suite), own.values()) for suite, own in answered.items()]
    by_step = [(model_name(s), [own[s] for own in answered.values() if s in own]) for s in steps]
    each = [(f"{suite_title(suite)}, {model_name(s)}", [a]) for suite, own in answered.items() for s, a in own.items()]
    lead = (
        "Seconds are the sum over answers; answers that were made at the same time count each, so a clock shows less. The "
        "prompt's tokens count for every answer, though several answers to one prompt may have shared its reading."
    )
    every = [a for own in answered.values() for a in own.values()]
    return section(
        "cost",
        title,
        tag("div", *_charts(answered), class_="grid"),
        _table("By suite, all checkpoints", [*by_suite, ("all", every)]),
        _table("By checkpoint, all suites", by_step),
        tag("details", tag("summary", "Every suite at every checkpoint"), _table("By suite and checkpoint", each)),
        lead=lead,
    )


def _charts(answered: dict[str, dict[int, Answers]]) -> list[Markup]:
    """A line a suite, one picture for each of what is counted."""
    steps = sorted({s for own in answered.values() for s in own})
    charts = []
    for key, title in (
        ("tokens", "Generated tokens an answer"),
        ("thinking_tokens", "Thinking tokens an answer"),
        ("seconds", "Seconds an answer"),
    ):
        series = []
        for colour, (suite, own) in enumerate(list(answered.items())[:COLOURS]):
            points = [Point(s, a.sums[key] / a.answers, note=f"{a.answers:,} answers") for s, a in own.items() if key in a.sums]
            if points:
                series.append(Series(suite_title(suite), points, colour))
        if series:
            left = len(answered) - len(series)
            charts.append(
                step_chart(
                    title,
                    series,
                    steps,
                    from_zero=True,
                    note=f"{left} more are in the table only." if left else "",
                )
            )
    return charts


def _table(caption: str, rows: Sequence[tuple[str, Iterable[Answers]]]) -> Markup:
    return table(["", *HEAD], [[name, *_cells(list(answers))] for name, answers in rows], caption=caption)


def _cells(answers: list[Answers]) -> list[Child]:
    def known(key: str) -> str:
        """The sum over the answers that have it; a lower bound where some have not."""
        having = [a for a in answers if key in a.sums]
        least = "≥ " if len(having) < len(answers) else ""
        return f"{least}{sum(a.sums[key] for a in having):,.0f}" if having else "not recorded"

    timed = [a for a in answers if "seconds" in a.sums]
    apiece = sum(a.sums["seconds"] for a in timed) / sum(a.answers for a in timed) if timed else None
    return [
        f"{sum(a.answers for a in answers):,}",
        *(known(key) for key in COUNTED),
        "not recorded" if apiece is None else compact(apiece),
        f"{sum(a.cut for a in answers):,}",
        f"{sum(a.failed for a in answers):,}",
    ]
