"""Two evaluations row by row: how much better B is than A, where both were asked the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.evaluate.benchmarks import BENCHMARKS
from acc.evaluate.lines import Line, by_group, row_bins, row_values
from acc.evaluate.scoring import ALL_BINS, Value, asked_otherwise, of_convention, over_bins
from acc.llm.journal import read_journal
from acc.records.stats import Mean, differences, mean

_FORM = "Give a folder such as runs/x/evaluate/responses/40, or runs/x@40, or runs/x@base"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of one slice, over the rows that both have.

    `difference` is B − A by row, with its 95% interval; `only_a` and `only_b` are rows that the other one lacks.
    """

    suite: str
    metric: str
    condition: str
    group: str
    a: Mean
    b: Mean
    difference: Mean
    only_a: int
    only_b: int


def compare(a: Path, b: Path) -> list[Comparison]:
    """Compare two folders of responses, suite by suite.

    Rows pair where they were asked the same conversation under the same condition; where that is not on record (a program of
    the user's), by their names. The length bins are A's.

    Raises:
        UserError: the two have no suite in common, or a file is damaged.
    """
    suites = [sorted(p.stem for p in folder.glob("*.jsonl")) for folder in (a, b)]
    shared = [name for name in suites[0] if name in suites[1]]
    if not shared:
        have = "; ".join(f"{folder} has {', '.join(names) or 'none'}" for folder, names in zip((a, b), suites, strict=True))
        raise UserError(f"the two have no suite of responses in common ({have})", mend="Evaluate both with the same recipe")
    return [
        found
        for suite in shared
        for found in _suite(suite, read_journal(a / f"{suite}.jsonl"), read_journal(b / f"{suite}.jsonl"))
    ]


def asked_apart(a: Path, b: Path) -> dict[str, int]:
    """Suite → answers of A whose question B was asked in another way, where there are any."""
    found = {}
    for path in sorted(a.glob("*.jsonl")):
        if n := asked_otherwise(read_journal(path), read_journal(b / path.name)):
            found[path.stem] = n
    return found


def responses_of(name: str) -> Path:
    """The folder that a word of the command line names.

    Raises:
        UserError: there is no such folder.
    """
    run, at, step = name.rpartition("@")
    if at and not Path(name).is_dir():
        if not re.fullmatch(r"\d+|base", step):
            raise UserError(f"{step!r} is no step", where=name, mend=_FORM)
        folder = Path(run) / "evaluate" / "responses" / ("0" if step == "base" else step)
    else:
        folder = Path(name)
    if not folder.is_dir():
        raise UserError("there are no responses", where=str(folder), mend=_FORM)
    return folder


def table(found: Sequence[Comparison]) -> str:
    """The comparisons as text."""
    names = [_name(c) for c in found]
    width = max(map(len, names))
    lines = [f"{'':<{width}}  {'A':>8} {'B':>8} {'B−A':>9}  95% interval"]
    for name, c in zip(names, found, strict=True):
        low, high = c.difference.ci95
        alone = f"  without a partner: {c.only_a} of A, {c.only_b} of B" if c.only_a or c.only_b else ""
        numbers = f"{c.a.mean:8.4f} {c.b.mean:8.4f} {c.difference.mean:+9.4f}  [{low:+.4f}, {high:+.4f}]"
        lines.append(f"{name:<{width}}  {numbers if c.difference.n else ' no row in common'}  n {c.difference.n}{alone}")
    return "\n".join(lines)


def as_json(found: Sequence[Comparison]) -> str:
    """The comparisons as a JSON list."""

    def plain(value: Mean) -> dict[str, Any]:
        return {"mean": value.mean, "ci95": list(value.ci95), "n": value.n}

    rows = [
        {
            "suite": c.suite, "metric": c.metric, "condition": c.condition, "group": c.group, "a": plain(c.a), "b": plain(c.b),
            "difference": plain(c.difference), "only_a": c.only_a, "only_b": c.only_b,
        }
        for c in found
    ]  # fmt: skip
    return json.dumps(rows, indent=1)


def _suite(suite: str, a: list[Line], b: list[Line]) -> Iterator[Comparison]:
    for metric, value in _metrics(suite, a):
        for condition in dict.fromkeys(line["condition"] for line in a):
            own, theirs = ([line for line in lines if line["condition"] == condition] for lines in (a, b))
            before, after = row_values(own, value, _identity), row_values(theirs, value, _identity)
            if not before and not after:
                continue
            known = {_identity(line) for line in own}
            placed = [*own, *(line for line in theirs if _identity(line) not in known)]
            for group, members in by_group(placed).items():
                rows = {_identity(line) for line in members}
                one, other = ({row: x for row, x in values.items() if row in rows} for values in (before, after))
                yield _compared((suite, metric, condition, group), one, other)
            _, bins = row_bins(own, _identity)
            if suite != "held_out" and before.keys() & after.keys() and bins:
                yield _compared((suite, metric, condition, ALL_BINS), before, after, bins)


def _compared(
    names: tuple[str, str, str, str], a: dict[str, float], b: dict[str, float], bins: Mapping[str, str] | None = None
) -> Comparison:
    """The comparison of row → value on each side; with `bins` every bin weighs the same."""
    apart = differences(b, a)

    def over(values: Mapping[str, float]) -> Mean:
        both = {row: values[row] for row in apart}
        return mean(both.values()) if bins is None else over_bins(both, bins)

    return Comparison(*names, over(a), over(b), over(apart), len(a.keys() - b.keys()), len(b.keys() - a.keys()))


def _metrics(suite: str, lines: Sequence[Line]) -> list[tuple[str, Value]]:
    if suite == "held_out":
        return [(name, partial(_measured, name)) for name in ("exact", "nll")]
    benchmark = BENCHMARKS.get(suite.removeprefix("synthetic_"))
    names = benchmark.quoted if benchmark else tuple(lines[0]["scores"])[:1] if lines else ()
    return [(name, of_convention(name)) for name in names]


def _measured(name: str, line: Line) -> float | None:
    found: float | None = line.get(name)
    return found


def _identity(line: Line) -> str:
    return str(line.get("asked") or line["row"])


def _name(c: Comparison) -> str:
    return "/".join([c.suite, c.metric, *(x for x in (c.condition, c.group) if x not in ("full", "all"))])
