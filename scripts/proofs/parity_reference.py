"""The plain training that a cell is held against: one process, nothing of acc, DeepSpeed or PEFT.

A stock transformers model sees each document alone, with stock attention; the cross-entropy is taken from all of its logits;
torch's SGD makes the step. Adapters are written out: the weight in use is W + alpha / rank × B·A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from proofs.parity_cells import Cell
from proofs.parity_material import ALPHA, RANK, Document, documents
from torch.func import functional_call
from transformers import AutoModelForCausalLM

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Training:
    """Loss and gradient norm (before clipping) of each step, and how much each trained tensor changed, by name."""

    losses: list[float]
    norms: list[float]
    updates: Tensors


def train_plainly(
    cell: Cell, student: Path, adapters: Mapping[str, torch.Tensor], *, learning_rate: float, max_grad_norm: float
) -> Training:
    """Train.

    Args:
        adapters: their values at the start: "<weight>|A" [rank · experts, in] and "<weight>|B" [out, rank · experts]; empty
            when all weights are trained.
        max_grad_norm: 0 for no clipping.
    """
    model = AutoModelForCausalLM.from_pretrained(
        student, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    weights: Tensors = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained: Tensors = {k: v.clone().float().requires_grad_() for k, v in (adapters or weights).items()}
    start = {name: p.detach().clone() for name, p in trained.items()}
    optimizer = torch.optim.SGD(trained.values(), lr=learning_rate)
    losses, norms = [], []
    for rows in documents(cell):
        used = _adapted(weights, trained) if adapters else trained
        loss = _loss(model, used, [d for row in rows for d in row], cell.reduction)
        optimizer.zero_grad()
        if loss is not None:
            loss.backward()
        gradients = [p.grad for p in trained.values() if p.grad is not None]
        losses.append(0.0 if loss is None else loss.item())
        norms.append(torch.stack([g.norm() for g in gradients]).norm().item() if gradients else 0.0)
        if max_grad_norm:
            torch.nn.utils.clip_grad_norm_(list(trained.values()), max_grad_norm)
        optimizer.step()
    return Training(losses, norms, {name: p.detach() - start[name] for name, p in trained.items()})


def _loss(model: torch.nn.Module, weights: Tensors, found: list[Document], reduction: str) -> torch.Tensor | None:
    """The mean over all labelled tokens, or over the samples' own means; None where nothing is labelled."""
    samples = []
    for ids, spans in found:
        labelled = [i for start, end in spans for i in range(max(1, start), end)]
        if labelled:
            tokens, places = torch.from_numpy(ids), torch.tensor(labelled)
            logits = functional_call(model, weights, (), {"input_ids": tokens[None], "use_cache": False}).logits[0]
            samples.append(F.cross_entropy(logits[places - 1], tokens[places], reduction="none"))
    if not samples:
        return None
    return torch.cat(samples).mean() if reduction == "token" else torch.stack([s.mean() for s in samples]).mean()


def _adapted(weights: Tensors, adapters: Tensors) -> Tensors:
    """The weights with their adapters added. Fused experts [experts, out, in] have one each, side by side in A and B."""
    used = dict(weights)
    for name in {key.partition("|")[0] for key in adapters}:
        weight, a, b = weights[name], adapters[f"{name}|A"], adapters[f"{name}|B"]
        if weight.ndim == 2:
            change = b @ a
        else:
            count = len(weight)
            change = torch.stack([b[:, e::count] @ a[e * RANK : (e + 1) * RANK] for e in range(count)])
        used[name] = weight + ALPHA / RANK * change
    return used
