"""Time of a step by a roofline: FLOPs over what the devices reach, traffic over what the links carry; and hours to the end."""

from __future__ import annotations

from dataclasses import dataclass

from acc.launch.plan.architecture import Architecture
from acc.launch.plan.extent import Extent
from acc.launch.plan.figures import Figure, Tag
from acc.launch.plan.gpus import Gpus
from acc.launch.plan.setting import Setting, trained
from acc.train.speed import Work, work

EXPERT_PRODUCTS = 0.12
"""Share of a device's peak that a mixture of experts' products reach, what is recomputed counted."""
DENSE_PRODUCTS = 0.5
"""The same for a dense model."""
ATTENTION = 0.55
"""The same for attention, by FlashAttention."""
FITTED = (
    "fitted to published runs of Qwen3-30B-A3B on H100 and H200 with everything recomputed: 4,378 tokens/s a GPU at 16K and "
    "2,924 at 64K (prime-rl), 3,602 at 16K (transformers)"
)
LINK = 350e9
"""Bytes/s that a GPU's collectives reach over NVLink, or between nodes with 400 Gbit/s a GPU."""
SLOW = 45e9
"""The same between nodes with 400 Gbit/s a node."""
HOST_LINK = 25e9
"""Bytes/s between a GPU and the host's memory."""
HOST_ADAM = 1.5e9
"""Parameters/s that DeepSpeed's Adam for CPUs steps, a machine."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that one GPU sends (and receives) in one micro-step: weights and gradients under ZeRO-3, and sequence parallelism's
    exchanges."""

    gathers: float
    gradients: float
    exchanges: float

    @property
    def zero3(self) -> float:
        return self.gathers + self.gradients


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one optimizer step. `seconds` is the sum of the parts that are not hidden behind others."""

    seconds: float
    parts: list[Figure]
    tokens: float
    mfu: float


def traffic_of(a: Architecture, s: Setting, tokens: float) -> Traffic:
    """The traffic of a micro-step on a sequence of so many tokens.

    Weights are gathered for the forward pass and again for the backward pass (recomputing keeps what it has just fetched);
    gradients are reduced in their own type, under sequence parallelism in float32.
    """
    if not s.zero3 or s.world == 1:
        return Traffic(0.0, 0.0, 0.0)
    learned = trained(a, s)
    gathered = a.total + (learned if s.adapted else 0)
    reduced = 4 if s.sequence > 1 else s.weight
    passes = 3 if s.checkpointing else 2
    repeated = max(1.0, s.sequence / a.key_heads)
    exchanged = s.operand * (2 * a.query + 2 * a.key * repeated) * a.layers * passes * tokens / s.sequence
    return Traffic(2.0 * s.weight * gathered, float(reduced * learned), exchanged * (s.sequence - 1) / s.sequence)


def flops_of(a: Architecture, s: Setting, extent: Extent) -> Work:
    """FLOPs of a sequence, as the training's log counts them; the head's are products."""
    weights = a.met * extent.tokens + a.vocabulary * a.width * extent.labelled
    return work(weights, a.layers * a.query * extent.squares, frozen=bool(s.adapted))


def speed_of(a: Architecture, s: Setting, gpus: Gpus, extent: Extent) -> Speed:
    """The time of a step: of computing and ZeRO-3's traffic the longer one, as they overlap, and what overlaps with nothing.

    Computing and exchanges take as long as those of the busiest rank; in gathering weights all take part, also without work.
    """
    micro, busiest = extent.per_step / s.data, extent.busiest(s.data)
    flops = flops_of(a, s, extent)
    again = 4 / 3 if s.checkpointing else 1.0
    if s.adapted and s.checkpointing:
        again = 3 / 2
    reached = EXPERT_PRODUCTS if a.experts else DENSE_PRODUCTS
    each = busiest * again / s.sequence / gpus.flops
    products, attention = flops.products * each / reached, flops.attention * each / ATTENTION
    sent = traffic_of(a, s, extent.tokens)
    zero3, exchanges = micro * sent.zero3 / LINK, busiest * sent.exchanges / LINK
    share = s.world if s.zero3 else 1
    mine = trained(a, s) / share
    moved = s.weight * mine * 2 / HOST_LINK if "optimizer" in s.offload else 0.0
    if "parameters" in s.offload:
        moved += micro * 2 * s.weight * a.total / share / HOST_LINK
    adam = trained(a, s) / s.world * gpus.count / HOST_ADAM if "optimizer" in s.offload else 28 * mine / gpus.bandwidth
    seconds = max(products + attention, zero3) + exchanges + moved + adam

    def part(name: str, value: float, why: str, tag: Tag = "assumed") -> Figure:
        return Figure(name, value, "seconds", tag, why)

    once = "everything" if s.checkpointing else "nothing"
    per_gpu = busiest / s.sequence / 1e12
    parts = [
        part("products", products, f"{flops.products * per_gpu:,.0f} TFLOP, {once} recomputed, at {reached:.0%} of peak"),
        part("attention", attention, f"{flops.attention * per_gpu:,.0f} TFLOP, {once} recomputed, at {ATTENTION:.0%} of peak"),
        part("ZeRO-3 traffic", zero3, f"at {LINK / 1e9:.0f} GB/s, behind the computing"),
        part("sequence exchanges", exchanges, f"at {LINK / 1e9:.0f} GB/s"),
        part("offload", moved, f"at {HOST_LINK / 1e9:.0f} GB/s a GPU"),
        part("optimizer", adam, "DeepSpeed's Adam on the host" if "optimizer" in s.offload else "at the memory's bandwidth"),
    ]
    whole = sum(flops) * extent.per_step
    return Speed(seconds, parts, extent.step_tokens / seconds, whole / seconds / s.world / gpus.flops)
