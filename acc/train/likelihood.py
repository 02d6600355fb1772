"""How likely the model in training finds given answers, without generation: forward passes of the model as it trains.

The weights stay where they are, cut by ZeRO-3 or not; sequence-parallel processes share each sequence, data-parallel ones the
list. So it works for any model that trains, and costs what its forward passes cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from acc.records.labels import IGNORE
from acc.train.canary import without_dropout
from acc.train.documents import bounds_of, documents_at
from acc.train.engine import reduce_sum
from acc.train.loss import shift, token_losses
from acc.train.parallel import Sizes

Scored = tuple[Sequence[int], Sequence[int], tuple[int, int]]
"""Token ids of a prompt, those of the answer behind it, and the half-open range of the answer whose tokens count."""


def likelihoods(
    model: Any, head: torch.nn.Module, asked: Sequence[Scored], sizes: Sizes, *, device: torch.device
) -> list[float | None]:
    """Mean negative log-likelihood of each answer, nats a token; None where its range is empty.

    Every process calls this with the same list and gets the same result. Leaves no gradients, no random numbers drawn and each
    module in the mode that it was in. The head runs on scored positions only.

    Args:
        model: as prepared for training (the engine, where there is one), its head made ready by `prepare_head`.
        head: the output projection.
        device: of the model.
    """
    sums = torch.zeros(len(asked), dtype=torch.float64, device=device)
    with without_dropout(model):
        # Gathering weights takes every process: one whose part of the list is shorter goes over the last answer again.
        for first in range(0, len(asked), sizes.data):
            number = first + sizes.data_rank
            inputs, targets = _part(asked[min(number, len(asked) - 1)], sizes, device)
            losses, _ = token_losses(model, head, inputs, targets)
            if number < len(asked):
                sums[number] = losses.double().sum()
    found = reduce_sum(sums).tolist()
    counts = [end - start for _, _, (start, end) in asked]
    return [total / n if n else None for total, n in zip(found, counts, strict=True)]


def _part(asked: Scored, sizes: Sizes, device: torch.device) -> tuple[dict[str, Any], torch.Tensor]:
    """This process's part of one sequence: the model's inputs, and the shifted targets [1, part].

    What comes behind the last scored token is left out; a document of its own pads to a multiple of the processes.
    """
    prompt, answer, (start, end) = asked
    ids = torch.tensor([*prompt, *answer[:end]])
    labels = torch.full_like(ids, IGNORE)
    labels[len(prompt) + start :] = ids[len(prompt) + start :]
    pad = -len(ids) % sizes.sequence
    positions = torch.cat([torch.arange(len(ids)), torch.arange(pad)])
    ids = torch.cat([ids, ids.new_zeros(pad)])
    targets = shift(torch.cat([labels, labels.new_full((pad,), IGNORE)]))
    part = len(ids) // sizes.sequence
    mine = slice(sizes.sequence_rank * part, (sizes.sequence_rank + 1) * part)
    inputs = {
        "input_ids": ids[None, mine].to(device),
        "position_ids": positions[None, mine].to(device),
        "documents": documents_at(bounds_of(positions).to(device)),
    }
    return inputs, targets[None, mine].to(device)
