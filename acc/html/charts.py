"""Pictures as inline SVG: lines with intervals, stacked bars, histograms, and differences against zero.

Colours come from the style sheet (classes s0 … s7), so a picture follows dark mode and print. Line charts and histograms are
drawn 360 units wide, about a phone's width, and sit in a grid of such columns: text keeps its size on every screen. Bars and
differences use percentages and stretch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from acc.html.numbers import Format, compact, ticks
from acc.html.page import Child, Markup, join, tag

WIDTH, HEIGHT = 360, 214
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 36
COLOURS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """One value, with its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A named line, or a named share of bars. `colour` is 0 … 7; at most that many are told apart."""

    name: str
    points: list[Point] = field(default_factory=list)
    colour: int = 0


def figure(title: str, body: Child, *, names: Sequence[tuple[str, int]] = (), note: Child = "") -> Markup:
    """A picture with caption, legend and note: always four parts, so that the pictures of a row line up.

    Args:
        names: (name, colour) of what is told apart; a single one needs no legend, the caption names it.
    """
    items = [tag("li", tag("span", class_=f"swatch s{c}"), name) for name, c in names]
    legend = tag("ul", *items, class_="legend") if len(items) > 1 else tag("div")
    return tag("figure", tag("figcaption", title), legend, body, tag("p", note, class_="note") if note else tag("div"))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values → units of the picture."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / ((self.y1 - self.y0) or 1) * (HEIGHT - TOP - BOTTOM)


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_format: Format = compact,
    x_format: Format = compact,
    y_range: tuple[float, float] | None = None,
    from_zero: bool = False,
    markers: bool = False,
    x_ticks: Sequence[float] | None = None,
    note: Child = "",
) -> Markup:
    """Lines over x, with interval bars where points have them.

    Args:
        y_range: the axis; None takes what the points and intervals need.
        from_zero: begin the axis at zero.
        markers: draw a dot at each point (few points), not the line alone.
        x_ticks: where x is labelled; None chooses round numbers.
    """
    points = [p for s in series for p in s.points if math.isfinite(p.y)]
    values = [v for p in points for v in (p.y, p.low, p.high) if v is not None and math.isfinite(v)]
    low, high = y_range or (0.0 if from_zero else min(values), max(values))
    y_ticks = ticks(low, high)
    xs = [p.x for p in points]
    shown = [min(xs), *_inner_ticks(min(xs), max(xs)), max(xs)] if x_ticks is None else list(x_ticks)
    pad = (max(xs) - min(xs)) * 0.05 if markers else 0
    scale = _Scale(min(xs) - pad, max(xs) + pad, y_ticks[0], y_ticks[-1])
    if max(xs) == min(xs):
        scale = _Scale(xs[0] - 1, xs[0] + 1, y_ticks[0], y_ticks[-1])
        shown = [xs[0]]
    drawn = [_line(s, scale, markers, y_format, x_format, x_label) for s in series]
    svg = _svg(title, _describe(series, y_format), _axes(scale, y_ticks, shown, x_label, y_format, x_format), *drawn)
    return figure(title, svg, names=[(s.name, s.colour) for s in series], note=note)


def _inner_ticks(low: float, high: float) -> list[float]:
    """Round numbers that stay clear of both ends."""
    gap = (high - low) * 0.12
    return [t for t in ticks(low, high, 4) if low + gap < t < high - gap]


def _line(s: Series, scale: _Scale, markers: bool, y_format: Format, x_format: Format, x_label: str) -> Markup:
    points = [p for p in s.points if math.isfinite(p.y)]
    path = " ".join(f"{scale.x(p.x):.1f},{scale.y(p.y):.1f}" for p in points)
    parts = [tag("polyline", points=path, class_="line")]
    for p in points:
        x, y = scale.x(p.x), scale.y(p.y)
        if p.low is not None and p.high is not None:
            y1, y2 = scale.y(p.low), scale.y(p.high)
            whisker = f"M{x - 3:.1f},{y1:.1f}h6M{x:.1f},{y1:.1f}V{y2:.1f}M{x - 3:.1f},{y2:.1f}h6"
            parts.append(tag("path", d=whisker, class_="whisker"))
        if markers or len(points) == 1:
            label = f"{s.name}, {x_label} {x_format(p.x)}: {y_format(p.y)}{f' ({p.note})' if p.note else ''}"
            parts.append(tag("g", tag("title", label), tag("circle", cx=x, cy=y, r=3.5), class_="dot"))
    return tag("g", *parts, class_=f"s{s.colour}")


def histogram(
    title: str,
    edges: Sequence[float],
    stacks: Sequence[tuple[str, Sequence[int], int]],
    *,
    x_label: str,
    x_format: Format = compact,
    y_label: str = "samples",
    tick_every: int = 1,
    centred: bool = False,
    note: Child = "",
) -> Markup:
    """Counts per bin, stacked.

    Args:
        edges: shape [bins + 1], ascending; bins are drawn equally wide.
        stacks: (name, counts of shape [bins], colour).
        tick_every: label every so many edges.
        centred: each bin is one number, edges[i], written below its middle.
    """
    bins = len(edges) - 1
    totals = [sum(counts[i] for _, counts, _ in stacks) for i in range(bins)]
    y_ticks = [t for t in ticks(0, max(totals)) if t == round(t)]
    scale = _Scale(0, bins, 0, y_ticks[-1])
    floor, parts = [0] * bins, list[Markup]()
    for name, counts, colour in stacks:
        bars = []
        for i, count in enumerate(counts):
            if not count:
                continue
            top, bottom = scale.y(floor[i] + count), scale.y(floor[i])
            floor[i] += count
            span = x_format(edges[i]) if centred else f"{x_format(edges[i])} to {x_format(edges[i + 1])}"
            label = f"{name}, {span}: {count:,} {y_label}"
            width = max(0.5, scale.x(i + 1) - scale.x(i) - 1)
            rect = tag("rect", x=scale.x(i) + 0.5, y=top, width=width, height=max(0.5, bottom - top))
            bars.append(tag("g", tag("title", label), rect))
        parts.append(tag("g", *bars, class_=f"s{colour} bar"))
    places = [i + 0.5 for i in range(0, bins, tick_every)] if centred else list(range(0, bins + 1, tick_every))
    axes = _axes(scale, y_ticks, places, x_label, compact, lambda i: x_format(edges[int(i)]))
    described = "; ".join(f"{name}: {sum(counts):,} {y_label}" for name, counts, _ in stacks)
    svg = _svg(title, described, axes, *parts)
    return figure(title, svg, names=[(n, c) for n, _, c in stacks], note=note)


def stacked_bar(parts: Sequence[tuple[str, float, str]], total: float, label: str) -> Markup:
    """One bar as wide as its box at `total`: (name, value, class) side by side."""
    at, drawn = 0.0, list[Markup]()
    for name, value, kind in parts:
        if value > 0 and total > 0:
            width = 100 * value / total
            rect = tag("rect", x=f"{at:.3f}%", y=0, width=f"{width:.3f}%", height="100%", class_=kind)
            drawn.append(tag("g", tag("title", f"{name}: {value:,.0f}"), rect))
            at += width
    return tag("svg", tag("title", label), *drawn, class_="stack", role="img", aria_label=label)


def bar_list(rows: Sequence[tuple[str, float, str, str]], label: str) -> Markup:
    """Named bars against the largest: (name, value, text beside it, class)."""
    most = max((v for _, v, _, _ in rows), default=0)
    items = [
        tag(
            "li",
            tag("span", name, class_="bar-name"),
            tag("span", text, class_="bar-value"),
            stacked_bar([(name, value, kind)], most, f"{name}: {text}"),
        )
        for name, value, text, kind in rows
    ]
    return tag("ul", *items, class_="bars", aria_label=label)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference with its interval, `better` the sign that is good (+1 or −1; 0 where neither is), and how to write it."""

    label: str
    mean: float
    low: float
    high: float
    text: str
    better: int = 1


def differences(title: str, rows: Sequence[Difference], *, x_format: Format, note: Child = "") -> Markup:
    """Differences as dots with intervals on one axis with a zero line: what lies clear of zero is more than chance."""
    span = ticks(min(0.0, *(r.low for r in rows)), max(0.0, *(r.high for r in rows)), 4)
    low, high = span[0], span[-1]

    def at(value: float) -> str:
        # A margin of 4% on both sides keeps dots and tick labels whole.
        return f"{4 + 92 * (value - low) / (high - low):.2f}%"

    items = []
    for r in rows:
        clear = r.low > 0 or r.high < 0
        sign = r.mean * r.better if clear else 0.0
        kind = "good" if sign > 0 else "bad" if sign < 0 else "unclear"
        drawn = tag(
            "svg",
            tag("title", f"{r.label}: {r.text}"),
            *(tag("line", x1=at(t), x2=at(t), y1=0, y2="100%", class_="zero" if t == 0 else "gridline") for t in span),
            tag("line", x1=at(r.low), x2=at(r.high), y1="50%", y2="50%", class_="interval"),
            tag("circle", cx=at(r.mean), cy="50%", r=5, class_="dot"),
            role="img",
        )
        label, text = tag("span", r.label, class_="diff-label"), tag("span", r.text, class_="diff-value")
        items.append(tag("li", label, text, drawn, class_=kind))
    labels = [tag("text", x_format(t) if t else "0", x=at(t), y=13, text_anchor="middle") for t in span]
    axis = tag("li", tag("svg", *labels, aria_hidden="true"), class_="diff-axis")
    return figure(title, tag("ul", *items, axis, class_="diffs"), note=note)


def _axes(
    scale: _Scale, y_ticks: Sequence[float], x_ticks: Sequence[float], x_label: str, y_format: Format, x_format: Format
) -> Markup:
    parts = []
    for t in y_ticks:
        y = scale.y(t)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="zero" if t == y_ticks[0] else "gridline"))
        parts.append(tag("text", y_format(t), x=LEFT - 6, y=y + 4, text_anchor="end"))
    for t in x_ticks:
        parts.append(tag("text", x_format(t), x=scale.x(t), y=HEIGHT - BOTTOM + 15, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(tag("text", x_label, x=middle, y=HEIGHT - 4, text_anchor="middle", class_="axis-label"))
    return tag("g", *parts, class_="axes")


def _describe(series: Sequence[Series], y_format: Format) -> str:
    ends = [(s.name, s.points[0].y, s.points[-1].y) for s in series if s.points]
    return "; ".join(f"{name}: from {y_format(a)} to {y_format(b)}" for name, a, b in ends)


def _svg(title: str, description: str, *body: Markup) -> Markup:
    head = join([tag("title", title), tag("desc", description)])
    return tag("svg", head, *body, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{title}. {description}")
