"""Before the first step, packed documents must give what each gives alone; a model in which they do not is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, Qwen3Config, Qwen3MoeConfig

from acc.errors import UserError
from acc.train.attention import choose_attention
from acc.train.canary import check_canary
from acc.train.loss import prepare_head
from acc.train.parallel import Sizes

ALONE = Sizes(world=1, rank=0, local_rank=0, local_world=1, sequence=1)
KINDS = {"qwen3-moe": Qwen3MoeConfig, "qwen3": Qwen3Config, "llama": LlamaConfig}


def model_of(kind: str, *, layers: int = 3, attention: str | None = None, **more: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    settings = {
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 48,
        "moe_intermediate_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "initializer_range": 0.1,
        **more,
    }
    config = KINDS[kind](**settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention or choose_attention("auto"))
    prepare_head(model.get_output_embeddings())
    return model


def check(model: PreTrainedModel, *, autocast: bool = False) -> None:
    if autocast:  # as accelerate does: it begins and ends with the forward pass
        model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    check_canary(model, ALONE, vocabulary=100, device=torch.device("cpu"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [False, True])
def test_models_with_causal_attention_pass(kind: str, autocast: bool) -> None:
    check(model_of(kind), autocast=autocast)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [False, True])
def test_attention_that_ignores_documents_is_refused(kind: str, autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def ignores(module: Any, query: Any, key: Any, value: Any, *_: Any, documents: Any = None, **__: Any) -> Any:
        out = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2), None

    monkeypatch.setattr("acc.train.attention.documents_sdpa", ignores)
    with pytest.raises(UserError, match="packed into one sequence"):
        check(model_of(kind), autocast=autocast)


def test_rounding_is_that_of_the_type_that_is_computed_in() -> None:
    """A GPU may take another kernel for another length: what is rounding in bfloat16 is none in float32."""

    def rounded(model: PreTrainedModel) -> PreTrainedModel:
        draw = torch.Generator().manual_seed(1)
        norm = model.model.norm
        norm.register_forward_hook(lambda _, __, out: out * (1 + 0.005 * torch.randn(out.shape, generator=draw)))
        return model

    check(rounded(model_of("qwen3")), autocast=True)
    with pytest.raises(UserError, match="the first document"):
        check(rounded(model_of("qwen3")))


class OverTime(nn.Module):
    """A layer's MLP with what earlier tokens leave behind added: the last token (a convolution), or a fading sum of all."""

    def __init__(self, inner: nn.Module, fading: float) -> None:
        super().__init__()
        self.inner, self.fading = inner, fading

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, states = torch.zeros_like(x[:, 0]), []
        for i in range(x.shape[1]):
            states.append(state)
            state = self.fading * state + x[:, i]
        return self.inner(x + torch.stack(states, dim=1))


@pytest.mark.parametrize("kind", ["qwen3-moe", "qwen3"])
@pytest.mark.parametrize("fading", [0.0, 0.9])
@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("autocast", [False, True])
def test_layer_with_state_over_time_is_refused(kind: str, fading: float, layer: int, autocast: bool) -> None:
    model = model_of(kind)
    model.model.layers[layer].mlp = OverTime(model.model.layers[layer].mlp, fading)
    with pytest.raises(UserError, match="second document"):
        check(model, autocast=autocast)


def test_positions_that_do_not_begin_anew_are_refused() -> None:
    model = model_of("qwen3")
    rotary = model.model.rotary_emb.forward
    model.model.rotary_emb.forward = lambda x, position_ids: rotary(x, position_ids + 50 * position_ids.eq(0).cumsum(1) ** 2)
    check(model)  # a shift of all positions of a document changes nothing
    model.model.rotary_emb.forward = lambda x, position_ids: rotary(x, torch.arange(x.shape[1])[None] ** 2 % 97)
    with pytest.raises(UserError, match="packed into one sequence"):
        check(model)


def test_numbers_that_are_none_are_refused() -> None:
    model = model_of("llama")
    model.model.norm.weight.data.fill_(torch.nan)
    with pytest.raises(UserError, match="differ by nan"):
        check(model)


def test_nothing_is_left_behind() -> None:
    model = model_of("qwen3-moe", attention_dropout=0.5)
    model.train()
    model.model.layers[0].eval()
    model.model.layers[1].mlp = nn.Sequential(model.model.layers[1].mlp, nn.Dropout(0.5))
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    check(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert not model.get_output_embeddings()._forward_pre_hooks
    assert model.model.layers[1].self_attn.attention_dropout == 0.5
