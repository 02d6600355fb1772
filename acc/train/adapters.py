"""What is trained: everything, or low-rank adapters; and whether the router is."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from acc.errors import UserError
from acc.recipe import Recipe
from acc.train.weight_values import is_adapter

ROUTER = "mlp.gate.weight"
MODULES = {
    "attention": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    "mlp": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
}
"""Target → linear modules, by the ends of their names."""
PARAMETERS = {"experts": ("mlp.experts.gate_up_proj", "mlp.experts.down_proj"), "router": (ROUTER,)}
"""Target → parameters that PEFT adapts directly."""
GROUPS = {
    "experts": ".mlp.experts.",
    "router": ".mlp.gate.",
    "attention": ".self_attn.",
    "mlp": ".mlp.",
    "embeddings": "embed_tokens.",
    "head": "lm_head.",
}
"""Group of parameters → what their names hold; the first that fits. The rest are norms."""


def add_adapters(recipe: Recipe, model: PreTrainedModel) -> Any:
    """Wrap a model whose parameters are still on the meta device with adapters; without `lora` give the model back.

    PEFT reads the shapes of what it adapts, and a parameter that ZeRO-3 has cut has none. The adapters have the model's type:
    the optimizer keeps their float32 copy, as that of any weight.

    Raises:
        UserError: the model has none of what one of the recipe's targets names.
    """
    if recipe.lora is None:
        return model
    from peft import LoraConfig, get_peft_model

    targets = recipe.lora.targets
    names = {n.removesuffix(".weight") for n, _ in model.named_parameters()}
    for target in targets:
        wanted = [part.removesuffix(".weight") for part in (*MODULES.get(target, ()), *PARAMETERS.get(target, ()))]
        if absent := [part for part in wanted if not any(name.endswith(part) for name in names)]:
            raise UserError(
                f"the student has no {absent[0]} for the target {target!r}",
                where="lora.targets",
                mend=f"Take it out: {target!r} means {', '.join(wanted)}",
            )
    config = LoraConfig(
        revision=recipe.model.revision,  # goes with the adapters, so that they are merged into the same base
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=[part for t in targets for part in MODULES.get(t, ())],
        target_parameters=[part for t in targets for part in PARAMETERS.get(t, ())] or None,
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False, low_cpu_mem_usage=True)
    for parameter in adapted.parameters():  # and no buffers: RoPE's frequencies stay float32
        parameter.data = parameter.data.to(model.dtype)
    return adapted


def freeze_router(recipe: Recipe, model: torch.nn.Module) -> int:
    """Take the routers' weights out of training if the recipe says so; return how many tensors were taken out."""
    if recipe.moe.router == "trained":
        return 0
    routers = [p for n, p in model.named_parameters() if n.endswith(ROUTER)]
    for p in routers:
        p.requires_grad_(False)
    return len(routers)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters, number; right for parameters that ZeRO-3 has cut, too."""
    sizes = [(p.requires_grad, _size(p)) for p in model.parameters()]
    return sum(n for trained, n in sizes if trained), sum(n for _, n in sizes)


def trainable_by_group(model: torch.nn.Module) -> dict[str, int]:
    """Parameters that are trained, number, by group ("attention", "experts", "attention adapters", …), in a fixed order."""
    found: dict[str, int] = {}
    for name, p in model.named_parameters():
        group = next((g for g, part in GROUPS.items() if part in name), "norms") + (" adapters" if is_adapter(name) else "")
        found[group] = found.get(group, 0) + (_size(p) if p.requires_grad else 0)
    return {group: n for group, n in sorted(found.items()) if n}


def _size(parameter: torch.nn.Parameter) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))
