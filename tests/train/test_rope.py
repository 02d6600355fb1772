"""RoPE is scaled as the recipe says, saved in every checkpoint, and needed where a sample is longer than the window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_material import make_pack, make_recipe, make_student, weights
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, Qwen3Config, Qwen3MoeConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import acc.train
from acc.errors import UserError
from acc.evaluate.loading import load_whole
from acc.recipe import Recipe
from acc.records.sequences import SequenceStore
from acc.train.rope import apply_rope, check_window

YARN = {"kind": "yarn", "factor": 4.0}


def recipe_with(rope: dict[str, Any] | None, student: str = "student") -> Recipe:
    return make_recipe(Path(student), model={"rope": rope})


@pytest.mark.parametrize("kind", [Qwen3MoeConfig, Qwen3Config, LlamaConfig])
def test_yarn_has_the_frequencies_of_transformers(kind: type[Any]) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    sizes |= {"vocab_size": 32, "intermediate_size": 32, "max_position_embeddings": 64}
    config = apply_rope(recipe_with(YARN), kind(**sizes))
    model = AutoModelForCausalLM.from_config(config)
    scaled = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    theta = kind(**sizes).rope_parameters["rope_theta"]
    theirs = kind(**{**sizes, "max_position_embeddings": 256}, rope_parameters={**scaled, "rope_theta": theta})
    expected, factor = ROPE_INIT_FUNCTIONS["yarn"](theirs)
    assert torch.equal(model.model.rotary_emb.inv_freq, expected)
    assert model.model.rotary_emb.attention_scaling == factor > 1
    plain = AutoModelForCausalLM.from_config(kind(**sizes))
    assert not torch.equal(plain.model.rotary_emb.inv_freq, expected)


@pytest.mark.parametrize("kind", ["yarn", "linear"])
@pytest.mark.parametrize("native", [None, 48])
def test_scaling_a_scaled_configuration_changes_nothing(kind: str, native: int | None) -> None:
    recipe = recipe_with({"kind": kind, "factor": 4.0, "native_window": native})
    config = apply_rope(recipe, Qwen3Config(max_position_embeddings=64))
    once = config.to_dict()
    assert apply_rope(recipe, config).to_dict() == once
    check_window(config, 4 * (native or 64))
    with pytest.raises(UserError, match="window"):
        check_window(config, 4 * (native or 64) + 1)


def test_a_sample_beyond_the_window_needs_scaling_and_says_how_much() -> None:
    config = Qwen3Config(max_position_embeddings=64)
    check_window(config, 64)
    with pytest.raises(UserError, match=r"65 tokens.*window is 64") as e:
        check_window(config, 65)
    assert "factor 2" in str(e.value)
    with pytest.raises(UserError, match="factor 5"):
        check_window(apply_rope(recipe_with(YARN), config), 300)


def test_scaling_that_depends_on_the_neighbours_is_refused() -> None:
    config = Qwen3Config(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4})
    with pytest.raises(UserError, match="dynamic"):
        apply_rope(recipe_with(None), config)


def test_scaling_of_the_students_own_is_not_replaced() -> None:
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 5e5}
    config = LlamaConfig(rope_parameters={**llama3, "original_max_position_embeddings": 8192}, max_position_embeddings=131_072)
    assert apply_rope(recipe_with(None), config) is config
    check_window(config, 131_072)
    with pytest.raises(UserError, match="llama3"):
        apply_rope(recipe_with(YARN), config)


def test_checkpoints_carry_the_scaling_and_resume_with_it(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", max_position_embeddings=64, num_hidden_layers=1)
    packed = make_pack(tmp_path / "pack", [(s, [(100, [(90, 100)])]) for s in range(2)])
    assert SequenceStore(packed).longest_document == 100
    with pytest.raises(UserError, match="100 tokens"):
        acc.train.run(make_recipe(student), packed, tmp_path / "refused")
    recipe = make_recipe(student, model={"rope": YARN}, save_every_steps=1)
    out = tmp_path / "out"
    acc.train.run(recipe, packed, out)
    for step in (1, 2):
        saved = json.loads((out / f"checkpoint-{step}" / "config.json").read_text())
        assert saved["rope_parameters"]["rope_type"] == "yarn"
        assert saved["rope_parameters"]["original_max_position_embeddings"] == 64
        assert saved["max_position_embeddings"] == 256
    check_window(AutoConfig.from_pretrained(out / "checkpoint-2"), 256)
    trained = AutoModelForCausalLM.from_pretrained(out / "checkpoint-2")
    student_scaled = AutoModelForCausalLM.from_config(apply_rope(recipe, AutoConfig.from_pretrained(student)))
    assert torch.equal(trained.model.rotary_emb.inv_freq, student_scaled.model.rotary_emb.inv_freq)
    before = weights(out / "checkpoint-2")
    (out / "manifest.json").unlink()
    (out / "checkpoint-2" / "acc_checkpoint.json").unlink()
    acc.train.run(recipe, packed, out)
    after = weights(out / "checkpoint-2")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_adapters_are_evaluated_with_the_scaling(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student", max_position_embeddings=64, num_hidden_layers=1)
    packed = make_pack(tmp_path / "pack", [(0, [(100, [(90, 100)])])])
    recipe = make_recipe(student, model={"rope": YARN}, lora={"rank": 2})
    acc.train.run(recipe, packed, tmp_path / "out")
    evaluated = load_whole(str(tmp_path / "out" / "checkpoint-1"), {"trust_remote_code": False})
    assert evaluated.config.rope_parameters["rope_type"] == "yarn"
    assert any("lora" in name for name, _ in evaluated.named_parameters())
