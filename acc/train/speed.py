"""Speed against what the device could do: FLOPs of a step from its documents, and of devices from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

PEAKS = {
    "B200": 2250.0,
    "H200": 989.5,
    "H100 PCIe": 756.5,
    "H100 NVL": 835.5,
    "H100": 989.5,
    "H800": 989.5,
    "H20": 148.0,
    "A100": 312.0,
    "A800": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
}
"""Words of a device's name → dense bfloat16 TFLOP/s as its maker states; the first whose words are all in the name counts."""


class Work(NamedTuple):
    """FLOPs of forward and backward pass: those of products with weights, and those of attention's own two products."""

    products: float
    attention: float


def model_flops(config: Any, document_lengths: Sequence[int], *, labelled: int = 0, frozen: bool = False) -> float:
    """FLOPs of the forward and backward pass over packed documents, as one trained weight costs 6 a token.

    Attention is causal within each document (half of its square), only chosen experts count, the output projection only where
    there are labels, and nothing that is computed again.

    Args:
        config: of a transformers model, dense or mixture of experts.
        document_lengths: tokens of each document.
        labelled: tokens that the output projection runs on, number.
        frozen: the model's own weights get no gradient (adapters, which are not counted, do): they cost 4 a token.
    """
    c = config.get_text_config()
    width, size = c.hidden_size, getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    query, key = c.num_attention_heads * size, c.num_key_value_heads * size
    experts = getattr(c, "num_experts", None)
    mlp = c.num_experts_per_tok * 3 * c.moe_intermediate_size + experts if experts else 3 * c.intermediate_size
    weights = c.num_hidden_layers * width * (2 * query + 2 * key + mlp)
    head = c.vocab_size * width * labelled
    return sum(
        work(
            weights * sum(document_lengths) + head,
            c.num_hidden_layers * query * sum(n * n for n in document_lengths),
            frozen=frozen,
        )
    )


def work(weight_tokens: float, query_squares: float, *, frozen: bool = False) -> Work:
    """What `model_flops` counts, from sums that need no configuration.

    Args:
        weight_tokens: sum over the tokens of the weights that each one meets.
        query_squares: sum over layers and documents of query width × length².
        frozen: as in `model_flops`.
    """
    return Work((4.0 if frozen else 6.0) * weight_tokens, 6.0 * query_squares)


def peak_flops(device: str) -> float | None:
    """Dense bfloat16 FLOP/s of a device by its name in torch; None for one that is not known."""
    words = set(re.split(r"[\s-]+", device))
    return next((peak * 1e12 for name, peak in PEAKS.items() if set(name.split()) <= words), None)
