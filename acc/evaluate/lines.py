"""Lines: one response on disk each, as `responses/<step>/<suite>.jsonl` holds them, and the values of rows in them.

A line says what was asked (`row`, `condition`, `sample`; `asked`, a hash of the conversation; `how`, one of its tokens, the
answer's limit and the sampling), what came back (`response` with its control tokens, `reasoning` where a server gave it apart,
`finish`, `tokens`, `thinking_tokens`, `prompt_tokens`, `seconds`; `failed`: there is no answer in it), where it belongs
(`kind`, `bin`, `bin_o200k`, `screen`), and what the suite measured: `scores` by convention, or `exact` and `nll`. A benchmark's
line also shows both ends of its prompt and the gold answer (`prompt_start`, `prompt_end`, `gold`). `key` is the hash that the
runner knows it by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from acc.evaluate.questions import Answer

Line = dict[str, Any]
Name = Callable[[Line], str]


def answer_of(line: Line) -> Answer:
    """The answer that a line holds, to be measured again."""
    return Answer(
        line["response"],
        line["tokens"],
        line["finish"],
        reasoning=line.get("reasoning", ""),
        nll=line.get("nll"),
        seconds=line.get("seconds", 0.0),
    )


def row_of(line: Line) -> str:
    """What tells rows of one evaluation apart."""
    return str(line["row"])


def row_values(lines: Iterable[Line], value: Callable[[Line], float | None], name: Name = row_of) -> dict[str, float]:
    """Row → the mean of `value` over its samples that have one; rows in the order of the lines.

    Args:
        name: what tells rows apart.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if (one := value(line)) is not None:
            found[name(line)].append(one)
    return {row: sum(values) / len(values) for row, values in found.items()}


def by_group(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Group → its lines: all, the kinds, the bins by the student's tokens (`up_to_N_tokens`), the official ones (`o200k_N`)."""
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        official = line.get("bin_o200k")
        names = ("all", line.get("kind"), line.get("bin"), None if official is None else f"o200k_{official}")
        for name in names:
            if name:
                found[str(name)].append(line)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "all", item[0])))


def row_bins(lines: Collection[Line], name: Name = row_of) -> tuple[str, dict[str, str]]:
    """The length bins by which rows are weighed: the official ones where every row has one, else the student's.

    Returns:
        o200k or student, and row → bin; no bins where a row has none of either.
    """
    for which, field in (("o200k", "bin_o200k"), ("student", "bin")):
        found = {name(line): line.get(field) for line in lines}
        if None not in found.values():
            return which, {row: str(value) for row, value in found.items()}
    return "student", {}


def length_bin(tokens: int) -> str:
    """The power of two that a prompt's tokens fit in, as a group's name."""
    return f"up_to_{1 << max(tokens - 1, 0).bit_length()}_tokens"
