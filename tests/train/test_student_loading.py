"""A student is read whole or refused, whatever it is cut into: a weight that is not read would be random."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loading_worker import checksum
from safetensors.torch import load_file, save_file
from training_material import launch, make_recipe, make_student
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from acc.errors import UserError
from acc.train.adapters import add_adapters
from acc.train.loading import build_student, load_config
from acc.train.parallel import sizes_of
from acc.train.zero_loading import fill

Weights = dict[str, torch.Tensor]
EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight"
SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
LORA = {"rank": 2, "targets": ["attention", "experts", "router"]}


def make_dense(folder: Path, kind: str) -> Path:
    """A dense student with its own output projection."""
    torch.manual_seed(1)
    model = {"qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)), "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE))}
    model[kind]().save_pretrained(folder)
    return folder


def make(folder: Path, kind: str) -> Path:
    return make_student(folder) if kind == "qwen3_moe" else make_dense(folder, kind)


def in_shards(student: Path, folder: Path) -> Path:
    """The same student in files that cut its layers, and the experts of one layer, apart."""
    AutoModelForCausalLM.from_pretrained(student).save_pretrained(folder, max_shard_size="20KB")
    files = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    layer = {file for name, file in files.items() if "layers.1." in name}
    assert len(layer) > 1
    return folder


def load(student: Path, **recipe: Any) -> Any:
    asked = make_recipe(student, **recipe)
    adapted = add_adapters(asked, build_student(asked, load_config(asked), attention="sdpa", dtype=torch.float32))
    fill(adapted, str(student), sizes_of(1), zero3=False)
    return adapted


def plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def expected(student: Path, dtype: torch.dtype) -> dict[str, str]:
    """Checksums after a plain load with transformers."""
    model = AutoModelForCausalLM.from_pretrained(student, dtype=dtype)
    return {n: checksum(t) for n, t in [*model.named_parameters(), *model.named_buffers()]}


def edited(folder: Path, edit: Callable[[Weights], object]) -> Path:
    path = make_student(folder) / "model.safetensors"
    found = load_file(path)
    edit(found)
    save_file(found, path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("kind", ["qwen3_moe", "qwen3", "llama"])
def test_one_process_reads_what_transformers_reads(tmp_path: Path, kind: str) -> None:
    student = in_shards(make(tmp_path / "whole", kind), tmp_path / "shards")
    model = load(student)
    assert {n: checksum(t) for n, t in [*model.named_parameters(), *model.named_buffers()]} == expected(student, torch.float32)
    assert not model.config.use_cache


def test_tied_weights_stay_one(tmp_path: Path) -> None:
    student = make_student(tmp_path)
    assert "lm_head.weight" not in load_file(student / "model.safetensors")
    model = load(student)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_tied_head_may_be_in_the_checkpoint_if_it_is_the_same(tmp_path: Path) -> None:
    embedding = "model.embed_tokens.weight"
    same = edited(tmp_path / "same", lambda w: w.update({"lm_head.weight": w[embedding].clone()}))
    load(same)
    only = edited(tmp_path / "only", lambda w: w.update({"lm_head.weight": w.pop(embedding)}))
    assert torch.equal(load(only).model.embed_tokens.weight, load(same).lm_head.weight)
    other = edited(tmp_path / "other", lambda w: w.update({"lm_head.weight": w[embedding] + 1}))
    with pytest.raises(UserError, match="are tied in the model and differ"):
        load(other)


def test_fused_names_and_pickled_files_are_read_too(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student")
    whole = AutoModelForCausalLM.from_pretrained(student)
    (tmp_path / "fused").mkdir()
    for name in ("config.json", "generation_config.json"):
        (tmp_path / "fused" / name).write_bytes((student / name).read_bytes())
    torch.save(whole.state_dict(), tmp_path / "fused" / "pytorch_model.bin")
    model = load(tmp_path / "fused")
    assert all(torch.equal(p, whole.get_parameter(n)) for n, p in model.named_parameters())


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda w: w.pop("model.norm.weight"), "1 weight is missing .model.norm.weight"),
        (lambda w: w.pop(EXPERT), "of another shape .model.layers.1.mlp.experts.gate_up_proj"),
        (lambda w: w.update({EXPERT.replace("3", "5"): w.pop(EXPERT)}), "not whole"),
        (lambda w: [w.pop(n) for n in list(w) if "layers.1.mlp.experts" in n], "2 weights are missing .*experts"),
        (lambda w: [w.pop(n) for n in list(w) if "up_proj" in n], "gate_up_proj should be .*is not whole"),
        (lambda w: w.update({"model.extra.weight": torch.zeros(3)}), "1 weight is unexpected .model.extra.weight"),
        (lambda w: w.update({EXPERT.replace("3", "4"): torch.zeros(32, 32)}), "gate_up_proj should be .*is not whole"),
        (lambda w: w.update({"model.norm.weight": torch.zeros(3)}), "norm.weight should be .32. and is .3."),
        (lambda w: w.update({"model.layers.1.mlp.experts.down_proj": torch.zeros(4, 32, 32)}), "down_proj .*not whole"),
    ],
    ids=["missing", "expert", "wrong number", "experts", "no up", "unexpected", "expert too many", "shape", "fused and single"],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, edit: Callable[[Weights], object], sentence: str) -> None:
    with pytest.raises(UserError, match=f"does not hold the model's weights.*{sentence}"):
        load(edited(tmp_path, edit))


def test_files_that_can_not_be_read_are_refused(tmp_path: Path) -> None:
    student = in_shards(make_student(tmp_path / "student"), tmp_path / "shards")
    shard = sorted(student.glob("*.safetensors"))[1]
    kept = shard.read_bytes()
    shard.write_bytes(kept[:-5])
    with pytest.raises(UserError, match="can't be read: it is cut off"):
        load(student)
    shard.unlink()
    with pytest.raises(UserError, match=f"names {shard.name}, which is not there"):
        load(student)
    (student / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"there is none of model\.safetensors"):
        load(student)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    student = edited(tmp_path, lambda w: w.update({"model.norm.weight": torch.zeros(32, dtype=torch.int8)}))
    with pytest.raises(UserError, match=r"model\.norm\.weight is of type I8"):
        load(student)


def test_a_student_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"model\.path: the student .* can't be read"):
        load_config(make_recipe(tmp_path / "empty"))


@pytest.mark.processes
@pytest.mark.timeout(400)
def test_zero3_cuts_what_transformers_reads_within_bounded_memory(tmp_path: Path) -> None:
    """Two processes, every kind of student, both types, with and without adapters on experts, and a refusal."""
    students = {kind: in_shards(make(tmp_path / "w" / kind, kind), tmp_path / kind) for kind in ("qwen3_moe", "qwen3", "llama")}
    cases = [
        {"student": str(path), "recipe": {"model": {"dtype": dtype}}, "out": str(tmp_path / f"{kind}-{dtype}")}
        for kind, path in students.items()
        for dtype in ("float32", "bfloat16")
    ]
    moe = str(students["qwen3_moe"])
    cases += [
        {"student": moe, "recipe": {"lora": LORA, "model": {"dtype": dtype}}, "out": str(tmp_path / f"lora-{dtype}")}
        for dtype in ("float32", "bfloat16")
    ]
    broken = edited(tmp_path / "broken", lambda w: w.pop(EXPERT))
    cases.append({"student": str(broken), "out": str(tmp_path / "broken")})
    shape = {"hidden_size": 512, "num_hidden_layers": 11, "num_experts": 8, "moe_intermediate_size": 768}
    big = make_student(tmp_path / "big", **shape)
    size, largest = (big / "model.safetensors").stat().st_size, 8 * 2 * 768 * 512 * 4
    assert size > 400e6
    cases.append({"student": str(big), "out": str(tmp_path / "big")})
    assert launch(2, cases, tmp_path, program="loading_worker.py") == [0, 0]

    for case in cases[:8]:
        dtype = torch.bfloat16 if "bfloat16" in case["out"] else torch.float32
        wanted = expected(Path(case["student"]), dtype)
        for rank in (0, 1):
            found = json.loads(Path(f"{case['out']}.{rank}.json").read_text())
            assert found["cut"]
            assert found["leaves"] == (2 if case["student"] == moe else 0)
            assert {plain(n): c for n, c in found["checksums"].items() if ".lora_" not in n} == wanted
            if "lora" in case["out"]:
                adapters = add_adapters(make_recipe(students["qwen3_moe"], lora=LORA), _fresh(case["student"], dtype))
                fill(adapters, case["student"], sizes_of(1), zero3=False)
                one = {n: checksum(p) for n, p in adapters.named_parameters() if ".lora_" in n}
                assert {n: c for n, c in found["checksums"].items() if ".lora_" in n} == one
    for rank in (0, 1):
        refused = json.loads((tmp_path / f"broken.{rank}.json").read_text())["refused"]
        assert "of another shape (model.layers.1.mlp.experts.gate_up_proj" in refused
        grown = json.loads((tmp_path / f"big.{rank}.json").read_text())["grown"]
        print(f"process {rank}: {grown / 1e6:.0f} MB for its half of {size / 1e6:.0f} MB (largest {largest / 1e6:.0f} MB)")
        # Its half stays; besides it only the largest parameter and, in the first process, what it is fused from.
        assert grown < size / 2 + (5 if rank == 0 else 3) * largest


def _fresh(student: str, dtype: torch.dtype) -> Any:
    recipe = make_recipe(Path(student))
    return build_student(recipe, load_config(recipe), attention="sdpa", dtype=dtype)
