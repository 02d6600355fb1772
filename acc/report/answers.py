"""Responses on disk, indexed in one pass: what each row scored, where its lines stand, and what the answers cost.

Texts stay on disk; the few that the page shows are read by their offsets.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from acc.report.files import RunFiles
from acc.report.training import number

COUNTED = ("prompt_tokens", "tokens", "thinking_tokens", "seconds")
"""What of a line is summed."""
Line = dict[str, Any]


class Measured(NamedTuple):
    """One answer: where its line begins, its score (None where it has none) and the gold answer's NLL."""

    offset: int
    value: float | None
    nll: float | None


@dataclass
class Answers:
    """One file of responses.

    `rows` holds the answers of every row under the full condition, in the order of the samples. `sums` lacks what no line has.
    """

    path: Path
    convention: str
    rows: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    answers: int = 0
    cut: int = 0
    failed: int = 0

    def value(self, row: str) -> float | None:
        """A row's score: the mean of its samples."""
        return _mean(m.value for m in self.rows.get(row, ()))

    def nll(self, row: str) -> float | None:
        return _mean(m.nll for m in self.rows.get(row, ()))


def index(run: RunFiles, path: Path, convention: str) -> Answers:
    """Read a file of responses once.

    Args:
        convention: which of a line's scores counts; held-out lines have `exact` instead. "" takes a line's first.
    """
    found = Answers(path, convention)
    for offset, line in run.lines(path):
        asked = not _likelihood_alone(line)
        found.answers += asked
        found.cut += line.get("finish") == "length"
        found.failed += asked and bool(line.get("failed"))
        for name in COUNTED:
            if (v := number(line.get(name))) is not None:
                found.sums[name] += v
        if line.get("condition", "full") == "full" and "row" in line:
            measured = Measured(offset, value_of(line, convention), number(line.get("nll")))
            found.rows[str(line["row"])].append(measured)
    return found


def value_of(line: Line, convention: str) -> float | None:
    """The score of one answer, or None."""
    scores = line.get("scores")
    if isinstance(scores, dict):
        return number(scores.get(convention, next(iter(scores.values()), None)))
    return number(line.get("exact"))


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


def _likelihood_alone(line: Line) -> bool:
    """Whether the gold answer's likelihood was measured and no answer generated."""
    return line.get("nll") is not None and not line.get("tokens") and not line.get("response")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
