"""What training holds all the time: weights, gradients, the optimizer's state; on the GPU and in the host's memory."""

from __future__ import annotations

from acc.launch.plan.architecture import Architecture
from acc.launch.plan.figures import Figure
from acc.launch.plan.setting import Setting, trained

MOMENTS = 8
"""AdamW's two float32 moments of a trained parameter, bytes."""
MASTER = 4
"""The float32 copy of a trained parameter, bytes; DeepSpeed makes it of float32 weights too."""


def device_states(a: Architecture, s: Setting) -> list[Figure]:
    """Of one GPU. ZeRO-3 cuts everything over all processes; alone, a process has it whole."""
    share = s.world if s.zero3 else 1
    shared = f"÷ {share} processes (ZeRO-3)" if share > 1 else "whole"
    learned, here = trained(a, s), "optimizer" not in s.offload
    weights = a.total + (learned if s.adapted else 0)
    found = []
    if "parameters" not in s.offload:
        found.append(_bytes("weights", s.weight * weights / share, f"{weights:,} × {s.weight} B {shared}"))
    if here:
        found.append(_bytes("gradients", s.weight * learned / share, f"{learned:,} trained × {s.weight} B {shared}"))
        each = _optimizer(s)
        why = f"AdamW: {learned:,} trained × {each} B (moments{', float32 copy' if each > MOMENTS else ''}) {shared}"
        found.append(_bytes("optimizer", each * learned / share, why))
    return found


def host_states(a: Architecture, s: Setting, processes: int) -> list[Figure]:
    """Of one machine with so many of the processes: what is offloaded to it.

    With the optimizer go its float32 weights and moments, the gradients in the weights' type, and a float32 copy of them
    that DeepSpeed keeps from step to step.
    """
    learned, found = trained(a, s), []
    mine = processes / s.world
    if "optimizer" in s.offload:
        each = MASTER + MOMENTS + MASTER + s.weight
        why = f"{learned:,} trained × {each} B (float32 weight, moments, gradient; gradient), this machine's share"
        found.append(_bytes("optimizer and gradients", each * learned * mine, why))
    if "parameters" in s.offload:
        weights = a.total + (learned if s.adapted else 0)
        why = f"{weights:,} × {s.weight} B, this machine's share"
        found.append(_bytes("weights", s.weight * weights * mine, why))
    return found


def _optimizer(s: Setting) -> int:
    return MOMENTS + (MASTER if s.zero3 else 0)


def _bytes(name: str, value: float, why: str) -> Figure:
    return Figure(name, value, "bytes", "computed", why)
