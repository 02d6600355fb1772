"""A plan as lines to read and as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from acc.launch.plan.figures import Figure, shown
from acc.launch.plan.memory import NOT_COUNTED
from acc.launch.plan.plan import Plan
from acc.launch.plan.speed import FITTED
from acc.launch.plan.suggest import Alternative

SMALL = 5e5
"""Bytes below which a part of the memory is not printed."""


def as_lines(plan: Plan, others: Sequence[Alternative]) -> list[str]:
    """The plan as a page of text; with alternatives where there are any."""
    a, s, m = plan.student, plan.setting, plan.memory
    beside = ", ".join(f"{shown(x.total, 'bytes')} at {x.name}" for x in m.moments if x is not m.largest)
    kind = f"LoRA on {', '.join(s.adapted)}" if s.adapted else "full fine-tuning"
    lines = [
        f"{plan.recipe.name} on {plan.gpus}: {kind} of {a.name} in {plan.recipe.model.dtype}",
        f"{a.total:,} parameters, {a.met:,} of them met by a token beside embeddings and head ({a.origin})",
        f"{s.world} processes = {s.data} data × {s.sequence} sequence, rows of {plan.recipe.pack.length:,} tokens",
        "",
        _verdict(plan),
        "",
        "Memory of one GPU",
        *_table([*m.states, *m.fixed]),
        f"  and most at {m.largest.name}:",
        *_table(sorted(m.largest.parts, key=lambda f: -f.value)),
        f"  ({beside})",
        f"  not counted: {'; '.join(NOT_COUNTED)}",
        "",
        "Memory of one node's host",
        *_table(m.host),
        "",
        "Traffic of one GPU in a micro-step",
        *_table(plan.traffic),
        "",
        "Time",
        *_table([*plan.training, *plan.speed.parts]),
        f"  shares of peak: {FITTED}",
        "",
        "Disk",
        *_table(plan.disk),
        "",
        "Evaluation and teacher",
        *_table(plan.evaluation),
    ]
    if plan.notes:
        lines += ["", "Notes", *(f"  {n}" for n in plan.notes)]
    if not plan.fits:
        lines += ["", *_others(others)]
    return lines


def as_data(plan: Plan, others: Sequence[Alternative]) -> dict[str, Any]:
    """The plan as JSON takes it: bytes, seconds and numbers as they are."""
    a, m = plan.student, plan.memory

    def figures(found: Iterable[Figure]) -> list[dict[str, Any]]:
        return [asdict(f) for f in found]

    return {
        "recipe": plan.recipe.name,
        "gpus": asdict(plan.gpus),
        "fits": plan.fits,
        "peak_bytes": m.peak,
        "free_bytes": plan.free,
        "student": {**asdict(a), "parameters": a.parameters, "total": a.total, "met": a.met},
        "sizes": {"world": plan.setting.world, "data": plan.setting.data, "sequence": plan.setting.sequence},
        "memory": {
            "states": figures(m.states),
            "fixed": figures(m.fixed),
            "moments": [{"name": x.name, "total": x.total, "parts": figures(x.parts)} for x in m.moments],
            "host": figures(m.host),
            "not_counted": list(NOT_COUNTED),
        },
        "traffic": figures(plan.traffic),
        "training": figures(plan.training),
        "step": figures(plan.speed.parts),
        "disk": figures(plan.disk),
        "evaluation": figures(plan.evaluation),
        "notes": plan.notes,
        "alternatives": [
            {
                "changes": list(x.changes),
                "peak_bytes": x.plan.memory.peak,
                "tokens_per_second": x.plan.speed.tokens,
                "host_bytes": sum(f.value for f in x.plan.memory.host),
            }
            for x in others
        ],
    }


def _verdict(plan: Plan) -> str:
    peak, room = shown(plan.memory.peak, "bytes"), shown(plan.gpus.memory, "bytes")
    if not plan.fits:
        return f"DOES NOT FIT: {peak} of {room} a GPU, {shown(-plan.free, 'bytes')} too much"
    tight = "; less than a tenth is free, so expect to tune" if plan.free < plan.gpus.memory / 10 else ""
    return f"fits: {peak} of {room} a GPU, {shown(plan.free, 'bytes')} free{tight}"


def _table(figures: Iterable[Figure]) -> list[str]:
    rows = [f for f in figures if f.unit != "bytes" or f.value >= SMALL]
    rows = [f for f in rows if f.unit != "seconds" or f.value > 0]
    return [f"  {f.name:<30} {shown(f.value, f.unit):>20}  {f.tag:<8}  {f.why}".rstrip() for f in rows]


def _others(others: Sequence[Alternative]) -> list[str]:
    if not others:
        return ["No setting of sequence parallelism, offload, LoRA or up to 8 such nodes fits either."]
    head = f"  {'peak':>9}  {'host':>9}  {'tokens/s a GPU':>14}  change"
    return [
        "What would fit, the nearest to the recipe first",
        head,
        *(
            f"  {shown(x.plan.memory.peak, 'bytes'):>9}  {shown(sum(f.value for f in x.plan.memory.host), 'bytes'):>9}  "
            f"{x.plan.speed.tokens / x.plan.gpus.world:>14,.0f}  {'; '.join(x.changes)}"
            for x in others
        ),
    ]
