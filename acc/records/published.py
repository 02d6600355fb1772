"""Numbers that the paper of the method published (arXiv 2605.21850). Never measured here: whoever shows them says so."""

from __future__ import annotations

from typing import NamedTuple

BASE = "Qwen3-30B-A3B-Thinking"
ACC = "Qwen3-30B-A3B-Thinking + ACC"
LARGER = "Qwen3-235B-A22B-Thinking"

PROTOCOL = "avg@3, thinking on; MRCR: 2 and 4 needles up to 128K; GraphWalks: precision on the file up to 128K"
"""What the paper says of how these were measured."""


class Published(NamedTuple):
    """One published number: `value` is a share, `metric` and `group` are named as in `acc.records.scores.Score`."""

    model: str
    benchmark: str
    metric: str
    group: str
    value: float


def of_benchmark(name: str) -> list[Published]:
    """What was published of a benchmark ("mrcr", "graphwalks", "gpqa_diamond"…), in the order of the paper's table."""
    return [p for p in PUBLISHED if p.benchmark == name]


def _table(benchmark: str, metric: str, groups: tuple[str, ...], rows: dict[str, tuple[float | None, ...]]) -> list[Published]:
    return [
        Published(model, benchmark, metric, group, round(value / 100, 4))
        for model, values in rows.items()
        for group, value in zip(groups, values, strict=True)
        if value is not None
    ]


PUBLISHED: tuple[Published, ...] = (
    *_table(
        "mrcr", "official", ("2needle", "4needle", "all"),
        {BASE: (61.84, 38.41, 50.19), ACC: (76.90, 59.57, 68.28), LARGER: (None, None, 67.51)},
    ),
    *_table(
        "graphwalks", "precision", ("parents", "bfs", "all"),
        {BASE: (71.19, 68.47, 69.92), ACC: (81.50, 72.95, 77.51), LARGER: (None, None, 76.63)},
    ),
    *_table("gpqa_diamond", "accuracy", ("all",), {BASE: (67.71,), ACC: (70.20,)}),
    *_table("mmlu_pro", "accuracy", ("all",), {BASE: (74.50,), ACC: (76.00,)}),
    *_table("aime24", "accuracy", ("all",), {BASE: (90.00,), ACC: (90.00,)}),
    *_table("aime25", "accuracy", ("all",), {BASE: (86.67,), ACC: (90.00,)}),
    *_table("ifeval", "accuracy", ("all",), {BASE: (86.69,), ACC: (86.14,)}),
)  # fmt: skip
