"""What the plan says that layers keep is what autograd saves, and its FLOPs are those that the training's log counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from acc.launch.plan.architecture import Architecture, architecture_from
from acc.launch.plan.extent import Extent
from acc.launch.plan.memory import Rows
from acc.launch.plan.memory import saved as kept_bytes
from acc.launch.plan.setting import Setting, adapters
from acc.launch.plan.speed import flops_of
from acc.train.adapters import MODULES, PARAMETERS
from acc.train.attention import DOCUMENTS_SDPA, register
from acc.train.documents import bounds_of, documents_at
from acc.train.speed import model_flops

TOKENS, RANK = 192, 4
BATCH = 5 * 8
"""Bytes a token of the batch's columns that the model is not given."""
SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 72,
    "norm_topk_prob": True,
}


def make(kind: str, **others: Any) -> tuple[Any, Architecture]:
    """A student with random weights, and its numbers as the plan reads them from its config."""
    shape = (
        SHAPE
        if kind == "qwen3_moe"
        else {k: v for k, v in SHAPE.items() if "expert" not in k and k not in ("norm_topk_prob", "moe_intermediate_size")}
    )
    config = AutoConfig.for_model(kind, **{**shape, **others})
    model = AutoModelForCausalLM.from_config(config, attn_implementation=DOCUMENTS_SDPA)
    model.config.use_cache = False
    return model, architecture_from(config.to_dict(), name=kind)


def setting(kind: str = "float32", *, adapted: tuple[str, ...] = ()) -> Setting:
    """`kind`: float32, bfloat16 (weights in it, as under ZeRO-3) or autocast (float32 weights, cast for each product)."""
    return Setting(
        world=1,
        sequence=1,
        zero3=kind == "bfloat16",
        half=kind != "float32",
        at_once=False,
        checkpointing=False,
        adapted=adapted,
        rank=RANK,
        router=True,
        offload=frozenset(),
    )


def with_adapters(model: Any, targets: tuple[str, ...]) -> Any:
    if not targets:
        return model
    config = LoraConfig(
        r=RANK,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=[part for t in targets for part in MODULES.get(t, ())],
        target_parameters=[part for t in targets for part in PARAMETERS.get(t, ())] or None,
    )
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def saved(model: Any, *, autocast: bool) -> int:
    """Bytes of the storages that a forward pass over two documents saves, parameters apart."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    held: dict[int, torch.Tensor] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        if (place := x.untyped_storage().data_ptr()) not in parameters:
            held[place] = x
        return x

    positions = torch.cat([torch.arange(128), torch.arange(64)])[None]
    fed = {"input_ids": torch.randint(0, 97, (1, TOKENS)), "position_ids": positions}
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        model(**fed, documents=documents_at(bounds_of(positions[0])), use_cache=False, logits_to_keep=torch.tensor([5]))
    return sum(x.untyped_storage().nbytes() for x in held.values())


@pytest.mark.parametrize(
    ("kind", "how", "targets"),
    [
        ("qwen3_moe", "float32", ()),
        ("qwen3_moe", "bfloat16", ()),
        ("qwen3_moe", "autocast", ()),
        ("qwen3_moe", "float32", ("attention",)),
        ("qwen3_moe", "float32", ("attention", "experts")),
        ("qwen3", "float32", ("attention", "mlp")),
        ("qwen3", "autocast", ("attention",)),
        ("llama", "bfloat16", ()),
    ],
)
def test_layers_keep_what_is_planned(kind: str, how: str, targets: tuple[str, ...]) -> None:
    register()
    model, a = make(kind)
    model = with_adapters(model.to(torch.bfloat16 if how == "bfloat16" else torch.float32), targets).train()
    s = setting(how, adapted=targets)
    planned = sum(f.value for f in kept_bytes(a, s, Rows(TOKENS, 0))) - BATCH * TOKENS
    assert planned == pytest.approx(saved(model, autocast=how == "autocast"), rel=0.01)


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("qwen3_moe", {}),
        ("qwen3_moe", {"mlp_only_layers": [0], "attention_bias": True}),
        ("qwen3", {"tie_word_embeddings": True}),
        ("llama", {"attention_bias": False}),
    ],
)
def test_parameters_are_counted_as_the_model_has_them(kind: str, others: dict[str, Any]) -> None:
    model, a = make(kind, **others)
    groups = {"router": ".mlp.gate.", "experts": ".experts.", "embeddings": "embed_tokens", "head": "lm_head", "norms": "norm"}
    found = dict.fromkeys(a.parameters, 0)
    for name, p in model.named_parameters():
        part = next((g for g, word in groups.items() if word in name), "attention" if "self_attn" in name else "mlp")
        found[part] += p.numel()
    assert a.parameters == found


@pytest.mark.parametrize("targets", [("attention",), ("attention", "experts"), ("router",)])
def test_adapters_are_counted_as_peft_makes_them(targets: tuple[str, ...]) -> None:
    model, a = make("qwen3_moe")
    adapted = with_adapters(model, targets)
    assert adapters(a, setting(adapted=targets)) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", ["qwen3_moe", "qwen3"])
@pytest.mark.parametrize("adapted", [(), ("attention",)])
def test_flops_are_those_of_the_log(kind: str, adapted: tuple[str, ...]) -> None:
    model, a = make(kind)
    lengths = [3000, 5000]
    extent = Extent("measured", "", 2, 1, 1, 1, 1, 8000.0, float(sum(n * n for n in lengths)), 300.0, 5000, 300)
    counted = model_flops(model.config, lengths, labelled=300, frozen=bool(adapted))
    assert sum(flops_of(a, setting(adapted=adapted), extent)) == pytest.approx(counted)
