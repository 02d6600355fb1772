"""Seeing in the first step that training really runs what was asked, the same in every process, and saying so.

A transformers, accelerate or DeepSpeed that ignored a setting would train on with a falling loss: with documents that cross,
ranks that are not split, or experts gathered one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from acc.recipe import Recipe
from acc.records.sequences import IGNORE
from acc.train.adapters import count_parameters
from acc.train.attention import explain_attention
from acc.train.batches import Batch, StepLoader
from acc.train.engine import reduce_sum
from acc.train.loading import count_experts


class Witness:
    """Watches the first step of this process; after it, costs nothing.

    Args:
        model: with its adapters, before the engine takes it.
        loader: of the micro-batches.
        device: of the model.
    """

    def __init__(self, recipe: Recipe, model: Any, loader: StepLoader, device: torch.device) -> None:
        self.recipe, self.model, self.loader, self.device = recipe, model, loader, device
        self.seen = False
        self._step = ""

    def step(self, batches: list[Batch], number: int) -> None:
        """See that the micro-batches of a first step, over all processes, are the sequences that it should have.

        Args:
            number: of the step, from 0.

        Raises:
            RuntimeError: in every process, if they are not.
        """
        if self.seen or self._step:
            return
        sizes, counts = self.loader.sizes, torch.zeros(4, dtype=torch.int64, device=self.device)
        for batch in batches:
            if sizes.sequence_rank == 0:
                counts[0] += 1
                counts[1] += int(batch["samples_by_source"].sum())
                counts[2] += int(batch["tokens"])
            counts[3] += int(batch["targets"].ne(IGNORE).sum())
        sequences, samples, tokens, labelled = reduce_sum(counts).tolist()
        due = len(self.loader.slots(number))
        self._agree(f"step {number + 1} has {sequences} sequences instead of {due}" if sequences != due else "")
        self._step = f"{sequences} sequences, {samples:,} samples, {tokens:,} tokens, {labelled:,} of them labelled"

    @contextmanager
    def forward(self, inputs: Batch) -> Iterator[None]:
        """Inside, the first forward pass runs; at its end, see what it ran and have the first process print it.

        Raises:
            RuntimeError: in every process, if any ran something else.
        """
        if self.seen:
            yield
            return
        with attention_lengths(self.model.config) as lengths:
            yield
        self.seen = True
        sizes, config = self.loader.sizes, self.model.config.get_text_config()
        whole, part = int(inputs["bounds"][-1]), inputs["input_ids"].shape[1]
        blocks = [m for m in self.model.modules() if isinstance(getattr(m, "experts", None), torch.nn.Module)]
        zero3 = any(hasattr(p, "ds_id") for p in self.model.parameters())
        leaves = sum(bool(getattr(m, "_z3_leaf", False)) for m in blocks)
        problem = attention_problem(config, lengths, part, sizes.sequence)
        if part * sizes.sequence != whole:
            problem = f"{part} positions in each of {sizes.sequence} processes are not the {whole} of the sequence"
        if zero3 and (leaves != len(blocks) or (count_experts(config) and not blocks)):
            problem = f"ZeRO-3 gathers {leaves} of {len(blocks)} blocks of experts whole"
        self._agree(problem)
        if sizes.rank == 0:
            name, why = explain_attention(self.recipe.model.attention, self.recipe.model.dtype)
            trainable, parameters = count_parameters(self.model)
            rows = {
                "attention": f"{name} ({why})",
                "layers": f"{len(lengths)}, each on {part:,} of {whole:,} positions",
                "experts": f"{leaves} of {len(blocks)} blocks gathered whole" if zero3 else f"{len(blocks)} blocks",
                "trained": f"{trainable:,} of {parameters:,} parameters",
                "first step": self._step,
                "documents": "give packed what each gives alone",
            }
            processes = f"{sizes.data} data × {sizes.sequence} sequence processes"
            print("\n".join([f"seen in {processes}:", *(f"  {k:10}  {v}" for k, v in rows.items())]), flush=True)

    def _agree(self, problem: str) -> None:
        """Raise in every process if there is a problem in any: one that went on alone would wait for ever."""
        if reduce_sum(torch.tensor(int(bool(problem)), device=self.device)):
            raise RuntimeError(f"training does not run as asked: {problem or 'another process says why'}")


@contextmanager
def attention_lengths(config: Any) -> Iterator[list[int]]:
    """Inside, each call of a model's attention adds the number of positions that it got to the list."""
    name = config.get_text_config()._attn_implementation
    inner, lengths = ALL_ATTENTION_FUNCTIONS[name], list[int]()

    def watch(module: Any, query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(query.shape[2])
        return inner(module, query, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS[name] = watch
    try:
        yield lengths
    finally:
        ALL_ATTENTION_FUNCTIONS[name] = inner


def attention_problem(config: Any, lengths: list[int], part: int, sequence: int) -> str:
    """What is wrong with the attention of one forward pass; "" if nothing is.

    Args:
        config: of the text model.
        lengths: positions of each call, as `attention_lengths` gives them.
        part: positions that this process holds.
        sequence: processes that share the sequence.
    """
    name, layers = config._attn_implementation, config.num_hidden_layers
    if lengths != [part] * layers:
        return f"{name} should have run on {part} positions in each of {layers} layers, not on {lengths}"
    function = ALL_ATTENTION_FUNCTIONS[name]
    if sequence > 1 and "ulysses" not in getattr(function, "__qualname__", "").lower() + function.__module__:
        return f"parallel.sequence is {sequence} but {name} is not wrapped by Ulysses"
    return ""
