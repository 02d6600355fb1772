"""How far two trainings are apart, and the page that says it for all cells."""

from __future__ import annotations

import math
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from proofs.parity_cells import STEPS, Cell
from proofs.parity_reference import Training

TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest relative difference at which a cell holds, by model.dtype; the plain training is in float32 in both cases."""
GROUPS = {
    "embedding": "embed_tokens",
    "norms": "norm",
    "attention": "self_attn",
    "router": "mlp.gate.weight",
    "experts": "mlp.experts",
    "mlp": "mlp",
    "head": "lm_head",
}
"""Module group → what its tensors' names have; the first that fits."""
COLUMNS = ("loss", "gradient norm", "embedding", "attention", "experts", "mlp", "router", "norms", "head")
FACTORS: dict[str, Callable[[Cell], str]] = {
    "student and processes": lambda c: f"{c.kind}, {c.trained}, {c.world} with sp {c.sequence}",
    "sequences": lambda c: "packed" if c.packed else "one document each",
    "labels": lambda c: {"last": "last", "mixed": "mixed", "none": "none in some sequences"}[c.labels],
    "micro-batches": lambda c: f"{c.accumulation} a process",
    "loss": lambda c: f"mean over each {c.reduction}",
    "gradients": lambda c: "clipped" if c.clipped else "not clipped",
    "activations": lambda c: "recomputed" if c.recomputed else "kept",
}
"""A table for each: its title, and the row that a cell belongs to."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Relative differences: the worst of the steps' losses and gradient norms, and of the weights' change by module group.

    `seconds` is what the cell took.
    """

    loss: float
    norm: float
    groups: dict[str, float]
    seconds: float

    @property
    def values(self) -> dict[str, float]:
        return {"loss": self.loss, "gradient norm": self.norm, **self.groups}

    @property
    def worst(self) -> float:
        # nan is the worst, and max would lose it.
        return max((math.inf if math.isnan(v) else v) for v in self.values.values())


def differ(found: Training, plain: Training, seconds: float) -> Difference:
    """How far a training is from the plain one.

    Raises:
        ValueError: they trained different tensors, or different numbers of steps.
    """
    if found.updates.keys() != plain.updates.keys():
        other = sorted(found.updates.keys() ^ plain.updates.keys())
        raise ValueError(f"{len(other)} tensors are trained in one of the two only: {', '.join(other[:3])}")
    squares: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, update in plain.updates.items():
        # An adapter's A moves far less than its B: each is held against its own change.
        sums = squares[f"{_group(name)}|{name.partition('|')[2]}"]
        sums[0] += (found.updates[name] - update).double().square().sum().item()
        sums[1] += update.double().square().sum().item()
    groups: dict[str, float] = {}
    for key, (apart, moved) in squares.items():
        group = key.partition("|")[0]
        groups[group] = max(groups.get(group, 0.0), _ratio(math.sqrt(apart), math.sqrt(moved)))
    losses, norms = (
        max(_ratio(abs(a - b), abs(b)) for a, b in zip(ours, theirs, strict=True))
        for ours, theirs in ((found.losses, plain.losses), (found.norms, plain.norms))
    )
    return Difference(losses, norms, groups, seconds)


def page(found: Mapping[Cell, Difference | None], *, device: str, dtype: str, command: str, minutes: float) -> tuple[str, bool]:
    """The table as Markdown, and whether every cell holds. A cell without a difference did not end."""
    limit = TOLERANCE[dtype]
    failed = [cell for cell, d in found.items() if d is None or not d.worst < limit]
    ended = {cell: d for cell, d in found.items() if d is not None}
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "accelerate", "deepspeed", "peft"))
    lines = [
        "# Parity",
        "",
        "However a training is split, packed, accumulated and adapted, it is the same training.",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, on {device} in {dtype}, {minutes:.0f} minutes: "
        f"**{len(found) - len(failed)} of {len(found)} cells hold**. Python {platform.python_version()}, {versions}.",
        "",
        f"Each cell trains a tiny student for {STEPS} steps of SGD through `acc.train.run` (more than one process: ZeRO-3; "
        "sp above 1: Ulysses). It is held against one plain float32 process that shares nothing with acc: a stock model, each "
        "document alone, all logits, torch's SGD, adapters written out. Numbers are relative differences, the worst of the "
        "row's cells: of a step's loss or gradient norm, and of the change of the weights over all steps, by module group "
        "(with LoRA: of the adapters on it), |difference| / |change in the plain process|. "
        f"A cell holds where all are below {limit:g}.",
        "",
    ]
    if ended:
        worst = max(ended, key=lambda c: ended[c].worst)
        lines += [f"The worst is {_account(ended[worst])}, in `{worst.name}`.", ""]
    for title, value in FACTORS.items():
        lines += [f"| {title} | cells | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---|" * len(COLUMNS)]
        for row in dict.fromkeys(map(value, found)):
            cells = [cell for cell in found if value(cell) == row]
            shown = [d for cell in cells if (d := found[cell]) is not None]
            worsts = [max((d.values[c] for d in shown if c in d.values), default=None) for c in COLUMNS]
            lines.append(f"| {row} | {len(cells)} | " + " | ".join("" if w is None else f"{w:.0e}" for w in worsts) + " |")
        lines.append("")
    if failed:
        lines += [
            "Do not hold:",
            "",
            *(f"- `{c.name}`: {_account(d) if (d := found[c]) else 'did not end'}" for c in failed),
            "",
        ]
    return "\n".join(lines), not failed and bool(found)


def _account(difference: Difference) -> str:
    name, value = max(difference.values.items(), key=lambda v: math.inf if math.isnan(v[1]) else v[1])
    return f"{value:.1e} ({name})"


def _group(name: str) -> str:
    return next(group for group, part in GROUPS.items() if part in name)


def _ratio(apart: float, size: float) -> float:
    """Relative to nothing, nothing is right and anything else is not."""
    return apart / size if size else (0.0 if apart == 0 else math.inf)
