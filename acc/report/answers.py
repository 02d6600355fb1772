"""Responses on disk, indexed in one pass: what each row scored, where its lines stand, and what the answers cost.

Texts stay on disk; the few that the page shows are read by their offsets.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

COUNTED = ("prompt_tokens", "tokens", "thinking_tokens", "seconds")
"""What of a line is summed."""
HELD_OUT = ("sample_id", "condition", "domain", "bin", "exact", "nll")
"""What is kept of a held-out answer; its text stays on disk."""
Line = dict[str, Any]


class Measured(NamedTuple):
    """One answer: where its line begins, bytes, its scores by convention, and the gold answer's NLL."""

    offset: int
    scores: Mapping[str, float]
    nll: float | None


@dataclass
class Answers:
    """One file of responses.

    `rows` holds the answers of every row under the full condition, in the order of the samples. `sums` lacks what no line has.
    `held_out` are held-out lines under every condition, with the keys of `HELD_OUT`.
    """

    path: Path
    rows: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    held_out: list[Line] = field(default_factory=list)
    answers: int = 0
    cut: int = 0
    failed: int = 0

    def add(self, offset: int, line: Line) -> None:
        """Take in one line."""
        generated = line.get("nll") is None or bool(line.get("tokens") or line.get("response"))
        self.answers += generated
        self.cut += line.get("finish") == "length"
        self.failed += generated and bool(line.get("failed"))
        for name in COUNTED:
            if (v := number(line.get(name))) is not None:
                self.sums[name] += v
        if "sample_id" in line:
            self.held_out.append({k: line.get(k) for k in HELD_OUT})
        row = line.get("row", line.get("sample_id"))
        if row is not None and line.get("condition", "full") == "full":
            self.rows[str(row)].append(Measured(offset, scores_of(line), number(line.get("nll"))))

    @property
    def conventions(self) -> list[str]:
        """As the first row has them, the headline first."""
        return next((list(measured[0].scores) for measured in self.rows.values()), [])

    def value(self, row: str, convention: str) -> float | None:
        """A row's score: the mean of its samples that have one."""
        known = [m.scores[convention] for m in self.rows.get(row, ()) if convention in m.scores]
        return sum(known) / len(known) if known else None

    def values(self, convention: str) -> dict[str, float]:
        """Row → score, of the rows that have one, in their order."""
        return {row: v for row in self.rows if (v := self.value(row, convention)) is not None}

    def nll(self, row: str) -> float | None:
        """The NLL of a row's gold answer."""
        return next((m.nll for m in self.rows.get(row, ()) if m.nll is not None), None)


def number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def scores_of(line: Line) -> dict[str, float]:
    """Convention → score of one answer; a held-out answer's is `exact`."""
    scores = line.get("scores")
    named = scores if isinstance(scores, dict) else {"exact": line.get("exact")}
    return {str(name): v for name, x in named.items() if (v := number(x)) is not None}


def read_lines(path: Path, offsets: Iterable[int]) -> list[Line]:
    """The lines that begin at these offsets."""
    with path.open("rb") as f:
        found = []
        for offset in offsets:
            f.seek(offset)
            found.append(json.loads(f.readline().decode("utf-8", "replace")))
        return found


def split_thinking(line: Line) -> tuple[str, str]:
    """(thinking, answer) of a response: by the server's reasoning field, else by `</think>`.

    Thinking that was never closed, because it was cut off, leaves no answer.
    """
    response, reasoning = str(line.get("response") or ""), str(line.get("reasoning") or "")
    before, closed, after = response.rpartition("</think>")
    if closed:
        return "\n".join(t for t in (reasoning, before.replace("<think>", "", 1).strip("\n")) if t), after.lstrip("\n")
    opened = response.lstrip().startswith("<think>")
    if opened or (not reasoning and line.get("failed") and number(line.get("thinking_tokens"))):
        return "\n".join(t for t in (reasoning, response.replace("<think>", "", 1).strip("\n")) if t), ""
    return reasoning, response
