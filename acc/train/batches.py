"""Sequence → the tensors of this process, and the loader that begins at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from acc.records.balance import even_order, waited
from acc.records.sequences import IGNORE, PackedSequence, SequenceStore
from acc.train.documents import bounds_of
from acc.train.loss import shift
from acc.train.parallel import Sizes
from acc.train.sampler import Sampler

Batch = dict[str, torch.Tensor]


def batch_of(sequence: PackedSequence, sources: list[str], sizes: Sizes) -> Batch:
    """The part of a sequence that this process holds.

    The sequence is padded to a multiple of the sequence-parallel size by a label-free document of its own, the labels are
    shifted over the whole of it, and then it is cut: a label at the end of one part is the first token of the next.

    Returns:
        input_ids, position_ids, targets (shifted labels), sources (place in `sources`, per position), sharers (labelled
        tokens of the position's whole document) and real (1; 0 in fillers and padding), each int64 [1, padded length /
        sizes.sequence]; of the whole sequence, bounds of its documents, int32 [documents + 1]; and counts: tokens and
        labelled_samples, each [], and tokens_by_source and samples_by_source, each [sources]. All are integers: DeepSpeed's
        mixed precision rounds an input that is not.
    """
    length = len(sequence.input_ids)
    pad = -length % sizes.sequence
    tail = torch.arange(pad)
    names = torch.tensor([sources.index(d.source) for d in sequence.documents])
    of = torch.from_numpy(sequence.document_ids)
    sharers = torch.bincount(of[torch.from_numpy(sequence.labels) != IGNORE], minlength=len(names))
    real = torch.tensor([bool(d.sample_id) for d in sequence.documents])
    whole = {
        "input_ids": torch.cat([torch.from_numpy(sequence.input_ids), torch.zeros_like(tail)]),
        "position_ids": torch.cat([torch.from_numpy(sequence.position_ids), tail]),
        "targets": shift(torch.cat([torch.from_numpy(sequence.labels), torch.full_like(tail, IGNORE)])),
        "sources": torch.cat([names[of], torch.zeros_like(tail)]),
        "sharers": torch.cat([sharers[of].clamp(min=1), torch.ones_like(tail)]),
        "real": torch.cat([real[of].long(), torch.zeros_like(tail)]),
    }
    part = (length + pad) // sizes.sequence
    start = sizes.sequence_rank * part
    batch = {name: tensor[start : start + part].unsqueeze(0) for name, tensor in whole.items()}
    batch["bounds"] = bounds_of(whole["position_ids"])
    batch["tokens"] = torch.tensor(length)
    batch["labelled_samples"] = (sharers > 0).sum()
    batch["tokens_by_source"] = torch.bincount(names[of], minlength=len(sources))
    batch["samples_by_source"] = torch.bincount(names[real], minlength=len(sources))
    return batch


class StepLoader:
    """Micro-batches of this process, from the step that `first_step()` gives when the iteration begins.

    Data rank r takes slots r, r + data, r + 2·data … of each step; its sequence-parallel group reads the same slots.
    Where the pack planned no steps, a step's sequences are put in an order that evens out the ranks' cost. It has no length
    on purpose: to the Trainer the whole run is one epoch.
    """

    def __init__(self, store: SequenceStore, sampler: Sampler, sizes: Sizes) -> None:
        self.store, self.sampler, self.sizes = store, sampler, sizes
        self.sources = store.sources
        self.first_step: Callable[[], int] = lambda: 0

    def slots(self, step: int) -> Sequence[int]:
        """The sequences of a step in the order of their slots."""
        chosen = self.sampler(step)
        if self.sampler.table:
            return chosen
        return [chosen[i] for i in even_order(self.store.costs[list(chosen)], self.sizes.data)]

    def waited(self, step: int) -> tuple[float, float]:
        """Attention cost of a step as `acc.records.balance.waited` gives it; from the tables, so every process knows it."""
        return waited(self.store.costs[list(self.slots(step))], self.sizes.data)

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first_step(), self.sampler.steps):
            for index in self.slots(step)[self.sizes.data_rank :: self.sizes.data]:
                yield batch_of(self.store[index], self.sources, self.sizes)
