"""FLOPs of a step agree with the arithmetic of Qwen3-30B-A3B, and devices are known by their names."""

from __future__ import annotations

import pytest
from transformers import Qwen3Config, Qwen3MoeConfig

from acc.train.speed import model_flops, peak_flops

QWEN3_30B = Qwen3MoeConfig(
    vocab_size=151_936,
    hidden_size=2048,
    num_hidden_layers=48,
    num_attention_heads=32,
    num_key_value_heads=4,
    head_dim=128,
    num_experts=128,
    num_experts_per_tok=8,
    moe_intermediate_size=768,
)


@pytest.mark.parametrize(("thousand", "giga"), [(8, 26), (16, 36), (32, 55), (64, 94), (128, 171)])
def test_a_token_of_a_longer_document_costs_more(thousand: int, giga: int) -> None:
    tokens = thousand * 1024
    assert model_flops(QWEN3_30B, [tokens]) / tokens / 1e9 == pytest.approx(giga, abs=0.5)


def test_packed_documents_cost_what_they_cost_alone() -> None:
    alone = model_flops(QWEN3_30B, [3000]) + model_flops(QWEN3_30B, [5000])
    assert model_flops(QWEN3_30B, [3000, 5000]) == pytest.approx(alone)
    assert model_flops(QWEN3_30B, [8000]) > alone


def test_the_output_projection_costs_where_there_are_labels() -> None:
    more = model_flops(QWEN3_30B, [8000], labelled=100) - model_flops(QWEN3_30B, [8000])
    assert more == pytest.approx(6 * 151_936 * 2048 * 100)


def test_a_dense_model_costs_six_flops_a_weight_and_token() -> None:
    config = Qwen3Config(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    config.head_dim = 16
    weights = 2 * (64 * (64 + 32 + 32 + 64) + 3 * 64 * 96)
    assert model_flops(config, [1]) == pytest.approx(6 * weights + 2 * 6 * 64)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H200", 989.5),
        ("NVIDIA H20", 148.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
    ],
)
def test_a_device_is_known_by_its_name(name: str, tera: float) -> None:
    assert peak_flops(name) == tera * 1e12


def test_an_unknown_device_has_no_peak() -> None:
    assert peak_flops("cpu") is None


def test_frozen_weights_get_no_gradient_and_cost_a_third_less() -> None:
    whole, frozen = (model_flops(QWEN3_30B, [1], labelled=1, frozen=f) for f in (False, True))
    attention = 3 * 48 * 2 * 32 * 128
    assert (frozen - attention) / (whole - attention) == pytest.approx(2 / 3)
