"""Attention in which packed documents never see each other, whichever kernel computes it.

Stock SDPA keeps packed documents apart by a mask of sequence × sequence, and loses it under Ulysses; stock FlashAttention finds
the documents anew in every layer, waiting for the GPU each time. Ours is told where the documents of the whole sequence are
once a forward pass (`documents`, which transformers hands down to every layer, and Ulysses through), and never makes a mask:
SDPA runs on each document, which works anywhere; the other kernels run on all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from acc.errors import UserError
from acc.train import kernels
from acc.train.documents import Documents, bounds_of, documents_at

DOCUMENTS_SDPA = "documents_sdpa"
REGISTERED = {
    # transformers would check and load a name with "flash" in it by itself.
    "flash_attention_3": "documents_fa3",
    "flash_attention_2": "documents_fa2",
    "torch_varlen": "torch_varlen",
    DOCUMENTS_SDPA: DOCUMENTS_SDPA,
}
"""model.attention of the recipe → its name in transformers, best first."""


def choose_attention(asked: str, dtype: str = "bfloat16") -> str:
    """The name of the attention to load the model with, registered and ready.

    Args:
        asked: model.attention of the recipe.
        dtype: model.dtype.

    Raises:
        UserError: an attention was named that is not installed, or that this machine or type has no kernel for.
    """
    register()
    return REGISTERED[explain_attention(asked, dtype)[0]]


def explain_attention(asked: str, dtype: str = "bfloat16") -> tuple[str, str]:
    """What `choose_attention` takes, by its name in the recipe, and why, in words.

    Raises:
        UserError: as there.
    """
    if asked != "auto":
        if (why_not := _missing(asked, dtype)) is not None:
            raise UserError(
                f"{asked} {why_not}",
                where="model.attention",
                mend="Install it (flash-attn is no dependency of acc), or set model.attention to auto",
            )
        return asked, "as model.attention says"
    if not torch.cuda.is_available():
        return DOCUMENTS_SDPA, "there is no GPU"
    left_out = []
    for name in REGISTERED:
        if (why_not := _missing(name, dtype)) is None:
            break
        left_out.append(f"{name} {why_not}")
    return name, "; ".join(left_out) or "the fastest there is"


def register() -> None:
    """Make our attention known to transformers. Ulysses replaces the entry by its wrapper, so each run registers anew."""
    functions = {
        DOCUMENTS_SDPA: documents_sdpa,
        "torch_varlen": at_once(kernels.torch_varlen),
        "flash_attention_2": at_once(kernels.flash_attention_2),
        "flash_attention_3": at_once(kernels.flash_attention_3),
    }
    for name, function in functions.items():
        ALL_ATTENTION_FUNCTIONS[REGISTERED[name]] = function
        AttentionMaskInterface.register(REGISTERED[name], _no_mask)


def documents_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: torch.Tensor | None = None,
    documents: Documents | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each document, by torch's SDPA on one after the other.

    Args:
        query: [1, heads, length, head size].
        key, value: [1, key-value heads, length, head size].
        position_ids: [1, length]; a document begins wherever it is 0.
        documents: the same, found already.

    Returns:
        [1, length, heads, head size], and None for the weights.

    Raises:
        UserError: the model wants more than causal attention (a sliding window, a soft cap, sinks).
    """
    lengths = _documents(query, attention_mask, position_ids, documents, others).lengths
    grouped = key.shape[1] != query.shape[1]
    # Split, not sliced: the gradient of every slice would be a tensor of the whole length.
    parts = zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    outputs = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=grouped)
        for q, k, v in parts
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def at_once(kernel: kernels.Kernel) -> Callable[..., tuple[torch.Tensor, None]]:
    """The same attention as `documents_sdpa`, by a kernel that takes all documents in one call."""

    def documents_at_once(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        position_ids: torch.Tensor | None = None,
        documents: Documents | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        found = _documents(query, attention_mask, position_ids, documents, others)
        # Norms of query and key give float32 under autocast, which the kernels do not take.
        kind = query.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
        q, k, v = (x[0].transpose(0, 1).to(half) for x in (query, key, value))
        return kernel(q, k, v, found, scaling, dropout)[None], None

    return documents_at_once


def _documents(
    query: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    documents: Documents | None,
    others: dict[str, Any],
) -> Documents:
    """The documents of the sequence that the query holds all positions of."""
    extras = {"sliding_window": "a sliding window", "softcap": "a soft cap", "s_aux": "attention sinks"}
    for name, words in extras.items():
        if others.get(name) is not None:
            raise UserError(
                f"the model's attention has {words}, which acc does not compute",
                where="model.path",
                mend="Take a model with plain causal attention in every layer",
            )
    if documents is None and position_ids is not None:
        documents = documents_at(bounds_of(position_ids[0]))
    length = query.shape[2]
    if attention_mask is not None or len(query) != 1 or documents is None or documents.length != length:
        raise RuntimeError(f"the attention got a mask, or no documents for {length} positions; this is a bug in acc")
    return documents


def _missing(name: str, dtype: str) -> str | None:
    """Why an attention can't run here, None if it can."""
    if name == DOCUMENTS_SDPA:
        return None
    if not torch.cuda.is_available():
        return "needs a GPU, and there is none"
    if dtype == "float32":
        return "computes in bfloat16, and model.dtype is float32"
    generation = torch.cuda.get_device_capability()[0]
    if generation < 8 or (name == "flash_attention_3" and generation != 9):
        return f"has no kernel for this GPU (compute capability {generation}.x)"
    installed = {
        "flash_attention_2": is_flash_attn_2_available,
        "flash_attention_3": is_flash_attn_3_available,
        "torch_varlen": lambda: find_spec("torch.nn.attention.varlen") is not None,
    }
    return None if installed[name]() else "is not installed"


def _no_mask(*_: Any, **__: Any) -> None:
    """transformers asks for a mask; there is none."""
