"""Lines → scores. A row's value is the mean of its samples; means, intervals and pairs are over rows.

A base's line counts only where the same was asked in the same way: rows of another recipe that have the same name are no pairs,
nor are answers that were sampled otherwise. A row that a server gave no answer to, on either side, is in no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from acc.evaluate.lines import Line, by_group, row_bins, row_values
from acc.records import stats
from acc.records.scores import Score

ALL_BINS = "all_bins"
"""The group of the overall in which every length bin weighs the same."""

Value = Callable[[Line], float | None]


def of_convention(name: str) -> Value:
    """A line's grade under one convention."""
    return lambda line: line["scores"].get(name)


COSTS: dict[str, Value] = {
    "cut": lambda line: float(line["finish"] == "length"),
    "thinking_tokens": lambda line: line.get("thinking_tokens"),
    "tokens": lambda line: line.get("tokens"),
    "seconds": lambda line: line.get("seconds"),
}
"""Metrics of every benchmark whose answers are known: share of answers cut by length; tokens and seconds of an answer, which
kinds go without."""


def benchmark_scores(
    step: int,
    benchmark: str,
    lines: Sequence[Line],
    *,
    skipped: Sequence[Line] = (),
    base: Sequence[Line] = (),
    quoted: Sequence[str] = (),
    synthetic: bool = False,
    screen: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> list[Score]:
    """The scores of a benchmark: for all rows, for all bins alike, and for each kind and length.

    Every convention for all rows; for slices those in `quoted`, which are also compared with the base, and the costs.

    Args:
        skipped: where the rows that were not asked belong.
        base: the lines of step 0.
        quoted: conventions, the headline first; empty takes the first convention of the lines.
        screen: score only the rows of the screen.
    """
    if screen:
        lines, skipped = [x for x in lines if x["screen"]], [x for x in skipped if x["screen"]]
    conventions = list(dict.fromkeys(name for line in lines for name in line["scores"])) or list(quoted)
    quoted = quoted or conventions[:1]
    before = _same_asked(base, lines)
    grouped, left_out, kinds = by_group(lines), by_group(skipped), {x.get("kind") for x in lines}
    found: list[Score] = []

    def add(group: str, metric: str, value: stats.Mean, members: Sequence[Line], gone: Sequence[Line], **more: Any) -> None:
        found.append(
            Score(
                step, benchmark, metric, *value, group=group, synthetic=synthetic, screen=screen,
                skipped=len({x["row"] for x in gone}), failed=len({x["row"] for x in members if x["failed"]}),
                extra={**(extra or {}), **more},
            )
        )  # fmt: skip

    for group in sorted(grouped.keys() | left_out.keys(), key=lambda g: (g != "all", g)):
        members, gone = grouped.get(group, []), left_out.get(group, [])
        for metric in conventions if group == "all" else quoted:
            values = row_values(members, of_convention(metric))
            add(group, metric, stats.mean(values.values()), members, gone)
            compared = stats.paired(values, row_values(before, of_convention(metric)))
            if metric in quoted and compared.n:
                add(group, f"{metric}_minus_base", compared, members, gone)
        costs = COSTS if group == "all" or group not in kinds else ("cut",)
        for metric in costs if any(x.get("tokens") for x in members) else ():
            add(group, metric, stats.mean(row_values(members, COSTS[metric]).values()), members, gone)
    which, bins = row_bins(lines)
    if bins:
        for metric in quoted:
            values = row_values(lines, of_convention(metric))
            add(ALL_BINS, metric, over_bins(values, bins), lines, skipped, bins=which)
            if apart := stats.differences(values, row_values(before, of_convention(metric))):
                add(ALL_BINS, f"{metric}_minus_base", over_bins(apart, bins), lines, skipped, bins=which)
    return found


def held_out_scores(
    step: int,
    lines: Sequence[Line],
    *,
    skipped: Sequence[Line] = (),
    not_asked: Mapping[str, int] | None = None,
    base: Sequence[Line] = (),
) -> list[Score]:
    """The scores of held-out questions: every condition, full less each other one, and each less the base's, in every group.

    Args:
        skipped: where the questions that were not asked belong.
        not_asked: condition → samples that can't be asked in it, number; of any group.
        base: the lines of step 0.
    """
    left_out, before_by_group = by_group(skipped), by_group(_same_asked(base, lines))
    found: list[Score] = []
    for group, members in by_group(lines).items():
        for metric in ("exact", "nll"):
            now, before = _by_condition(members, metric), _by_condition(before_by_group.get(group, []), metric)
            answered = _by_condition([x for x in members if not _is_lost(x)], metric)
            for condition, values in now.items():
                gone = sum(x["condition"] == condition for x in left_out.get(group, []))
                failed = len({x["row"] for x in members if x["condition"] == condition and x["failed"]})
                named = {metric: stats.mean(values.values())}
                if condition == "full":
                    others = [c for c in answered if c != "full"]
                    named |= {f"{metric}_minus_{c}": stats.paired(answered.get("full", {}), answered[c]) for c in others}
                if condition in before:
                    named[f"{metric}_minus_base"] = stats.paired(values, before[condition])
                found += [
                    Score(
                        step, "held_out", name, *value, condition=condition, group=group,
                        skipped=gone + (not_asked or {}).get(condition, 0), failed=failed,
                    )
                    for name, value in named.items()
                ]  # fmt: skip
    return found


def over_bins(values: Mapping[str, float], bins: Mapping[str, str]) -> stats.Mean:
    """The overall in which bins weigh the same, of row → value and row → bin."""
    together: dict[str, list[float]] = defaultdict(list)
    for row, value in values.items():
        together[bins[row]].append(value)
    return stats.mean_of_bins(together[name] for name in sorted(together))


def _by_condition(lines: Sequence[Line], metric: str) -> dict[str, dict[str, float]]:
    """Condition → row → value, where there is one."""
    together: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        together[line["condition"]].append(line)
    found = {condition: row_values(own, lambda line: line.get(metric)) for condition, own in together.items()}
    return {condition: values for condition, values in found.items() if values}


def _same_asked(base: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The base's lines on what `lines` answer too, asked in the same way."""
    how = {_asked(line): line.get("how") for line in lines}
    lost = {_asked(line) for line in (*base, *lines) if _is_lost(line)}
    return [x for x in base if _asked(x) in how.keys() - lost and _same(x.get("how"), how[_asked(x)])]


def asked_otherwise(base: Sequence[Line], lines: Sequence[Line]) -> int:
    """Of the base's lines those whose question `lines` answer too, but asked with another limit, sampling or layout; number."""
    how = {_asked(line): line.get("how") for line in lines}
    return sum(_asked(x) in how and not _same(x.get("how"), how[_asked(x)]) for x in base)


def _asked(line: Line) -> tuple[str, str, str | None]:
    return line["row"], line["condition"], line.get("asked")


def _same(one: str | None, other: str | None) -> bool:
    """Whether two answers were asked for in the same way; what others measured does not say."""
    return one is None or other is None or one == other


def _is_lost(line: Line) -> bool:
    return line.get("finish") == "failed"
