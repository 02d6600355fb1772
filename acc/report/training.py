"""Training as the log tells it: loss, loss by source, labels by source, throughput and memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from acc.html.charts import COLOURS, Point, Series, line_chart
from acc.html.numbers import Format, axis_percent, compact, two
from acc.html.page import Markup, absent, section, tag
from acc.report.answers import number
from acc.report.files import RunFiles
from acc.report.shapes import fact_list
from acc.report.sources import source_colours

MOST_POINTS = 300
"""Points of a line; a longer log is averaged into so many stretches of equal length."""

Log = list[dict[str, Any]]


def training_section(run: RunFiles) -> Markup:
    """Facts and curves; or the sentence that says that nothing was logged yet."""
    title = "Training"
    log = run.log
    if not log:
        state = "it has not logged a step yet" if (run.folder / "train").is_dir() else "it has not begun"
        return section("training", title, absent(f"There is no training log: {state}."))
    ended = "train" in run.manifests
    last = log[-1]
    speed = [v for r in log if (v := number(r.get("tokens_per_second"))) is not None]
    labelled_speed = [v for r in log if (v := number(r.get("labelled_tokens_per_second"))) is not None]
    memory = {k: v for k in sorted(last) if k.endswith("_gb") and (v := _peak(log, k)) is not None}
    facts = [
        ("steps logged", f"{len(log):,}", f"last is step {int(last['step']):,}{'' if ended else ', not ended'}"),
        ("loss, first to last", f"{_loss(log[0])} → {_loss(last)}", "nats a labelled token"),
    ]
    if speed:
        facts.append(("tokens a second", compact(float(np.median(speed))), "median"))
    if labelled_speed:
        facts.append(("labelled tokens a second", compact(float(np.median(labelled_speed))), "median"))
    facts += [(name_of(k), f"{v:.2f}", "GB") for k, v in memory.items()]
    stretch = math.ceil(len(log) / MOST_POINTS)
    lead = f"Each point is the mean of {stretch} logged steps." if stretch > 1 else "Every logged step."
    broken = sum(number(r.get("loss")) is None for r in log)
    if broken:
        lead += f" {broken} of {len(log)} steps have a loss that is not a finite number; they are not drawn."
    return section("training", title, fact_list(facts), tag("div", *_charts(run, log, list(memory)), class_="grid"), lead=lead)


def name_of(key: str) -> str:
    """peak_rss_gb → peak memory of a process (RSS); other keys as words."""
    return {"peak_rss_gb": "peak process memory", "peak_gpu_gb": "peak GPU memory"}.get(
        key, key.removesuffix("_gb").replace("_", " ")
    )


def _charts(run: RunFiles, log: Log, memory: list[str]) -> list[Markup]:
    charts = [
        _single("Loss, nats a labelled token", log, "loss", compact, from_zero=False),
        _loss_by_source(run, log),
        _labels_by_source(run, log),
        _expert_load(log),
        _single("Tokens a second", log, "tokens_per_second", compact),
        _single("Labelled tokens a second", log, "labelled_tokens_per_second", compact),
        *(_single(f"{name_of(k).capitalize()}, GB", log, k, compact) for k in memory),
        _single("Gradient norm", log, "grad_norm", compact),
        _single("Learning rate", log, "learning_rate", compact),
    ]
    return [c for c in charts if c]


def _single(title: str, log: Log, key: str, form: Format, *, from_zero: bool = True) -> Markup:
    points = thin([(r["step"], v) for r in log if (v := number(r.get(key))) is not None])
    return _chart(title, [Series(key.replace("_", " "), points)], form, from_zero) if points else Markup("")


def _loss_by_source(run: RunFiles, log: Log) -> Markup:
    by_name: dict[str, list[tuple[float, float]]] = {}
    for r in log:
        for name, value in (r.get("loss_by_source") or {}).items():
            if (v := number(value)) is not None:
                by_name.setdefault(str(name), []).append((r["step"], v))
    colours = source_colours(run, list(by_name))
    largest = sorted(by_name, key=lambda n: (-len(by_name[n]), n))[:COLOURS]
    series = [Series(n, thin(by_name[n]), colours[n]) for n in by_name if n in largest]
    left = len(by_name) - len(series)
    note = f"{left} more sources are not drawn." if left else ""
    return _chart("Loss by source", series, compact, False, note) if len(series) > 1 else Markup("")


def _labels_by_source(run: RunFiles, log: Log) -> Markup:
    """Each source's share of a step's labelled tokens."""
    labels = [(r["step"], r["labelled_by_source"]) for r in log if r.get("labelled_by_source")]
    total: Counter[str] = Counter()
    for _, counts in labels:
        total.update({str(n): int(v) for n, v in counts.items()})
    names = [n for n, _ in total.most_common(COLOURS)]
    if len(names) < 2:
        return Markup("")
    colours = source_colours(run, list(total))
    series = [
        Series(n, thin([(step, counts.get(n, 0) / (sum(counts.values()) or 1)) for step, counts in labels]), colours[n])
        for n in sorted(names)
    ]
    return _chart("Share of a step's labelled tokens", series, axis_percent, True)


def _expert_load(log: Log) -> Markup:
    """How evenly the experts of a layer share the tokens: the mean of the layers, and the least even one."""
    rows = [(float(r["step"]), r["experts"]) for r in log if r.get("experts")]
    even = [(step, [float(v) for k, v in load.items() if k.endswith("/entropy")]) for step, load in rows]
    if not rows:
        return Markup("")
    series = [
        Series("mean of the layers", thin([(step, sum(v) / len(v)) for step, v in even])),
        Series("least even layer", thin([(step, min(v)) for step, v in even])),
    ]
    step, load = rows[-1]
    dead = sum(v for k, v in load.items() if k.endswith("/dead"))
    note = f"1 is an even load. In step {step:,.0f} {dead:,.0f} experts of all layers got no token."
    return _chart("Evenness of the expert load, entropy", series, two, False, note)


def _chart(title: str, series: list[Series], form: Format, from_zero: bool, note: str = "") -> Markup:
    return line_chart(
        title, series, x_label="step", x_format=lambda x: f"{x:,.0f}", y_format=form, from_zero=from_zero, note=note
    )


def thin(values: list[tuple[float, float]]) -> list[Point]:
    """At most MOST_POINTS points: means over stretches of equal length."""
    if not values:
        return []
    stretch = math.ceil(len(values) / MOST_POINTS)
    groups = [values[i : i + stretch] for i in range(0, len(values), stretch)]
    return [Point(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _peak(log: Log, key: str) -> float | None:
    return max((v for r in log if (v := number(r.get(key))) is not None), default=None)


def _loss(row: dict[str, Any]) -> str:
    value = number(row.get("loss"))
    return "not finite" if value is None else two(value)
