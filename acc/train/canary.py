"""The canary: before the first step, two documents packed into one sequence must give what each gives alone.

It runs on the loaded weights, through the attention, the sequence parallelism and the engine that training uses, so it sees
what no table of architectures can: a layer that carries state from one token to the next (a convolution over time, linear
attention), positions that do not begin anew, an attention that ignores the documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from acc.errors import UserError
from acc.train.documents import bounds_of, documents_at
from acc.train.engine import reduce_sum
from acc.train.loss import token_losses
from acc.train.parallel import Sizes

ROUNDING = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.03}
"""Relative deviation of hidden states that may be rounding in any model: another shape may get another kernel, and in half
precision a token another expert. The first document, which sees nothing of the second, shows what it is in this one."""
LENGTHS = (5, 8)
"""Lengths of the two documents, in a unit that every process can have a part of; no part of 13 ends where the first does."""


def check_canary(model: Any, sizes: Sizes, *, vocabulary: int, device: torch.device) -> None:
    """Run documents A and B packed, then each alone, and compare the hidden states that the head gets.

    Costs three forward passes of at most a few hundred tokens; leaves no gradients, no random numbers drawn and each module
    in the mode that it was in. Every process takes part.

    Args:
        model: as prepared for training (the engine, where there is one), its head made ready by `prepare_head`.
        vocabulary: token ids to draw from, number.

    Raises:
        UserError: in every process, if they differ in any by more than rounding.
    """
    unit = sizes.sequence * -(-10 // sizes.sequence)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(vocabulary, (n * unit,), generator=generator) for n in LENGTHS)
    with without_dropout(model):
        packed, kind = _hidden(model, sizes, [a, b], device)
        alone = _hidden(model, sizes, [a], device)[0], _hidden(model, sizes, [b], device)[0]
        rounding = ROUNDING[kind]
    first, second = (_deviation(p, s) for p, s in zip(packed.split([len(a), len(b)]), alone, strict=True))
    # What fades is largest where the second document begins; what does not is seen in its median token.
    judged = [
        ("the first document", first.median(), torch.tensor(3 * rounding)),
        ("the second document", second.median(), (5 * first.median()).clamp(min=rounding)),
        ("the second document's first tokens", second[:2].max(), (3 * first.max()).clamp(min=rounding)),
    ]
    wrong = [(name, float(found), float(limit)) for name, found, limit in judged if not found <= limit]
    if reduce_sum(torch.tensor(len(wrong), device=device)):
        name, found, limit = wrong[0] if wrong else ("another process's documents", torch.nan, torch.nan)
        raise UserError(
            "documents packed into one sequence do not give what each gives alone: hidden states of "
            f"{name} differ by {found:.2g} of their size (rounding: at most {limit:.2g})",
            where="model.path",
            mend="Take a model whose layers carry nothing from token to token but by causal attention (Qwen3, Llama)",
        )


def _hidden(model: Any, sizes: Sizes, documents: list[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.dtype]:
    """Hidden states in front of the head, float32 [positions of all documents, width], the same in every process; and the type
    that the model computes in, which is known inside it alone: autocast begins and ends with its forward pass."""
    ids, positions = torch.cat(documents), torch.cat([torch.arange(len(d)) for d in documents])
    part = len(ids) // sizes.sequence
    mine = slice(sizes.sequence_rank * part, (sizes.sequence_rank + 1) * part)
    inputs: dict[str, Any] = {
        "input_ids": ids[None, mine].to(device),
        "position_ids": positions[None, mine].to(device),
        "documents": documents_at(bounds_of(positions).to(device)),
    }
    head = getattr(model, "module", model).get_output_embeddings()
    seen, kinds = list[torch.Tensor](), list[torch.dtype]()

    def see(head: Any, args: Any) -> None:
        seen.append(args[0].detach().float()[0])
        kind = device.type
        kinds.append(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight.dtype)

    hook = head.register_forward_pre_hook(see)
    try:
        token_losses(model, head, inputs, inputs["input_ids"])
    finally:
        hook.remove()
    if sizes.sequence == 1:
        return seen[0], kinds[0]
    parts = [torch.empty_like(seen[0]) for _ in range(sizes.world)]
    dist.all_gather(parts, seen[0].contiguous())
    first = sizes.data_rank * sizes.sequence
    return torch.cat(parts[first : first + sizes.sequence]), kinds[0]


def _deviation(packed: torch.Tensor, alone: torch.Tensor) -> torch.Tensor:
    """Distance of two [length, width] in each position, relative to the second, [length]."""
    return (packed - alone).norm(dim=1) / alone.norm(dim=1).clamp(min=1e-12)


@contextmanager
def without_dropout(model: torch.nn.Module) -> Iterator[None]:
    """Inside, no gradients and no dropout, but training mode: outside of it Ulysses and checkpointing are off."""
    modes: dict[Any, bool] = {module: module.training for module in model.modules()}
    dropouts = {module: module.attention_dropout for module in modes if getattr(module, "attention_dropout", 0)}
    for module in modes:
        module.training = not isinstance(module, torch.nn.modules.dropout._DropoutNd)
    for module in dropouts:
        module.attention_dropout = 0.0
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for module, dropout in dropouts.items():
            module.attention_dropout = dropout
