"""What a line of the log counts: tokens, labelled tokens, samples and loss by source, balance, speed and memory."""

from __future__ import annotations

import time
from typing import Any

import torch

from acc.train.batches import Batch
from acc.train.engine import reduce_sum
from acc.train.memory import peak_memory
from acc.train.parallel import Sizes
from acc.train.speed import model_flops, peak_flops

ROWS = ("tokens", "samples", "labelled", "weight", "loss")
"""What is summed by source; `loss` and `weight` are those of its labelled tokens under train.loss_reduction."""


class Counts:
    """Sums over the micro-batches of this process since the last line of the log.

    Args:
        sources: names, in the order of `Batch`'s `sources`; "" is that of fillers.
        config: of the model.
        frozen: only adapters are trained.
    """

    def __init__(self, sources: list[str], sizes: Sizes, config: Any, device: torch.device, *, frozen: bool) -> None:
        self.sources, self.sizes, self.config, self.frozen = sources, sizes, config, frozen
        self._sums = torch.zeros(len(ROWS), len(sources), dtype=torch.float64, device=device)
        self._clock: float | None = None
        self._waited, self._even = 0.0, 0.0
        self._flops = torch.zeros((), dtype=torch.float64, device=device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        self._peak = peak_flops(name)

    def start(self, waited: tuple[float, float]) -> None:
        """A step begins; the first after a line starts the clock.

        Args:
            waited: as `StepLoader.waited` gives it.
        """
        if self._clock is None:
            self._clock = time.perf_counter()
        self._waited += waited[0]
        self._even += waited[1]

    def add(self, inputs: Batch, losses: torch.Tensor, weights: torch.Tensor, kept: torch.Tensor, lengths: list[int]) -> None:
        """Count a micro-batch.

        Args:
            lengths: of the documents of the whole sequence.
            losses: of the kept positions of this process, [kept], detached; 0 where there is no label.
            weights: of the same tokens in the loss, [kept]; 0 where there is no label.
            kept: their indices, [kept].
        """
        tokens, samples, labelled, weight, loss = self._sums
        if self.sizes.sequence_rank == 0:
            tokens += inputs["tokens_by_source"]
            samples += inputs["samples_by_source"]
            self._flops += model_flops(self.config, lengths, frozen=self.frozen)
        sources = inputs["sources"][0, kept]
        labelled.index_add_(0, sources, weights.ne(0).double())
        weight.index_add_(0, sources, weights.double())
        loss.index_add_(0, sources, losses.double() * weights.double())

    def line(self) -> dict[str, float]:
        """Counts over all processes since the last line; then they begin anew.

        `balance` is how much longer attention takes than if the data ranks' sequences all cost the same: in every micro-batch
        the ranks wait for the one with the costliest. `labelled_share` is a source's part of all labelled tokens, which under
        a token mean is its weight in the loss. `mfu` is the share of the devices' dense bfloat16 FLOP/s that the model's own
        arithmetic took, nothing counted that is computed again; only where the device is known.
        """
        flops = float(reduce_sum(self._flops.clone()))
        sums = dict(zip(ROWS, reduce_sum(self._sums.clone()).tolist(), strict=True))
        seconds = time.perf_counter() - (self._clock or time.perf_counter())
        tokens, labelled = sum(sums["tokens"]), sum(sums["labelled"])
        counts: dict[str, float] = {
            "tokens": int(tokens),
            "labelled_tokens": int(labelled),
            "samples": int(sum(sums["samples"])),
            "tokens_per_second": tokens / seconds,
            "labelled_tokens_per_second": labelled / seconds,
            "balance": self._waited / self._even if self._even else 1.0,
            **peak_memory(self._sums.device),
        }
        if self._peak:
            head = model_flops(self.config, [], labelled=int(labelled), frozen=self.frozen)
            counts["mfu"] = (flops + head) / seconds / self.sizes.world / self._peak
        for i, source in enumerate(self.sources):
            if source and sums["samples"][i]:
                counts[f"samples_by_source/{source}"] = int(sums["samples"][i])
                counts[f"tokens_by_source/{source}"] = int(sums["tokens"][i])
            if sums["labelled"][i]:
                counts[f"loss_by_source/{source}"] = sums["loss"][i] / sums["weight"][i]
                counts[f"labelled_by_source/{source}"] = int(sums["labelled"][i])
                counts[f"labelled_share/{source}"] = sums["labelled"][i] / labelled
        self._sums.zero_()
        self._flops.zero_()
        self._clock, self._waited, self._even = None, 0.0, 0.0
        return counts
