"""What a line of the log counts: tokens, labelled tokens, samples and loss by source, speed and memory."""

from __future__ import annotations

import resource
import time

import torch

from acc.train.batches import Batch
from acc.train.engine import reduce_sum
from acc.train.parallel import Sizes


class Counts:
    """Sums over the micro-batches of this process since the last line of the log.

    Args:
        sources: names, in the order of `Batch`'s `sources`.
    """

    def __init__(self, sources: list[str], sizes: Sizes, device: torch.device) -> None:
        self.sources, self.sizes = sources, sizes
        self._sums = torch.zeros(2 + 2 * len(sources), dtype=torch.float64, device=device)
        self._clock: float | None = None

    def start(self) -> None:
        """A step begins; the first after a line starts the clock."""
        if self._clock is None:
            self._clock = time.perf_counter()

    def add(self, inputs: Batch, losses: torch.Tensor, sources: torch.Tensor) -> None:
        """Count a micro-batch.

        Args:
            losses: of its labelled tokens on this process, [labelled], detached.
            sources: places in `sources` of the same tokens, [labelled].
        """
        n = len(self.sources)
        if self.sizes.sequence_rank == 0:
            self._sums[0] += inputs["tokens"]
            self._sums[1] += inputs["samples"]
        self._sums[2 : 2 + n].index_add_(0, sources, losses.double())
        self._sums[2 + n :].index_add_(0, sources, torch.ones_like(sources, dtype=torch.float64))

    def line(self) -> dict[str, float]:
        """Counts over all processes since the last line; then they begin anew."""
        n = len(self.sources)
        sums = reduce_sum(self._sums.clone()).tolist()
        seconds = time.perf_counter() - (self._clock or time.perf_counter())
        self._sums.zero_()
        self._clock = None
        labelled = sum(sums[2 + n :])
        counts: dict[str, float] = {
            "tokens": int(sums[0]),
            "labelled_tokens": int(labelled),
            "samples": int(sums[1]),
            "tokens_per_second": sums[0] / seconds,
            "labelled_tokens_per_second": labelled / seconds,
            "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        if torch.cuda.is_available():
            counts["peak_gpu_gb"] = torch.cuda.max_memory_allocated() / 1e9
        for i, source in enumerate(self.sources):
            if sums[2 + n + i]:
                counts[f"loss_by_source/{source}"] = sums[2 + i] / sums[2 + n + i]
                counts[f"labelled_by_source/{source}"] = int(sums[2 + n + i])
        return counts
