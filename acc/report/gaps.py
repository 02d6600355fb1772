"""The cheap signal: how much likelier the right answer is with the evidence than without it, question by question.

A gap is the NLL of the right answer with something withheld less that with all evidence, in nats a token. Withholding as many
distractors instead of the support is the control: where the model reads the evidence, its gap stays near zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from acc.html.charts import COLOURS, Difference, Point, Series, differences
from acc.html.numbers import axis_signed, signed
from acc.html.page import Child, Markup, join, table, tag
from acc.records.stats import Mean, mean, paired
from acc.report.boards import bin_end, bin_title
from acc.report.cells import evenly, step_chart
from acc.report.files import CONDITIONS, RunFiles
from acc.report.questions import COLOUR, NAMES, by_question

WITHHELD = CONDITIONS[1:]
MOST_STEPS = 16
"""Models in a chart; of more, so many evenly, the first and the last among them."""
Gaps = dict[str, float]
"""Question → nats a token."""
GapsOf = Callable[[int, str], Gaps]
"""(step, condition) → gaps."""


def gaps(run: RunFiles) -> Markup:
    """Gaps by checkpoint, by domain and by length, and how they changed since the base; nothing where no NLL was measured."""
    steps = evenly(list(run.held_out_rows), MOST_STEPS)
    values = {(s, c): by_question(run, "nll", s, c) for s in steps for c in CONDITIONS}

    def gaps_of(step: int, condition: str) -> Gaps:
        full = values[step, "full"]
        return {q: v - full[q] for q, v in values[step, condition].items() if q in full}

    shown = [c for c in WITHHELD if any(gaps_of(s, c) for s in steps)]
    if not shown:
        return Markup("")
    domains, bins = _labels(run, "domain"), _labels(run, "bin")
    charts = [_lines("NLL gap by checkpoint, nats a token", steps, {NAMES[c]: (c, None) for c in shown}, gaps_of, COLOUR)]
    if "no_support" in shown:
        for title, labels in (("domain", domains), ("length", bins)):
            groups = sorted(set(labels.values()), key=lambda g: (bin_end(g), g))
            lines = {bin_title(g): ("no_support", {q for q, v in labels.items() if v == g}) for g in groups[:COLOURS]}
            if len(groups) > 1:
                charts.append(_lines(f"NLL gap by {title}, {NAMES['no_support']}", steps, lines, gaps_of, {}))
    ends = list(dict.fromkeys((steps[0], steps[-1])))
    return join(
        [
            tag("h3", "Does it use the context?"),
            tag("p", _said(ends, shown, gaps_of), class_="lead"),
            tag("div", *(c for c in charts if c), class_="grid"),
            tag("div", *_grown(ends, shown, gaps_of, domains, bins), class_="halves"),
            _table(ends, shown, gaps_of, {"domain": domains, "length": bins}),
        ]
    )


def _labels(run: RunFiles, key: str) -> dict[str, str]:
    """Question → its domain, or its length bin with all evidence."""
    rows = (r for rows in run.held_out_rows.values() for r in rows if r.get("condition") == "full" and r.get(key))
    return {str(r["sample_id"]): str(r[key]) for r in rows}


def _said(ends: list[int], shown: list[str], gaps_of: GapsOf) -> str:
    parts = []
    for step in ends:
        found = [(c, mean(gaps_of(step, c).values())) for c in shown]
        said = ", ".join(f"{NAMES[c]} {_text(m)}" for c, m in found if m.n)
        parts.append(f"{_model(step)}: {said}")
    return (
        "A gap is the right answer's NLL with something withheld less that with all evidence, nats a token, on the same "
        f"questions. {'; '.join(parts)}."
    )


def _text(m: Mean) -> str:
    return f"{signed(m.mean)} [{signed(m.ci95[0])} to {signed(m.ci95[1])}]"


def _model(step: int) -> str:
    return f"Step {step}" if step else "Base"


def _lines(
    title: str, steps: list[int], lines: Mapping[str, tuple[str, set[str] | None]], gaps_of: GapsOf, colours: Mapping[str, int]
) -> Markup:
    """A line for each name: the mean gap of a condition over the questions of a group (None for all)."""
    series, counts = [], set()
    for at, (name, (condition, questions)) in enumerate(lines.items()):
        points = []
        for step in steps:
            m = mean(v for q, v in gaps_of(step, condition).items() if questions is None or q in questions)
            if m.n:
                counts.add(m.n)
                points.append(Point(step, m.mean, *m.ci95, note=f"95% {signed(m.ci95[0])} to {signed(m.ci95[1])}, n {m.n}"))
        if points:
            series.append(Series(name, points, colours.get(condition, at)))
    if not series:
        return Markup("")
    n = f"n {min(counts)}" if len(counts) == 1 else f"n {min(counts)} to {max(counts)}"
    return step_chart(
        title,
        series,
        steps,
        y_format=axis_signed,
        note=f"Higher: it leans more on what was withheld. {n}.",
    )


def _grown(ends: list[int], shown: list[str], gaps_of: GapsOf, *families: Mapping[str, str]) -> list[Markup]:
    """The change of each gap from the first model to the last, paired by question: of every condition, and of one by group."""
    if len(ends) < 2:
        return []
    first, last = ends
    title = f"Change of the gap, {_model(last).lower()} − {_model(first).lower()}, nats a token"
    note = "Right of zero: training made the model lean more on what was withheld; the control should not move."
    found = {NAMES[c]: (paired(gaps_of(last, c), gaps_of(first, c)), 0 if c == "exchanged" else 1) for c in shown}
    figures = [_differences(title, found, note)]
    if "no_support" in shown:
        now, before = gaps_of(last, "no_support"), gaps_of(first, "no_support")
        grouped = {}
        for labels in families:
            for group in sorted(set(labels.values()), key=lambda g: (bin_end(g), g)):
                own = {q: v for q, v in now.items() if labels.get(q) == group}
                grouped[bin_title(group)] = (paired(own, before), 1)
        figures.append(_differences(f"The same by domain and length, {NAMES['no_support']}", grouped, ""))
    return [f for f in figures if f]


def _differences(title: str, found: Mapping[str, tuple[Mean, int]], note: str) -> Markup:
    rows = [Difference(f"{name} (n {m.n})", m.mean, *m.ci95, _text(m), sign) for name, (m, sign) in found.items() if m.n]
    return differences(title, rows, x_format=axis_signed, note=note) if rows else Markup("")


def _table(ends: list[int], shown: list[str], gaps_of: GapsOf, families: Mapping[str, Mapping[str, str]]) -> Markup:
    """The gaps of the first and the last model over all questions, by domain and by length."""
    columns = [(c, s) for c in shown for s in ends]
    found = {column: gaps_of(column[1], column[0]) for column in columns}
    rows: list[list[Child]] = [["all questions", *(_cell(mean(found[c].values())) for c in columns)]]
    for labels in families.values():
        for group in sorted(set(labels.values()), key=lambda g: (bin_end(g), g)):
            cells = [_cell(mean(v for q, v in found[c].items() if labels.get(q) == group)) for c in columns]
            rows.append([bin_title(group), *cells])
    head = [join([NAMES[c], tag("small", _model(s).lower())]) for c, s in columns]
    return table(["", *head], rows, caption="NLL gaps by domain and length (tokens of the student), nats a token")


def _cell(m: Mean) -> Child:
    if not m.n:
        return "–"
    interval = tag("small", f"{signed(m.ci95[0])} to {signed(m.ci95[1])}")
    shown = tag("strong", signed(m.mean)) if m.excludes_zero else signed(m.mean)
    return join([shown, interval, tag("small", f"n {m.n}")])
