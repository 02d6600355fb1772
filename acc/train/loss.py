"""The loss: weighted sum over the labelled tokens of a step ÷ their weight, whatever the micro-batches, packing and processes.

Under `loss_reduction: token` every labelled token weighs 1. Under `sample` it weighs 1 / the labelled tokens of its whole
document, which the batch carries along, as sequence parallelism may have cut the document: every sample weighs 1.

The head that turns hidden states into logits runs on labelled positions only and in chunks, so the largest tensor over the
vocabulary is [chunk, vocabulary]: at 128K tokens and 151,936 words the logits of a whole sequence would be 80 GB.
"""

from __future__ import annotations

from types import MethodType
from typing import Any, Literal

import torch
import torch.nn.functional as F

from acc.errors import UserError
from acc.records.labels import IGNORE
from acc.train.chunk import CHUNK

Reduction = Literal["token", "sample"]


def shift(labels: torch.Tensor) -> torch.Tensor:
    """Labels [..., length] → the token that each position must predict. Shift the whole sequence before cutting it."""
    return F.pad(labels[..., 1:], (0, 1), value=IGNORE)


def kept_positions(targets: torch.Tensor) -> torch.Tensor:
    """Indices of the labelled positions of `targets` [length]; the first position where there are none.

    A process whose part of the sequence has no labels must run the head all the same: under ZeRO-3 every process takes part
    in gathering its weights, and the backward pass must reach every parameter.
    """
    kept = targets.ne(IGNORE).nonzero()[:, 0]
    return kept if len(kept) else kept.new_zeros(1)


def token_losses(
    model: torch.nn.Module, head: torch.nn.Module, inputs: dict[str, Any], targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of each labelled token.

    Args:
        model: called with `inputs` and `logits_to_keep`.
        head: the model's output projection, made ready by `prepare_head`.
        inputs: input_ids and position_ids, both [1, length], and documents of the whole sequence.
        targets: [1, length], already shifted.

    Returns:
        Losses [kept] in float32 (0 for a position kept only to keep processes together) and the kept indices [kept].
    """
    kept = kept_positions(targets[0])
    head.targets = targets[0, kept]
    losses: torch.Tensor = model(**inputs, logits_to_keep=kept, use_cache=False).logits
    return losses, kept


def token_weights(inputs: dict[str, torch.Tensor], kept: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    """Weight of each kept position in the loss, float32 [kept]; 0 where there is no label.

    Args:
        inputs: a batch with targets and sharers, as `acc.train.batches.batch_of` gives it.
    """
    labelled = inputs["targets"][0, kept].ne(IGNORE).float()
    return labelled / inputs["sharers"][0, kept] if reduction == "sample" else labelled


def total_weight(batches: list[dict[str, torch.Tensor]], reduction: Reduction, *, sequence_rank: int) -> int:
    """This process's part of the weight of the step that the micro-batches `batches` belong to.

    It is a whole number, labelled tokens or labelled samples, so its sum over the processes is exact. A sample is counted by
    the first of the processes that share its sequence.
    """
    if reduction == "token":
        return sum(int(b["targets"].ne(IGNORE).sum()) for b in batches)
    return 0 if sequence_rank else sum(int(b["labelled_samples"]) for b in batches)


def check_head(head: Any, losses: torch.Tensor) -> None:
    """See that the model gave on what its head computed, after a forward pass.

    Raises:
        UserError: it changed it, as models do that scale or cap their logits: the losses are not those of its logits.
    """
    if not torch.equal(head.losses, losses.detach()):
        raise UserError(
            "the model scales or caps its logits behind the output projection, which the chunked loss does not",
            where="model.path",
            mend="Train a model whose logits are those of its output projection, as Qwen3 and Llama",
        )


def prepare_head(head: torch.nn.Module) -> None:
    """Let the output projection give the losses of `head.targets` instead of logits.

    It stays the same module with the same parameters, so what hangs on it (ZeRO-3's gathering, tied weights, saving) is
    unchanged, and the weights are gathered once however many chunks there are.
    """
    head.forward = MethodType(_head_losses, head)


def _head_losses(head: Any, hidden: torch.Tensor) -> torch.Tensor:
    """hidden [1, kept, width] → losses [kept]."""
    if hidden.shape[1] != len(head.targets):
        raise RuntimeError(f"the head got {hidden.shape[1]} positions for {len(head.targets)} targets; this is a bug in acc")
    if len(head.targets) > CHUNK:
        joined: torch.Tensor = _ChunkedLosses.apply(hidden[0], head.weight, head.bias, head.targets)
    else:
        joined = _chunk_losses(hidden[0], head.weight, head.bias, head.targets)
    head.losses = joined.detach()
    return joined


class _ChunkedLosses(torch.autograd.Function):
    """Losses whose logits exist a chunk at a time, in the backward pass too, which computes them again.

    The weight's gradient is summed over the chunks in float32: in bfloat16 what a chunk adds to a sum of a hundred is lost.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> torch.Tensor:
        kind = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        ctx.save_for_backward(hidden, weight, bias, targets)
        cast = weight.to(ctx.dtype)
        parts = zip(hidden.to(ctx.dtype).split(CHUNK), targets.split(CHUNK), strict=True)
        return torch.cat([_chunk_losses(h, cast, bias, y) for h, y in parts])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        cast, trained = weight.to(ctx.dtype), ctx.needs_input_grad
        exact = torch.promote_types(weight.dtype, torch.float32)
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight, dtype=exact) if trained[1] else None
        to_bias = torch.zeros_like(bias, dtype=exact) if trained[2] else None
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            h, y, scale = hidden[part].to(ctx.dtype), targets[part], gradient[part] * targets[part].ne(IGNORE)
            # The softmax less the target's 1 is the gradient of a loss to its logits.
            to_logits = F.linear(h, cast, None if bias is None else bias.to(ctx.dtype)).float().softmax(dim=-1)
            to_logits[torch.arange(len(y), device=y.device), y.clamp(min=0)] -= 1
            to_logits *= scale[:, None]
            if to_bias is not None:
                to_bias += to_logits.sum(0)
            scaled = to_logits.to(ctx.dtype)
            to_hidden[part] = scaled @ cast
            if to_weight is not None:
                to_weight += scaled.T @ h
        return (
            to_hidden,
            None if to_weight is None else to_weight.to(weight.dtype),
            None if to_bias is None else to_bias.to(bias.dtype),
            None,
        )


def _chunk_losses(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor) -> torch.Tensor:
    """The product in the model's type, the softmax in float32."""
    logits = F.linear(hidden, weight, bias).float()
    return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
