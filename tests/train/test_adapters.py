"""Adapters go where the recipe says, start as PEFT's do, and are counted before they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_student_loading import make_dense
from training_material import make_recipe, make_student

from acc.errors import UserError
from acc.train.adapters import add_adapters, count_parameters, freeze_router, trainable_by_group
from acc.train.loading import build_student, load_config
from acc.train.parallel import sizes_of
from acc.train.zero_loading import fill


def adapt(student: Path, dtype: torch.dtype = torch.float32, **lora: Any) -> Any:
    recipe = make_recipe(student, lora={"rank": 2, **lora})
    return add_adapters(recipe, build_student(recipe, load_config(recipe), attention="sdpa", dtype=dtype))


def test_everything_is_counted_before_anything_is_allocated(tmp_path: Path) -> None:
    model = adapt(make_student(tmp_path), targets=["attention", "experts", "router"])
    assert {p.device.type for p in model.parameters()} == {"meta"}
    # Rank 2, 2 layers: in + out of q, k, v, o; 4 experts × (in + out) of both; in + out of the router.
    attention = 2 * 2 * ((32 + 64) + 2 * (32 + 32) + (64 + 32))
    experts = 2 * 2 * 4 * ((32 + 64) + (32 + 32))
    router = 2 * 2 * (32 + 4)
    assert trainable_by_group(model) == {
        "attention adapters": attention,
        "experts adapters": experts,
        "router adapters": router,
    }
    assert count_parameters(model)[0] == attention + experts + router


def test_adapters_start_as_pefts_and_change_nothing(tmp_path: Path) -> None:
    student = make_student(tmp_path)
    model = adapt(student, targets=["attention", "experts"], dropout=0.0)
    fill(model, str(student), sizes_of(1), zero3=False, seed=3)
    ids = torch.arange(9)[None]
    with torch.no_grad():
        adapted = model(ids).logits
        with model.disable_adapter():
            assert torch.equal(model(ids).logits, adapted)
    for name, p in model.named_parameters():
        if ".lora_A." in name:
            bound = p.shape[1] ** -0.5  # Kaiming's uniform with a = √5
            assert 0.8 * bound < p.abs().max() <= bound
        if ".lora_B." in name:
            assert not p.any()
    again = adapt(student, targets=["attention", "experts"])
    fill(again, str(student), sizes_of(1), zero3=False, seed=3)
    assert all(torch.equal(p, again.get_parameter(n)) for n, p in model.named_parameters())


def test_adapters_have_the_models_type_and_rope_stays_float32(tmp_path: Path) -> None:
    student = make_student(tmp_path)
    model = adapt(student, torch.bfloat16, targets=["experts"])
    fill(model, str(student), sizes_of(1), zero3=False)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in model.buffers()} == {torch.float32}


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_dense_layers_take_adapters_with_dropout(tmp_path: Path, kind: str) -> None:
    model = adapt(make_dense(tmp_path, kind), targets=["mlp"], dropout=0.25, alpha=6)
    assert trainable_by_group(model) == {"mlp adapters": 2 * 2 * 3 * (32 + 64)}
    layer = model.get_base_model().model.layers[0].mlp.gate_proj
    assert layer.lora_dropout["default"].p == 0.25
    assert layer.scaling["default"] == 3


@pytest.mark.parametrize(("kind", "target"), [("qwen3", "experts"), ("qwen3", "router"), ("qwen3_moe", "mlp")])
def test_targets_that_the_student_does_not_have_are_refused(tmp_path: Path, kind: str, target: str) -> None:
    student = make_student(tmp_path) if kind == "qwen3_moe" else make_dense(tmp_path, kind)
    with pytest.raises(UserError, match=rf"lora\.targets: the student has no .* for the target '{target}'"):
        adapt(student, targets=[target])


def test_saved_adapters_come_back_and_others_are_refused(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student")
    model = adapt(student, targets=["attention", "experts", "router"])
    fill(model, str(student), sizes_of(1), zero3=False)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".lora_B." in name:
                p.normal_()
    model.save_pretrained(tmp_path / "saved")
    again = adapt(student, targets=["attention", "experts", "router"])
    fill(again, str(student), sizes_of(1), zero3=False, adapters=tmp_path / "saved")
    assert all(torch.equal(p, again.get_parameter(n)) for n, p in model.named_parameters())
    with pytest.raises(UserError, match="weights are unexpected"):
        fill(adapt(student, targets=["attention"]), str(student), sizes_of(1), zero3=False, adapters=tmp_path / "saved")
    with pytest.raises(UserError, match="of another shape"):
        other = adapt(student, targets=["attention", "experts", "router"], rank=4)
        fill(other, str(student), sizes_of(1), zero3=False, adapters=tmp_path / "saved")


def test_a_frozen_router_is_not_trained(tmp_path: Path) -> None:
    recipe = make_recipe(make_student(tmp_path), moe={"router": "frozen"})
    model = build_student(recipe, load_config(recipe), attention="sdpa", dtype=torch.float32)
    assert freeze_router(recipe, model) == 2
    fill(model, recipe.student, sizes_of(1), zero3=False)
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == [
        f"model.layers.{i}.mlp.gate.weight" for i in (0, 1)
    ]
