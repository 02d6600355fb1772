"""General capabilities and the user's own benchmarks, before and after: "preserved" is a number with an interval."""

from __future__ import annotations

from acc.html.page import Child, Markup, absent, join, section, table, tag
from acc.records.published import ACC, BASE, of_benchmark
from acc.records.scores import Score
from acc.records.stats import Mean, paired
from acc.report.benchmarks import PUBLISHED, compared
from acc.report.boards import MINUS_BASE, Board, boards
from acc.report.cells import evenly, model_name, score_cell
from acc.report.files import RunFiles

MOST_STEPS = 6
"""Models in the table; of more, so many evenly, the base and the last among them."""


def general_section(run: RunFiles) -> Markup:
    """A row for every task and metric: the base, each model, and its paired difference."""
    title = "General capabilities and own benchmarks"
    found = [b for b in boards(run) if b.kind != "benchmark" and b.conventions]
    if not found:
        evaluate = run.recipe.get("evaluate") or {}
        asked = evaluate.get("general") or evaluate.get("commands")
        return section(
            "general",
            title,
            absent(f"There are none: {'none has been measured yet' if asked else 'the recipe asks for none'}."),
        )
    lead = (
        "The same questions before and after; differences are paired by row, in percentage points where the scores are shares, "
        "with 95% intervals. A difference in bold is more than chance."
    )
    figures = [f for b in found if (f := compared(b))]
    return section("general", title, _table(run, found), tag("div", *figures, class_="halves"), *_published(found), lead=lead)


def _table(run: RunFiles, found: list[Board]) -> Markup:
    steps = evenly(sorted({s for b in found for s in b.steps}), MOST_STEPS)
    rows: list[list[Child]] = []
    for board in found:
        for metric in board.conventions:
            name = join([board.name, tag("small", metric)])
            cells: list[Child] = []
            for step in steps:
                score = board.at(step, metric)
                cells.append(score_cell(score, board.form(metric)) if score else "not measured")
                if step:
                    cells.append(_difference(board, metric, against_base(run, board, metric, step) if score else None))
            last = next((d for s in reversed(board.steps) if s and (d := against_base(run, board, metric, s)).n), None)
            rows.append([name, *cells, _said(board, metric, last)])
    head: list[Child] = []
    for step in steps:
        head += [model_name(step)] + ([join([model_name(step), tag("small", "− base, paired")])] if step else [])
    return table(["", *head, "last − base"], rows, caption="Before and after")


def against_base(run: RunFiles, board: Board, metric: str, step: int) -> Mean:
    """The paired difference to the base: the score's own, else made of the rows on disk; n is 0 where there is no pair."""
    if (score := board.at(step, metric + MINUS_BASE)) is not None:
        return Mean(score.mean, score.ci95, score.n)
    answers = run.answers.get(board.suite, {})
    now, base = ({} if s not in answers else answers[s].values(metric) for s in (step, 0))
    return paired(now, base)


def _difference(board: Board, metric: str, difference: Mean | None) -> Child:
    if difference is None:
        return "–"
    if not difference.n:
        return "not paired"
    form = board.form(metric + MINUS_BASE)
    mean, (low, high) = form(difference.mean), map(form, difference.ci95)
    if difference.n == 1:
        return join([mean, tag("small", "n 1")])
    shown = tag("strong", mean) if difference.excludes_zero else mean
    return join([shown, tag("small", f"{low} to {high}"), tag("small", f"n {difference.n}")])


def _said(board: Board, metric: str, last: Mean | None) -> Child:
    """The last paired difference in a word; an interval that spans zero bounds the loss."""
    if last is None:
        return "not compared"
    low, high = last.ci95
    if last.n == 1:
        return "one number, no interval"
    if low > 0:
        return "rose"
    if high < 0:
        return "fell"
    if low == high:
        return "no row changed"
    return join(["no change shown", tag("small", f"a loss beyond {board.form(metric + MINUS_BASE)(low)} is unlikely")])


def _published(found: list[Board]) -> list[Markup]:
    """What the paper published of the same tasks, beside what was measured."""
    rows: list[list[Child]] = []
    for board in (b for b in found if b.kind == "general"):
        names = dict.fromkeys((board.name, board.name.removesuffix("_cot_zeroshot")))
        known = {p.model: p.value for name in names for p in of_benchmark(name)}
        if known:
            ends = [board.at(s, board.headline) for s in (board.steps[0], board.steps[-1])]
            measured = [_measured(board, s) if s else "–" for s in ends]
            rows.append([board.name, *measured, *(f"{100 * known[m]:.2f}%" if m in known else "–" for m in (BASE, ACC))])
    if not rows:
        return []
    head = ["first measured here", "last measured here", *(join([m, tag("small", PUBLISHED)]) for m in (BASE, ACC))]
    return [table(["", *head], rows, caption="Beside the paper's numbers")]


def _measured(board: Board, score: Score) -> Markup:
    return join([score_cell(score, board.form(score.metric)), tag("small", model_name(score.step))])
