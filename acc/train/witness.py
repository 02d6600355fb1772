"""Seeing in the first forward pass that the model really runs what was asked: the attention, and on how many positions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


@contextmanager
def attention_watched(config: Any, length: int, sequence: int) -> Iterator[None]:
    """Inside, one forward pass runs; at the end see that every layer ran the asked attention on this process's part.

    A transformers or accelerate that ignored the settings would train on, with documents crossing or ranks unsplit.

    Args:
        config: of the model.
        length: positions of this process's part of the sequence.
        sequence: processes that share it.

    Raises:
        RuntimeError: it did not.
    """
    config = config.get_text_config()
    name = config._attn_implementation
    inner, lengths = ALL_ATTENTION_FUNCTIONS[name], list[int]()

    def watch(module: Any, query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(query.shape[2])
        return inner(module, query, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS[name] = watch
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS[name] = inner
    if lengths != [length] * config.num_hidden_layers:
        raise RuntimeError(
            f"{name} should have run on {length} positions in each of {config.num_hidden_layers} layers, not on {lengths}"
        )
    if sequence > 1 and "ulysses" not in getattr(inner, "__qualname__", "").lower() + inner.__module__:
        raise RuntimeError(f"parallel.sequence is {sequence} but {name} is not wrapped by Ulysses")
