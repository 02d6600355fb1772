"""Memory of one GPU, part by part, at the three moments at which a step needs most, and the host's."""

from __future__ import annotations

from dataclasses import dataclass

from acc.launch.plan import activations
from acc.launch.plan.architecture import Architecture
from acc.launch.plan.figures import Figure
from acc.launch.plan.setting import Setting, trained
from acc.launch.plan.states import device_states, host_states
from acc.train.chunk import CHUNK

CONTEXT = 0.7e9
"""CUDA context, loaded kernels and cuBLAS's workspace, bytes a GPU."""
NCCL = 1.5e9
"""NCCL's channels and buffers where there are several processes, bytes a GPU."""
FRAGMENTED = 0.05
"""Share of what a step allocates and frees that lies between the blocks of the allocator."""
PROCESS = 6e9
"""Host memory of a training process itself, bytes: Python, torch, transformers, pinned buffers."""
NOT_COUNTED = (
    "workspaces of kernels beside FlashAttention's",
    "evaluation in the training processes: it runs between steps, in memory that a step's activations leave",
    "allocations of your own callbacks and trackers",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The longest sequence that a process group meets.

    Args:
        tokens: its length.
        labelled: most labelled tokens that one process holds of it.
    """

    tokens: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a step and what it holds beside the states."""

    name: str
    parts: list[Figure]

    @property
    def total(self) -> float:
        return sum(p.value for p in self.parts)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one GPU: `states` and `fixed` always, and of the moments the largest. `host` is one machine's, beside the GPU."""

    states: list[Figure]
    fixed: list[Figure]
    moments: list[Moment]
    host: list[Figure]

    @property
    def largest(self) -> Moment:
        """The moment that needs most."""
        return max(self.moments, key=lambda m: m.total)

    @property
    def peak(self) -> float:
        """Bytes, at the largest moment."""
        return sum(p.value for p in (*self.states, *self.fixed)) + self.largest.total


def memory_of(a: Architecture, s: Setting, rows: Rows, *, processes: int) -> Memory:
    """What a step needs.

    Args:
        processes: on one machine.
    """
    moments = [head_moment(a, s, rows), layer_moment(a, s, rows), optimizer_moment(a, s)]
    largest = max(m.total for m in moments)
    fixed = [
        Figure("CUDA context", CONTEXT, "bytes", "assumed", "kernels of torch and its libraries, cuBLAS's workspace"),
        Figure("NCCL", NCCL if s.world > 1 else 0.0, "bytes", "assumed", "channels and buffers of its groups"),
        Figure("fragmentation", FRAGMENTED * largest, "bytes", "assumed", f"{FRAGMENTED:.0%} of what comes and goes"),
    ]
    host = host_states(a, s, processes)
    host.append(Figure("processes", PROCESS * processes, "bytes", "assumed", f"{processes} × {PROCESS / 1e9:.0f} GB"))
    if s.zero3 and not s.adapted:
        twice = a.parameters["experts"] * 2 / 3
        why = f"on the first machine, as it saves: all weights{', gate and up of the experts twice' if twice else ''}"
        host.append(Figure("a checkpoint, gathered", s.weight * (a.total + twice), "bytes", "computed", why))
    return Memory(device_states(a, s), fixed, moments, host)


def saved(a: Architecture, s: Setting, rows: Rows) -> list[Figure]:
    """What the forward pass leaves for the backward pass, without the head's."""
    tokens = rows.tokens / s.sequence
    if s.checkpointing:
        each = activations.checkpoints(a, s)
        name, why = "inputs of every layer", f"{each / 1e3:,.0f} KB a token × {tokens:,.0f} tokens of this GPU"
        kept = each * tokens
    else:
        each = activations.all_layers(a, s)
        name, why = "saved activations", f"{each / 1e3:,.0f} KB a token × {tokens:,.0f} tokens of this GPU"
        kept = each * tokens + a.sparse * activations.merged(a, s) + _cast_weights(a, s)
    around = activations.around(a, s) * tokens
    held = [Figure("experts that autograd holds", _held(a, s), "bytes", "computed", "gathered, until their backward pass")]
    return [
        Figure(name, kept, "bytes", "computed", why),
        *(held if _held(a, s) else []),
        Figure("inputs, RoPE, last norm", around, "bytes", "computed", f"{activations.around(a, s) / 1e3:.1f} KB a token"),
    ]


def logits(a: Architecture, s: Setting, rows: Rows) -> Figure:
    """What the head leaves for its backward pass: log-probabilities of labelled tokens, or, where they are more than a chunk,
    the hidden states alone."""
    kept = max(1, rows.labelled)
    if kept > CHUNK:
        return Figure("labelled hidden states", s.operand * kept * a.width, "bytes", "computed", f"{kept:,} tokens")
    why = f"{kept:,} labelled tokens × {a.vocabulary:,} words in float32"
    return Figure("logits", (activations.EXACT * a.vocabulary + s.operand * a.width) * kept, "bytes", "computed", why)


def head_moment(a: Architecture, s: Setting, rows: Rows) -> Moment:
    """The loss and its backward pass, with every layer's activations still there."""
    kept, tokens = max(1, rows.labelled), rows.tokens / s.sequence
    chunk, words = min(kept, CHUNK), a.vocabulary
    head = words * a.width
    parts = [*saved(a, s, rows), logits(a, s, rows)]
    exact = activations.EXACT
    flight = chunk * words * (exact * (2 if kept > CHUNK else 1) + (s.operand if s.half else 0))
    parts.append(Figure("logits in work", flight, "bytes", "computed", f"{chunk:,} × {words:,}, chunks of {CHUNK:,} at most"))
    if s.learns("head"):
        each = (exact if kept > CHUNK else 0) + s.operand + (exact if s.sequence > 1 and s.half else 0)
        parts.append(Figure("head's gradient", each * head, "bytes", "computed", "whole, before it is shared out"))
    hidden = 2 * s.stream * tokens * a.width
    parts.append(Figure("gradient of the hidden states", hidden, "bytes", "computed", "and of the last norm's input"))
    return Moment("the loss", [*parts, *_gathered(a, s)])


def layer_moment(a: Architecture, s: Setting, rows: Rows) -> Moment:
    """The backward pass of a layer, recomputed before it with gradient checkpointing."""
    tokens = rows.tokens / s.sequence
    parts = saved(a, s, rows)
    each = activations.gradients(a, s)
    if s.checkpointing:
        layer = activations.attention(a, s) + activations.second_half(a, s)
        why = f"{layer / 1e3:,.0f} KB a token × {tokens:,.0f}"
        fixed = activations.merged(a, s) + _cast_weights(a, s)
        parts.append(Figure("one layer, computed again", layer * tokens + fixed, "bytes", "computed", why))
    parts.append(Figure("its gradients", each * tokens, "bytes", "computed", f"{each / 1e3:,.0f} KB a token × {tokens:,.0f}"))
    if s.at_once:
        why = "FlashAttention's float32 gradient of the queries"
        parts.append(Figure("kernels' workspace", activations.EXACT * a.query * tokens, "bytes", "assumed", why))
    if s.zero3 and (block := _block_gradients(a, s)):
        why = "of the largest block, whole, before they are shared out"
        if s.sequence > 1 and s.half and not s.adapted:
            why += "; under sequence parallelism DeepSpeed reduces them in float32"
        parts.append(Figure("weights' gradients in flight", block, "bytes", "computed", why))
    elif "experts" in s.adapted:
        both = 2 * s.weight * a.experts * 2 * a.expert_width * a.width
        parts.append(Figure("gradient of merged experts", both, "bytes", "computed", "PEFT adds the adapters to the weights"))
    return Moment("a layer's backward pass", [*parts, *_gathered(a, s)])


def optimizer_moment(a: Architecture, s: Setting) -> Moment:
    """The optimizer's step: gradients in float32, a sub-group at a time."""
    mine = trained(a, s) / (s.world if s.zero3 else 1)
    if "optimizer" in s.offload or not s.zero3:
        return Moment("the optimizer's step", [])
    group = min(s.sub_group, mine)
    each = 4 + (s.weight if s.half else 4)
    why = f"{group:,.0f} at a time (sub_group_size)"
    return Moment("the optimizer's step", [Figure("gradients in float32", each * group, "bytes", "computed", why)])


def _held(a: Architecture, s: Setting) -> float:
    """Experts are multiplied by a view of their weights, and what autograd saves of it keeps them from being freed: without
    gradient checkpointing all that were gathered stay from the forward to the backward pass."""
    if s.checkpointing or not s.zero3 or (s.world == 1 and not s.offload) or "experts" in s.adapted:
        return 0.0
    return float(s.weight * a.parameters["experts"])


def _gathered(a: Architecture, s: Setting) -> list[Figure]:
    """Whole parameters that ZeRO-3 has fetched: what is in use, and ahead of it up to its limit and one block more."""
    if not s.zero3 or (s.world == 1 and not s.offload):
        return []
    others = a.total + (trained(a, s) if s.adapted else 0) - _held(a, s) / s.weight
    live = min(others, s.live + a.gathered_at_once)
    why = "stage3_max_live_parameters and the largest block, or all there are"
    return [Figure("gathered weights", s.weight * live, "bytes", "computed", why)]


def _block_gradients(a: Architecture, s: Setting) -> float:
    """Gradients of the largest block and, where they are reduced in another type, of its largest parameter once more."""
    if s.adapted:
        return 2.0 * s.weight * a.experts * 2 * a.expert_width * a.width if "experts" in s.adapted else 0.0
    expert = a.experts * (3 * a.expert_width + 1) * a.width
    layer = max(expert, 2 * a.width * (a.query + a.key) + (0 if a.experts else 3 * a.intermediate * a.width))
    largest = a.experts * 2 * a.expert_width * a.width if a.experts else a.intermediate * a.width
    return s.weight * layer + (activations.EXACT * largest if s.sequence > 1 and s.half else 0)


def _cast_weights(a: Architecture, s: Setting) -> float:
    """16-bit copies of float32 weights that autocast makes: of one layer with gradient checkpointing, else of all."""
    if not s.casts:
        return 0.0
    inside = a.parameters["attention"] + a.parameters["mlp"] + a.parameters["router"]
    return float(s.operand * inside / (a.layers if s.checkpointing else 1))
