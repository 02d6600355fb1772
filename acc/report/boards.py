"""The scores of one benchmark, looked up by model, convention and group. Held-out questions have a section of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from acc.html.numbers import Format, axis_percent, axis_points, axis_signed, compact, percent, points, signed
from acc.records.scores import Score
from acc.report.files import RunFiles

MEASURES = ("cut", "tokens", "thinking_tokens", "seconds")
"""Metrics that every benchmark has beside its conventions."""
MINUS_BASE = "_minus_base"
TITLES = {"mrcr": "MRCR", "graphwalks": "GraphWalks"}
BIN = re.compile(r"(?P<family>up_to|o200k)_(?P<end>\d+)(?:_tokens)?")
STUDENT, OFFICIAL = "up_to", "o200k"
"""Families of length bins: by the student's tokens, and the official ones by o200k_base."""


@dataclass(frozen=True)
class Board:
    """One benchmark's scores: all its rows, or those of the screen; official rows or synthetic ones."""

    benchmark: str
    synthetic: bool
    screen: bool
    scores: list[Score]

    @property
    def suite(self) -> str:
        """The name of its file of responses."""
        return f"synthetic_{self.benchmark}" if self.synthetic else self.benchmark

    @property
    def kind(self) -> str:
        """general and command are compared before and after; everything else is a benchmark."""
        first = self.benchmark.partition("_")[0]
        return first if first in ("general", "command") else "benchmark"

    @property
    def name(self) -> str:
        """The task's or program's own name, without what it is."""
        return self.benchmark.removeprefix(f"{self.kind}_")

    @property
    def title(self) -> str:
        """ "MRCR", "Synthetic MRCR" or "MRCR, screen"."""
        title = suite_title(self.suite)
        return f"{title}, screen" if self.screen else title

    @cached_property
    def _table(self) -> dict[tuple[int, str, str], Score]:
        return {(s.step, s.metric, s.group): s for s in self.scores}

    def at(self, step: int, metric: str, group: str = "all") -> Score | None:
        """One score, or None where it was not measured."""
        return self._table.get((step, metric, group))

    def over_steps(self, metric: str, group: str = "all") -> list[Score]:
        """One number at every model, the base first."""
        return [s for step in self.steps if (s := self.at(step, metric, group))]

    @cached_property
    def steps(self) -> list[int]:
        return sorted({s.step for s in self.scores})

    @cached_property
    def conventions(self) -> list[str]:
        """Metrics that grade answers, in the order of the file: the headline first."""
        found = dict.fromkeys(s.metric for s in self.scores)
        graded = [m for m in found if m not in MEASURES and not m.endswith(MINUS_BASE)]
        compared = [m for m in graded if m + MINUS_BASE in found]
        return [*compared[:1], *(m for m in graded if m not in compared[:1])]

    @property
    def headline(self) -> str:
        """The convention that is compared with the base, else the first."""
        return self.conventions[0] if self.conventions else ""

    @cached_property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(s.group for s in self.scores))

    @property
    def kinds(self) -> list[str]:
        """Slices by type: 2needle, parents…"""
        return sorted(g for g in self.groups if g not in ("all", "all_bins") and not BIN.fullmatch(g))

    def bins(self, family: str) -> list[str]:
        """Length bins of a family (STUDENT or OFFICIAL), the shortest first."""
        found = [(int(m["end"]), g) for g in self.groups if (m := BIN.fullmatch(g)) and m["family"] == family]
        return [group for _, group in sorted(found)]

    @cached_property
    def _shares(self) -> frozenset[str]:
        """Metrics whose every mean is a share."""
        outside = {s.metric for s in self.scores if not 0 <= s.mean <= 1}
        return frozenset(s.metric for s in self.scores) - outside - {"tokens", "thinking_tokens", "seconds"}

    def is_share(self, metric: str) -> bool:
        """Whether a metric lies in [0, 1]; a difference is of the kind of what it is a difference of."""
        return metric.removesuffix(MINUS_BASE) in self._shares

    def form(self, metric: str) -> Format:
        """How its numbers are written in tables."""
        if metric.endswith(MINUS_BASE):
            return points if self.is_share(metric) else signed
        return percent if self.is_share(metric) else compact

    def axis_form(self, metric: str) -> Format:
        """How its numbers are written on axes."""
        if metric.endswith(MINUS_BASE):
            return axis_points if self.is_share(metric) else axis_signed
        return axis_percent if self.is_share(metric) else compact


def boards(run: RunFiles) -> list[Board]:
    """Every benchmark of a run: official before synthetic rows, all rows before the screen's."""
    kept: dict[tuple[bool, str, bool], list[Score]] = {}
    for s in run.scores:
        if s.benchmark != "held_out" and s.condition == "full":
            kept.setdefault((s.synthetic, s.benchmark, s.screen), []).append(s)
    ordered = sorted(
        kept.items(), key=lambda item: (item[0][0], list(TITLES).index(item[0][1]) if item[0][1] in TITLES else 9, item[0])
    )
    return [Board(benchmark, synthetic, screen, scores) for (synthetic, benchmark, screen), scores in ordered]


def suite_title(suite: str) -> str:
    """A suite's name as a title: "Synthetic MRCR"."""
    if suite == "held_out":
        return "Held-out questions"
    synthetic, name = suite.startswith("synthetic_"), suite.removeprefix("synthetic_")
    title = TITLES.get(name) or re.sub(r"^(general|command)_", "", name)
    return f"Synthetic {title}" if synthetic else title


def bin_title(group: str) -> str:
    """up_to_8192_tokens → "≤ 8K", o200k_131072 → "≤ 128K"."""
    found = BIN.fullmatch(group)
    if found is None:
        return group.replace("_", " ")
    end = int(found["end"])
    for size, letter in ((1 << 20, "M"), (1 << 10, "K")):
        if end >= size and end % size == 0:
            return f"≤ {end // size}{letter}"
    return f"≤ {end:,}"


def bin_end(group: str) -> int:
    """The longest prompt of a bin, tokens."""
    found = BIN.fullmatch(group)
    return int(found["end"]) if found else 0
