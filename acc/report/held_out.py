"""The main result: what training did to held-out questions, with all evidence, with the support removed, and alone."""

from __future__ import annotations

from acc.html.charts import Difference, Point, Series, differences
from acc.html.numbers import Format, axis_percent, axis_points, axis_signed, compact, percent, points, signed, two
from acc.html.page import Child, Markup, absent, join, section, table, tag
from acc.records.scores import Score
from acc.records.stats import Mean
from acc.report.cells import evenly, model_name, score_cell, step_chart
from acc.report.files import CONDITIONS, RunFiles
from acc.report.gaps import gaps
from acc.report.questions import COLOUR, NAMES, Metric, difference

Overall = dict[tuple[int, str, str], Score]
"""(step, metric, condition) → score over all questions."""

MOST_STEPS = 8
"""Checkpoints compared with the base one by one; of more, so many evenly, the last among them."""


def held_out_section(run: RunFiles) -> Markup:
    """Verdict, curves, paired differences and the table; or the sentence that says what is missing."""
    scores = [s for s in run.scores if s.benchmark == "held_out"]
    title = "What training did"
    if not scores:
        why = (
            "no model has been evaluated on it yet"
            if (run.recipe.get("evaluate") or {}).get("held_out")
            else "none was asked for"
        )
        return section("effect", title, absent(f"There is no held-out result: {why}."))
    overall = {(s.step, s.metric, s.condition): s for s in scores if s.group == "all"}
    steps = sorted({step for step, _, _ in overall})
    what = _what(run, scores)
    body = [
        _verdict(run, overall, steps, what),
        _curves(overall, steps),
        _table(run, overall, steps, what),
        _compared(run, steps),
        gaps(run),
    ]
    return section("effect", title, *body)


def _what(run: RunFiles, scores: list[Score]) -> str:
    """Held-out questions, called synthetic where their sources are."""
    held = {str(s.get("name")) for s in run.sources if s.get("split") == "held_out"}
    if any(s.synthetic for s in scores) or (held and held <= run.synthetic_sources):
        return "held-out synthetic questions"
    return "held-out questions, some of them synthetic" if held & run.synthetic_sources else "held-out questions"


def _verdict(run: RunFiles, overall: Overall, steps: list[int], what: str) -> Markup:
    """One or two sentences in words, made of the numbers alone."""
    last = steps[-1]
    full, base = overall.get((last, "exact", "full")), overall.get((0, "exact", "full"))
    if full is None:
        return absent("Exact match with all evidence was not measured.")
    if base is None or last == 0:
        missing = "No checkpoint has been evaluated yet" if last == 0 else "The base was not evaluated"
        score = f"{model_name(last)} answers {percent(full.mean)} of {what} (n {full.n})"
        return tag("p", f"{missing}, so there is nothing to compare: {score}.", class_="verdict")
    gain = difference(run, "exact", (last, "full"), (0, "full"))
    change = f"from {percent(base.mean)} to {percent(full.mean)}"
    if not gain.n:
        text = f"Exact match on {what} went {change}; without answers question by question there is no paired interval."
        return tag("p", text, class_="verdict")
    verb = "did not measurably change" if not gain.excludes_zero else "raised" if gain.mean > 0 else "lowered"
    kind = {"raised": "verdict good", "lowered": "verdict bad"}.get(verb, "verdict")
    size = f": {change}, {_interval(gain, points)} points (n {gain.n})."
    return join(
        [
            tag("p", "Training ", tag("strong", verb), f" exact match on {what}", size, class_=kind),
            _evidence(run, overall, last),
        ]
    )


def _evidence(run: RunFiles, overall: Overall, last: int) -> Markup:
    """Whether the trained model rests on the evidence."""
    parts, rests = [], True
    for condition, opening in (("no_support", "with the support removed"), ("question_only", "on the question alone")):
        score, change = overall.get((last, "exact", condition)), difference(run, "exact", (last, condition), (last, "full"))
        if score and change.n:
            parts.append(f"{opening} it scores {percent(score.mean)}, {_interval(change, points)} points")
            rests = rests and change.excludes_zero and change.mean < 0
    if not parts:
        return Markup("")
    said = "The trained model needs the evidence" if rests else "It is not shown that the trained model needs the evidence"
    return tag("p", f"{said}: {'; '.join(parts)}. Brackets are paired 95% intervals.", class_="lead")


def _interval(e: Mean, form: Format) -> str:
    return f"{form(e.mean)} [{form(e.ci95[0])} to {form(e.ci95[1])}]"


def _curves(overall: Overall, steps: list[int]) -> Markup:
    charts = []
    for metric, title, form, limits in (
        ("exact", "Exact match (higher is better)", axis_percent, (0.0, 1.0)),
        ("nll", "NLL of the right answer, nats a token (lower is better)", compact, None),
    ):
        series = []
        for condition in CONDITIONS:
            found = [overall[k] for step in steps if (k := (step, metric, condition)) in overall]
            drawn = [Point(s.step, s.mean, *s.ci95, note=f"95% {form(s.ci95[0])} to {form(s.ci95[1])}, n {s.n}") for s in found]
            if drawn:
                series.append(Series(NAMES[condition], drawn, COLOUR[condition]))
        if series:
            note = "Step 0 is the base. Bars are 95% intervals." if 0 in steps else "Bars are 95% intervals."
            charts.append(
                step_chart(
                    title,
                    series,
                    steps,
                    y_format=form,
                    y_range=limits,
                    note=note,
                )
            )
    return tag("div", *charts, class_="halves")


def _compared(run: RunFiles, steps: list[int]) -> Markup:
    """Paired differences: the checkpoints against the base, and the last one against itself with less to read."""
    if not run.held_out_rows:
        return absent("There are no answers row by row, so there are no paired differences.")
    last, trained = steps[-1], [s for s in steps if s]
    pairs = []
    if 0 in steps:
        pairs += [(f"step {s} − base", (s, "full"), (0, "full")) for s in evenly(trained, MOST_STEPS)]
    pairs += [(f"{model_name(last)} − itself, {NAMES[c]}", (last, "full"), (last, c)) for c in CONDITIONS[1:]]
    figures = []
    metrics: list[tuple[Metric, str, Format, Format, int, str]] = [
        ("exact", "Differences in exact match, percentage points", points, axis_points, 1, "right of zero is better"),
        ("nll", "Differences in NLL, nats a token", signed, axis_signed, -1, "left of zero is better"),
    ]
    for metric, title, form, axis, better, side in metrics:
        # The control is neither good nor bad.
        found = [(label, difference(run, metric, a, b), 0 if b[1] == "exchanged" else better) for label, a, b in pairs]
        rows = [Difference(label, e.mean, *e.ci95, _interval(e, form), sign) for label, e, sign in found if e.n]
        if rows:
            counts = sorted({e.n for _, e, _ in found if e.n})
            n = f"n {counts[0]}" if len(counts) == 1 else f"n {counts[0]} to {counts[-1]}"
            note = (
                f"All evidence unless said; same questions on both sides, {n}; paired 95% intervals; {side}; grey spans zero."
            )
            figures.append(differences(title, rows, x_format=axis, note=note))
    if 0 in steps and last:
        figures += _by_domain(run, last)
    return tag("div", *figures, class_="halves")


def _by_domain(run: RunFiles, last: int) -> list[Markup]:
    domains = sorted({str(r.get("domain")) for r in run.held_out_rows.get(last, ()) if r.get("domain")})
    if len(domains) < 2:
        return []
    found = [(d, difference(run, "exact", (last, "full"), (0, "full"), d)) for d in domains]
    rows = [Difference(f"{d} (n {e.n})", e.mean, *e.ci95, _interval(e, points)) for d, e in found if e.n]
    title = f"Step {last} − base by domain, {NAMES['full']}, percentage points of exact match"
    return [differences(title, rows, x_format=axis_points)] if rows else []


def _table(run: RunFiles, overall: Overall, steps: list[int], what: str) -> Markup:
    """Every model under every condition, and what the last checkpoint gained, on the same questions."""
    metrics: tuple[tuple[Metric, str, Format, Format], ...] = (
        ("exact", "exact match", percent, points),
        ("nll", "NLL, nats a token", two, signed),
    )
    tables, wide = [], 0
    for metric, name, form, gain_form in metrics:
        shown = [c for c in CONDITIONS if any((s, metric, c) in overall for s in steps)]
        wide = max(wide, len(shown))
        rows: list[list[Child]] = []
        for step in steps:
            found = [overall.get((step, metric, c)) for c in shown]
            rows.append([model_name(step), *(score_cell(s, form) if s else "not measured" for s in found)])
        if 0 in steps and (last := steps[-1]):
            gains = [difference(run, metric, (last, c), (0, c)) for c in shown]
            if any(g.n for g in gains):
                label = join([model_name(last), tag("small", "− base, paired")])
                rows.append([label, *(_gain_cell(g, gain_form) for g in gains)])
        if shown:
            caption = f"{what[0].upper()}{what[1:]}, {name}"
            tables.append(table(["", *(NAMES[c] for c in shown)], rows, caption=caption))
    legend = "Mean, 95% bootstrap interval and n; paired differences of exact match are percentage points."
    return join([tag("div", *tables, class_="halves tables" if wide <= 3 else "tables"), tag("p", legend, class_="note")])


def _gain_cell(gain: Mean, form: Format) -> Child:
    if not gain.n:
        return "not paired"
    mean = form(gain.mean)
    interval = tag("small", f"{form(gain.ci95[0])} to {form(gain.ci95[1])}")
    return join([tag("strong", mean) if gain.excludes_zero else mean, interval, tag("small", f"n {gain.n}")])
