"""A merged folder answers as the adapted model does, and loads alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_adapters import adapt
from test_student_loading import make_dense
from training_material import make_recipe, make_student
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from acc.cli import main
from acc.errors import UserError
from acc.records.adapters import BASE
from acc.train.adapters import add_adapters
from acc.train.merging import merge
from acc.train.parallel import sizes_of
from acc.train.zero_loading import fill


def adapted(folder: Path, student: Path, targets: list[str]) -> tuple[Path, torch.Tensor]:
    """Saved adapters that change something, and the logits they give."""
    model = adapt(student, targets=targets)
    fill(model, str(student), sizes_of(1), zero3=False)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".lora_B." in name:
                p.normal_(std=0.1)
        model.save_pretrained(folder)
        return folder, model(torch.arange(12)[None], use_cache=False).logits


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder)(torch.arange(12)[None], use_cache=False).logits
    return found


@pytest.mark.parametrize(
    ("kind", "targets"),
    [("qwen3_moe", ["attention", "experts", "router"]), ("qwen3", ["attention", "mlp"]), ("llama", ["mlp"])],
)
def test_merged_weights_give_the_adapted_models_logits(tmp_path: Path, kind: str, targets: list[str]) -> None:
    student = make_student(tmp_path / "s") if kind == "qwen3_moe" else make_dense(tmp_path / "s", kind)
    saved, wanted = adapted(tmp_path / "saved", student, targets)
    merge(saved, tmp_path / "merged", shard_bytes=20_000)
    assert len(list((tmp_path / "merged").glob("model-*.safetensors"))) > 1
    assert (logits(student) - wanted).abs().max() > 1e-2
    torch.testing.assert_close(logits(tmp_path / "merged"), wanted, rtol=1e-4, atol=1e-4)


def test_adapters_are_merged_into_the_revision_that_they_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub's cache with two revisions of a student, of which main has moved on."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub = tmp_path / "hub" / "models--org--student"
    for commit, seed in (("a" * 40, 0), ("b" * 40, 1)):
        make_student(hub / "snapshots" / commit, seed=seed)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("b" * 40)
    old = hub / "snapshots" / ("a" * 40)
    saved, wanted = adapted(tmp_path / "saved", old, ["attention"])
    config = json.loads((saved / "adapter_config.json").read_text())
    for revision, same in (("a" * 40, True), (None, False)):
        named = {**config, "base_model_name_or_path": "org/student", "revision": revision}
        (saved / "adapter_config.json").write_text(json.dumps(named))
        merge(saved, tmp_path / f"merged-{same}")
        assert torch.allclose(logits(tmp_path / f"merged-{same}"), wanted, rtol=1e-4, atol=1e-4) == same


def test_the_revision_of_the_recipe_goes_with_the_adapters(tmp_path: Path) -> None:
    student = make_student(tmp_path / "s")
    recipe = make_recipe(student, lora={"rank": 2}, model={"path": str(student), "revision": "abc123"})
    model = add_adapters(recipe, AutoModelForCausalLM.from_pretrained(student))
    assert model.peft_config["default"].revision == "abc123"


def test_what_was_trained_with_scaled_rope_is_merged_with_it(tmp_path: Path) -> None:
    student = make_student(tmp_path / "s")
    saved, _ = adapted(tmp_path / "saved", student, ["attention"])
    scaled = AutoConfig.from_pretrained(student)
    scaled.rope_parameters = {**scaled.rope_parameters, "rope_type": "linear", "factor": 4.0}
    scaled.save_pretrained(saved / BASE)
    merge(saved, tmp_path / "merged")
    assert AutoConfig.from_pretrained(tmp_path / "merged").rope_parameters["factor"] == 4.0


def test_the_verb_writes_the_bases_names_types_and_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student = make_student(tmp_path / "s")
    AutoModelForCausalLM.from_pretrained(student, dtype=torch.bfloat16).save_pretrained(student)
    saved, _ = adapted(tmp_path / "saved", student, ["experts"])
    assert main(["merge", str(saved), "-o", str(tmp_path / "merged"), "--base", str(student)]) == 0
    assert "4 of 24 weights merged" in capsys.readouterr().out
    base, merged = (load_file(folder / "model.safetensors") for folder in (student, tmp_path / "merged"))
    assert {n: (t.dtype, t.shape) for n, t in merged.items()} == {n: (t.dtype, t.shape) for n, t in base.items()}
    assert "model.layers.1.mlp.experts.3.up_proj.weight" in merged
    changed = {n for n in base if not torch.equal(base[n], merged[n])}
    assert changed == {n for n in base if ".experts." in n}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").dtype == torch.bfloat16
    ours = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert ours.chat_template == AutoTokenizer.from_pretrained(student).chat_template


def test_what_can_not_be_merged_is_refused(tmp_path: Path) -> None:
    student = make_student(tmp_path / "s")
    with pytest.raises(UserError, match="there are no adapters here"):
        merge(student, tmp_path / "merged")
    saved, _ = adapted(tmp_path / "saved", student, ["attention"])
    with pytest.raises(UserError, match="the folder is not empty"):
        merge(saved, student)
    with pytest.raises(UserError, match=r"the base .* can't be read"):
        merge(saved, tmp_path / "merged", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="does not hold the model's weights"):
        merge(saved, tmp_path / "merged", str(make_student(tmp_path / "wider", hidden_size=64)))
