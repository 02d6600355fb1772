"""How a mixture of experts shares its tokens: counted where the experts run, in some steps, without slowing the others."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from acc.train.callbacks import keep_lines
from acc.train.engine import reduce_sum
from acc.train.loading import count_experts

EXPERTS = "experts.jsonl"
"""A line a counted step: `step`, `layers` (their numbers in the model) and `counts` [layers][experts]."""


class ExpertLoad(TrainerCallback):
    """Counts the (token, expert) pairs of every mixture-of-experts block in the first, each `every`th and the last step.

    Tokens of samples only: neither fillers nor padding. The counts are those of one whole step over all processes; they stay
    on the device until the step's line of the log. Outside of those steps the model has no hooks.

    Args:
        model: the student, with adapters or without.
        every: steps between counted steps, number; None counts never.
        resumed: the step that training goes on after; later lines, left by a run that was killed, are dropped.
        steps: of the whole run.
        writes: whether this process writes experts.jsonl in `out`.
    """

    def __init__(
        self, model: Any, out: Path, *, every: int | None, resumed: int, steps: int, writes: bool, device: torch.device
    ) -> None:
        self.every, self.steps, self.path, self.writes = every, steps, out / EXPERTS, writes
        blocks = {n: m for n, m in model.named_modules() if isinstance(getattr(m, "experts", None), torch.nn.Module)}
        self.layers = {_layer(name): block.experts for name, block in blocks.items()} if every else {}
        self._counts = torch.zeros(len(self.layers), count_experts(model.config), dtype=torch.int64, device=device)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._pairs: torch.Tensor | None = None
        if writes:
            keep_lines(self.path, resumed)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Hang on the experts if this step is counted."""
        step = state.global_step + 1
        if self.every and (step in (1, self.steps) or step % self.every == 0):
            for place, experts in enumerate(self.layers.values()):
                self._hooks.append(experts.register_forward_pre_hook(partial(self._count, place), with_kwargs=True))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl | None:
        """Ask for a line of the log if this step was counted."""
        control.should_log |= bool(self._hooks)
        return control

    @contextmanager
    def forward(self, real: torch.Tensor) -> Iterator[None]:
        """Inside, the forward pass of a micro-batch runs; one that is recomputed in the backward pass is outside.

        Args:
            real: 1 at the positions of samples, 0 in fillers and padding, int64 [1, length].
        """
        self._pairs = real[0]
        try:
            yield
        finally:
            self._pairs = None

    def line(self, step: int) -> dict[str, float]:
        """Each layer's load over all processes, as <name> → value, if this step was counted; every process calls this.

        experts/<layer>/max_share is the busiest expert's share of the layer's (token, expert) pairs, entropy that of the
        shares (1: all the same, 0: one expert takes all), dead the number of experts that got nothing.
        """
        if not self._hooks:
            return {}
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        counts = reduce_sum(self._counts.clone()).tolist()
        self._counts.zero_()
        if self.writes:
            with self.path.open("a", encoding="utf-8") as f:
                f.write(json.dumps({"step": step, "layers": list(self.layers), "counts": counts}) + "\n")
        found = {layer: load(row) for layer, row in zip(self.layers, counts, strict=True)}
        return {f"experts/{layer}/{name}": value for layer, values in found.items() for name, value in values.items()}

    def _count(self, place: int, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The experts are given, beside the hidden states, the numbers [tokens, k] of the experts that each token goes to."""
        if self._pairs is None:
            return
        given = (x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor))
        chosen = next((x for x in given if not x.is_floating_point()), None)
        if chosen is None or len(chosen) != len(self._pairs):
            raise RuntimeError(f"{type(module).__name__} was not given the experts of {len(self._pairs)} tokens")
        self._counts[place].scatter_add_(0, chosen.flatten().long(), self._pairs.repeat_interleave(chosen.shape[1]))


def load(counts: list[int]) -> dict[str, float]:
    """max_share, entropy (normalised) and dead of the pairs that each expert of a layer got; zeros where there are none."""
    total = sum(counts)
    shares = [n / total for n in counts if n]
    entropy = -sum(p * math.log(p) for p in shares) / math.log(len(counts)) if len(counts) > 1 else 0.0
    return {"max_share": max(shares, default=0.0), "entropy": abs(entropy), "dead": counts.count(0)}


def _layer(name: str) -> int:
    """model.layers.3.mlp → 3."""
    return int(re.findall(r"\.(\d+)(?:\.|$)", name)[-1])
