"""What a layer keeps from its forward pass for its backward pass, tensor by tensor, in bytes a token of one process.

Written down from what autograd saves in transformers' qwen3_moe, qwen3 and llama with acc's attention, and held to it by
`scripts/plan_accuracy`. Norms work in float32 whatever the type.
"""

from __future__ import annotations

from acc.launch.plan.architecture import Architecture
from acc.launch.plan.setting import Setting

EXACT = 4
"""Bytes of float32."""
NUMBER = 8
"""Bytes of the int64 that sorting and routing use."""


def attention(a: Architecture, s: Setting) -> float:
    """Input norm, projections, norms of the heads, attention, output projection."""
    b, adapted = s.operand, "attention" in s.adapted
    repeated = max(1.0, s.sequence / a.key_heads)
    kept = _norm(a, s, feeds=3 * s.feels("attention"))
    if a.normed_heads:
        kept += EXACT * (a.query + a.key + a.heads + a.key_heads) + (b * (a.query + a.key) if s.learns("norms") else 0)
    kept += b * (a.query + 2 * a.key * repeated)
    kept += EXACT * a.heads + b * a.query
    if s.feels("attention") and not (s.at_once and s.sequence == 1):
        kept += b * a.query
    return kept + (4 * b * s.rank if adapted else 0)


def experts(a: Architecture, s: Setting) -> float:
    """Norm, router and experts of a sparse layer: each token's rows are copied for every expert that it goes to. Their grouped
    products take the weights' own type, whatever autocast says."""
    b, k = s.weight, a.chosen
    kept = _norm(a, s, feeds=int(s.feels("router")))
    kept += EXACT * (a.experts + k + 1) + 4 * NUMBER * k
    kept += k * b * (2 * a.expert_width + a.expert_width + 1 + a.width)
    if s.feels("experts"):
        kept += k * b * (a.width + a.expert_width)
    return kept


def mlp(a: Architecture, s: Setting) -> float:
    """Norm and MLP of a dense layer."""
    b = s.operand
    kept = _norm(a, s, feeds=2 * s.feels("mlp")) + 3 * b * a.intermediate
    if s.feels("mlp"):
        kept += b * a.intermediate
    return kept + (3 * b * s.rank if "mlp" in s.adapted else 0)


def second_half(a: Architecture, s: Setting) -> float:
    """The larger of the two kinds of MLP that the student has."""
    return max(experts(a, s) if a.sparse else 0.0, mlp(a, s) if a.sparse < a.layers else 0.0)


def all_layers(a: Architecture, s: Setting) -> float:
    """Of all layers without gradient checkpointing. Under LoRA nothing before the first adapter is kept."""
    kept = a.layers * attention(a, s)
    kept += a.sparse * experts(a, s) if a.sparse else 0.0
    kept += (a.layers - a.sparse) * mlp(a, s) if a.sparse < a.layers else 0.0
    if s.adapted:
        kept -= EXACT * (a.width + 1) if "attention" in s.adapted else attention(a, s)
    return kept


def checkpoints(a: Architecture, s: Setting) -> float:
    """With gradient checkpointing: the input of every layer."""
    return a.layers * s.stream * a.width


def around(a: Architecture, s: Setting) -> float:
    """Outside of the layers: ids, RoPE's tables, the last norm, and the batch's own six columns."""
    last = EXACT * (a.width + 1) + (s.stream * a.width if s.learns("norms") else 0)
    return 2 * a.head_size * s.stream + last + 6 * NUMBER


def merged(a: Architecture, s: Setting) -> float:
    """Bytes, not a token, of a sparse layer's experts with their adapters added: PEFT makes them anew in each forward pass."""
    return float(s.weight * a.experts * 3 * a.expert_width * a.width) if "experts" in s.adapted else 0.0


def gradients(a: Architecture, s: Setting) -> float:
    """Most that the passes of one layer hold beside what is kept, bytes a token: the experts' (or the MLP's) rows twice, with
    what frozen weights need in the forward pass only; or gradients of query, key and value, when what the MLP kept is freed."""
    b = s.operand
    routed = 2 * s.weight * a.chosen * a.width if a.sparse else 0
    if a.sparse:
        routed += 0 if s.feels("experts") else s.weight * a.chosen * a.width
        routed += 0 if s.feels("router") else b * a.width
    dense = 2 * b * a.intermediate if a.sparse < a.layers else 0
    heads = 2 * b * (a.query + 2 * a.key) + EXACT * a.query - second_half(a, s)
    return s.stream * a.width + max(routed, dense, heads)


def _norm(a: Architecture, s: Setting, *, feeds: int) -> float:
    """A norm's input in float32 with its scale, the normed input of its weight, and the output that products take: one that
    `feeds` products share, or a cast for each of them."""
    normed = s.stream * a.width if s.learns("norms") else 0
    return EXACT * (a.width + 1) + normed + s.operand * a.width * (feeds if s.casts else min(feeds, 1))
