"""Benchmarks at every checkpoint, with n and intervals: by type, by length, against the base and beside published numbers.

Synthetic rows are always called synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from acc.html.charts import COLOURS, Difference, Point, Series, differences, line_chart
from acc.html.heat import Cell, heat_table
from acc.html.numbers import Format
from acc.html.page import Child, Markup, absent, join, section, table, tag
from acc.records.published import PROTOCOL, of_benchmark
from acc.records.scores import Score
from acc.report.boards import MINUS_BASE, OFFICIAL, STUDENT, Board, bin_end, bin_title, boards
from acc.report.cells import evenly, model_name, score_cell, step_chart
from acc.report.files import RunFiles

MOST_STEPS = 8
"""Checkpoints compared with the base one by one; of more, so many evenly, the last among them."""
PUBLISHED = "published, not measured"
FAMILIES = ((STUDENT, "tokens of the student"), (OFFICIAL, "o200k_base tokens, the official bins"))


def benchmarks_section(run: RunFiles) -> Markup:
    """For every benchmark: verdict, curves, differences, conventions, published numbers, and heat tables by length."""
    found = [b for b in boards(run) if b.kind == "benchmark" and b.conventions]
    if not found:
        asked = not run.recipe or (run.recipe.get("evaluate") or {}).get("benchmarks")
        why = "none has been evaluated yet" if asked else "the recipe asks for none"
        return section("benchmarks", "Benchmarks", absent(f"There are no benchmark scores: {why}."))
    lead = "Bars and brackets are 95% intervals over rows; a row with several answers counts as their mean; step 0 is the base."
    if any(b.synthetic for b in found):
        lead += " Synthetic rows have the benchmark's form but are not the benchmark."
    if any(b.screen for b in found):
        lead += " A screen is a fixed part of the rows, asked at every checkpoint."
    return section("benchmarks", "Benchmarks", *(_board(b) for b in found), lead=lead)


def _board(board: Board) -> Markup:
    drawn = [_by_checkpoint(board), _by_kind(board), *(_by_length(board, *f) for f in FAMILIES)]
    return join(
        [
            tag("h3", board.title),
            _verdict(board),
            tag("div", *(d for d in drawn if d), class_="grid"),
            tag("div", *(d for d in (compared(board), _compared_slices(board)) if d), class_="halves"),
            _conventions(board),
            _published(board),
            *(_heat(board, *f) for f in FAMILIES),
            _slices(board),
        ]
    )


def _verdict(board: Board) -> Markup:
    """One sentence made of the numbers alone."""
    metric, last = board.headline, board.steps[-1]
    score = board.at(last, metric)
    if score is None:
        return absent("There is no score over all rows.")
    form = board.form(metric)
    gain, base = board.at(last, metric + MINUS_BASE), board.at(0, metric)
    text = f"Headline: {metric}. {model_name(last).capitalize()}: {form(score.mean)} (n {score.n})"
    if last and base and gain and gain.n:
        unit = " points" if board.is_share(metric) else ""
        text += f", base {form(base.mean)}; paired difference {_interval(gain, board.form(gain.metric))}{unit} (n {gain.n})"
    elif last and base:
        text += f", base {form(base.mean)}, not paired"
    return tag("p", f"{text}.", class_="lead")


def _interval(s: Score, form: Format) -> str:
    return f"{form(s.mean)} [{form(s.ci95[0])} to {form(s.ci95[1])}]"


def _by_checkpoint(board: Board) -> Markup:
    """The headline over all rows, sample-weighted and bin-weighted."""
    metric = board.headline
    lines = {
        "all rows, sample-weighted": board.over_steps(metric),
        "length bins weighted alike": board.over_steps(metric, "all_bins"),
    }
    return _lines(board, f"{board.title}, {metric}, by checkpoint", metric, {n: s for n, s in lines.items() if s})


def _by_kind(board: Board) -> Markup:
    lines = {kind: board.over_steps(board.headline, kind) for kind in board.kinds}
    return _lines(board, f"{board.title}, {board.headline}, by type", board.headline, {n: s for n, s in lines.items() if s})


def _lines(board: Board, title: str, metric: str, lines: dict[str, list[Score]]) -> Markup:
    """A line for each name over the checkpoints; those beyond the colours there are stand in the table only."""
    drawn = dict(list(lines.items())[:COLOURS])
    if not drawn:
        return Markup("")
    form = board.axis_form(metric)
    series = [
        Series(name, [Point(s.step, s.mean, *s.ci95, note=_note(s, form)) for s in scores], colour)
        for colour, (name, scores) in enumerate(drawn.items())
    ]
    steps = sorted({s.step for scores in drawn.values() for s in scores})
    left = len(lines) - len(drawn)
    counts = sorted({s.n for scores in drawn.values() for s in scores})
    n = f"n {counts[0]:,}" if len(counts) == 1 else f"n {counts[0]:,} to {counts[-1]:,}"
    return step_chart(
        title,
        series,
        steps,
        y_format=form,
        y_range=(0.0, 1.0) if board.is_share(metric) else None,
        note=f"{n}; {left} more are in the table only." if left else f"{n}.",
    )


def _by_length(board: Board, family: str, unit: str) -> Markup:
    """The headline over the length bins, the base against the last model: where reading breaks down."""
    metric, steps = board.headline, dict.fromkeys((board.steps[0], board.steps[-1]))
    bins = [b for b in board.bins(family) if any((s := board.at(step, metric, b)) and s.n for step in steps)]
    if len(bins) < 2:
        return Markup("")
    form, places = board.axis_form(metric), {math.log2(bin_end(b)): bin_title(b) for b in bins}
    series = []
    for step in steps:
        scores = [(b, s) for b in bins if (s := board.at(step, metric, b)) and s.n]
        points = [Point(math.log2(bin_end(b)), s.mean, *s.ci95, note=_note(s, form)) for b, s in scores]
        if points:
            series.append(Series(model_name(step), points, 0 if step else 7))
    if not series:
        return Markup("")
    return line_chart(
        f"{board.title}, {metric}, by length{', official bins' if family == OFFICIAL else ''}",
        series,
        x_label=unit,
        x_format=lambda x: places[x].removeprefix("≤ "),
        y_format=form,
        y_range=(0.0, 1.0) if board.is_share(metric) else None,
        markers=True,
        x_ticks=[math.log2(bin_end(bins[i])) for i in evenly(range(len(bins)), 6)],
        note="Each point is a bin up to so many tokens.",
    )


def _note(s: Score, form: Format) -> str:
    return f"95% {form(s.ci95[0])} to {form(s.ci95[1])}, n {s.n}"


def compared(board: Board) -> Markup:
    """The headline's paired differences over all rows: every checkpoint against the base."""
    trained = [s for s in board.steps if s and board.at(s, board.headline + MINUS_BASE)]
    pairs = {f"step {s} − base": board.at(s, board.headline + MINUS_BASE) for s in evenly(trained, MOST_STEPS)}
    return _differences(board, f"{board.title}, {board.headline}: against the base", pairs)


def _compared_slices(board: Board) -> Markup:
    """The last checkpoint's paired differences: bin-weighted, by type, and by length."""
    metric = board.headline + MINUS_BASE
    last = max((s for s in board.steps if board.at(s, metric)), default=0)
    bins = board.bins(OFFICIAL) or board.bins(STUDENT)
    groups = {"bins weighted alike": "all_bins", **{k: k for k in board.kinds}, **{bin_title(b): b for b in bins}}
    pairs = {name: board.at(last, metric, group) for name, group in groups.items()}
    return _differences(board, f"{board.title}, {board.headline}: step {last} against the base, by slice", pairs)


def _differences(board: Board, title: str, pairs: Mapping[str, Score | None]) -> Markup:
    """Differences with an interval to draw: those of one row have none."""
    metric = board.headline + MINUS_BASE
    form, unit = board.form(metric), ", points" if board.is_share(metric) else ""
    known = {label: s for label, s in pairs.items() if s and s.n > 1}
    rows = [Difference(f"{label} (n {s.n})", s.mean, *s.ci95, _interval(s, form)) for label, s in known.items()]
    note = "The same rows on both sides; paired 95% intervals; right of zero is better; grey spans zero."
    return differences(f"{title}{unit}", rows, x_format=board.axis_form(metric), note=note) if rows else Markup("")


def _conventions(board: Board) -> Markup:
    """All rows under every convention, and the bin-weighted overall, at every model."""
    rows: list[list[Child]] = []
    for group, said in (("all", ""), ("all_bins", _bins_said(board))):
        for metric in board.conventions:
            scores = {s.step: s for s in board.over_steps(metric, group)}
            if scores and (group == "all" or metric == board.headline):
                name = tag("strong", metric) if metric == board.headline else metric
                rows.append([join([name, tag("small", said)]) if said else name, *_cells(board, metric, scores)])
                if differ := {s.step: s for s in board.over_steps(metric + MINUS_BASE, group) if s.step}:
                    label = join([metric, tag("small", f"− base, paired{', ' + said if said else ''}")])
                    rows.append([label, *_cells(board, metric + MINUS_BASE, differ, without="", lost=False)])
    for metric, name in (
        ("cut", "answers cut by length"),
        ("thinking_tokens", "thinking tokens a row"),
        ("tokens", "tokens a row"),
    ):
        if scores := {s.step: s for s in board.over_steps(metric)}:
            rows.append([name, *_cells(board, metric, scores, lost=False)])
    return table(["", *map(model_name, board.steps)], rows, caption=f"{board.title}, all kinds and lengths")


def _bins_said(board: Board) -> str:
    """Which length bins weigh the same in the bin-weighted overall."""
    used = {str(s.extra.get("bins")) for s in board.scores if s.group == "all_bins"}
    named = [name for family, name in (("o200k", "official bins"), ("student", "the student's bins")) if family in used]
    return ", ".join(["bins weighted alike", *named])


def _cells(
    board: Board, metric: str, scores: dict[int, Score], without: str = "not measured", lost: bool = True
) -> list[Child]:
    return [score_cell(scores[s], board.form(metric), lost=lost) if s in scores else without for s in board.steps]


def _published(board: Board) -> Markup:
    """The measured base and last model beside the paper's numbers: for all official rows alone, in the paper's convention."""
    numbers = [] if board.synthetic or board.screen else of_benchmark(board.benchmark)
    metric = numbers[0].metric if numbers else ""
    steps = list(dict.fromkeys(s for s in (board.steps[0], board.steps[-1]) if board.at(s, metric)))
    if not numbers or not steps:
        return Markup("")
    papers, groups = list(dict.fromkeys(p.model for p in numbers)), list(dict.fromkeys(p.group for p in numbers))
    values = {(p.model, p.group): p.value for p in numbers}
    rows: list[list[Child]] = []
    for group in groups:
        measured = [board.at(s, metric, group) for s in steps]
        shown: list[Child] = [score_cell(s, board.form(metric)) if s else "not measured" for s in measured]
        if group == "all" and not set(board.kinds) <= set(groups):
            # Rows of other kinds are in it: it is not the mean that the paper gives.
            shown = [join(["not the paper's rows", tag("small", ", ".join(board.kinds))])] * len(steps)
        rows.append([group, *shown, *(f"{100 * values[m, group]:.2f}%" if (m, group) in values else "–" for m in papers)])
    head = [join([model_name(s), tag("small", "measured here")]) for s in steps]
    head += [join([m, tag("small", PUBLISHED)]) for m in papers]
    note = (
        f"The paper's protocol: {PROTOCOL}. Compare only if the recipe asks the same rows in the same way (preset acc_paper)."
    )
    caption = f"{board.title}, {metric}, beside the paper's numbers"
    return join([table(["", *head], rows, caption=caption), tag("p", note, class_="note")])


def _heat(board: Board, family: str, unit: str) -> Markup:
    """Checkpoint × length bin: the headline, and the share of answers cut by length."""
    bins = board.bins(family)
    tables = []
    for metric, said in ((board.headline, board.headline), ("cut", "share of answers cut by length")):
        rows = [
            (model_name(step), [_heat_cell(board.at(step, metric, b), board.form(metric)) for b in bins])
            for step in board.steps
        ]
        if board.is_share(metric) and any(c.value is not None for _, cells in rows for c in cells):
            caption = f"{board.title}, {said}, by length ({unit})"
            tables.append(heat_table(["", *(bin_title(b) for b in bins)], rows, caption=caption, cost=metric == "cut"))
    return join(tables)


def _heat_cell(score: Score | None, form: Format) -> Cell:
    if score is None:
        return Cell(None, "–")
    lost = f", {score.skipped} skipped" if score.skipped else ""
    return Cell(score.mean, form(score.mean), f"n {score.n}{lost}") if score.n else Cell(None, "–", f"n 0{lost}")


def _slices(board: Board) -> Markup:
    """Every convention by type and by length, folded."""
    rows: list[list[Child]] = []
    for group in [*board.kinds, *board.bins(STUDENT), *board.bins(OFFICIAL)]:
        for metric in (m for c in board.conventions for m in (c, c + MINUS_BASE)):
            if scores := {s.step: s for s in board.over_steps(metric, group)}:
                label = f"{group.replace('_', ' ')}, {metric.replace(MINUS_BASE, ' − base')}"
                rows.append(
                    [label, *_cells(board, metric, scores, without="–" if metric.endswith(MINUS_BASE) else "not measured")]
                )
    if not rows:
        return Markup("")
    inner = table(["", *map(model_name, board.steps)], rows, caption=f"{board.title}, by slice")
    return tag("details", tag("summary", f"{board.title}, every slice"), inner)
