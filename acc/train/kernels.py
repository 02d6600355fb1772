"""The kernels for sequences of many documents, brought to one signature. None of them runs on a CPU, and none has been run on
a GPU by us yet; `scripts/gpu_check` does."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

import torch

from acc.errors import UserError
from acc.train.documents import Documents

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Documents, float | None, float], torch.Tensor]
"""(query [length, heads, size], key and value [length, key-value heads, size], documents, scale (None: 1/√size), dropout) →
[length, heads, size]: causal attention within each document, in bfloat16 or float16."""


def torch_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scale: float | None, dropout: float
) -> torch.Tensor:
    """torch's own (torch.nn.attention.varlen), whose options have changed from release to release.

    Raises:
        UserError: dropout, which it does not have.
    """
    from torch.nn.attention.varlen import varlen_attn

    if dropout:
        raise UserError(
            "torch's varlen attention has no dropout, and the model's attention_dropout is above 0",
            where="model.attention",
            mend="Set attention_dropout to 0 in the student's config.json, or take documents_sdpa",
        )
    known = signature(varlen_attn).parameters
    causal: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    grouped = query.shape[1] // key.shape[1]
    if "enable_gqa" in known:
        causal["enable_gqa"] = grouped > 1
    elif grouped > 1:
        key, value = (x.repeat_interleave(grouped, dim=1) for x in (key, value))
    if "scale" in known:
        causal["scale"] = scale
    elif scale is not None:
        query = query * (scale * query.shape[2] ** 0.5)
    bounds, longest = documents.cumulative, documents.longest
    return _tensor(varlen_attn(query, key, value, bounds, bounds, longest, longest, **causal))


def flash_attention_2(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scale: float | None, dropout: float
) -> torch.Tensor:
    """The package flash-attn."""
    return _flash("flash_attn", query, key, value, documents, softmax_scale=scale, dropout_p=dropout)


def flash_attention_3(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scale: float | None, dropout: float
) -> torch.Tensor:
    """The package flash-attn-3, for Hopper.

    Raises:
        UserError: dropout, which it does not have.
    """
    if dropout:
        raise UserError(
            "FlashAttention 3 has no dropout, and the model's attention_dropout is above 0",
            where="model.attention",
            mend="Set attention_dropout to 0 in the student's config.json, or take flash_attention_2",
        )
    return _flash("flash_attn_interface", query, key, value, documents, softmax_scale=scale)


def _flash(
    package: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, **options: Any
) -> torch.Tensor:
    bounds, longest = documents.cumulative, documents.longest
    out = import_module(package).flash_attn_varlen_func(
        query,
        key,
        value,
        cu_seqlens_q=bounds,
        cu_seqlens_k=bounds,
        max_seqlen_q=longest,
        max_seqlen_k=longest,
        causal=True,
        **options,
    )
    return _tensor(out)


def _tensor(out: Any) -> torch.Tensor:
    """The output without the log-sum-exp that some releases give beside it."""
    found: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return found
