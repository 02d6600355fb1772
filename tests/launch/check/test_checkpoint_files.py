"""A checkpoint that training would fail to load is found before: weights that are none, a config.json with odd values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checked import changed, check, good, student

import acc
from acc.cli import main
from acc.errors import ExitCode

WEIGHTS = (Path(acc.__file__).parent / "synth" / "tiny_base" / "model.safetensors").read_bytes()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 4474128\n"
OTHER = (8).to_bytes(8, "little") + b"[1, 2, 3"


def errors(folder: Path) -> list[str]:
    recipe = changed(good(folder), {"model.path": student(folder) if not (folder / "student").exists() else "student"})
    return [str(f) for f in check(folder, recipe) if f.level == "error"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (POINTER, "git-lfs's pointer"),
        (WEIGHTS[:-1], f"it has {len(WEIGHTS) - 1:,} bytes, and its header says {len(WEIGHTS):,}"),
        (WEIGHTS + b"\0", "cut off or damaged"),
        (WEIGHTS[:4000], "do not hold its header"),
        (b"", "do not hold its header"),
        (OTHER, "its header can't be read"),
    ],
    ids=["pointer", "one byte short", "one byte over", "cut in its header", "empty", "another file"],
)
def test_weights_that_are_none_are_named_with_how_to_get_them(tmp_path: Path, content: bytes, says: str) -> None:
    student(tmp_path)
    (tmp_path / "student" / "model.safetensors").unlink()
    (tmp_path / "student" / "model.safetensors").write_bytes(content)
    (found,) = errors(tmp_path)
    assert "model.safetensors" in found and says in found and "git lfs pull" in found


def test_of_weights_in_parts_each_is_looked_at_and_files_that_are_not_loaded_are_not(tmp_path: Path) -> None:
    student(tmp_path)
    folder = tmp_path / "student"
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model-2.safetensors").write_bytes(WEIGHTS)
    (folder / "consolidated.safetensors").write_bytes(POINTER)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert errors(tmp_path) == []
    (folder / "model-2.safetensors").write_bytes(POINTER)
    (found,) = errors(tmp_path)
    assert "model-2.safetensors is git-lfs's pointer" in found


ODD: list[tuple[str, Any]] = [
    ("num_hidden_layers", None),
    ("num_hidden_layers", "three"),
    ("num_attention_heads", "4"),
    ("num_attention_heads", 0),
    ("vocab_size", "many"),
    ("max_position_embeddings", "long"),
    ("num_experts", "four"),
    ("mlp_only_layers", 3),
    ("rope_parameters", "x"),
    ("rope_parameters", {"rope_type": "yarn", "factor": "four"}),
    ("layer_types", 3),
    ("text_config", "x"),
]


@pytest.mark.parametrize(("field", "value"), ODD, ids=lambda x: str(x))
def test_check_and_plan_name_the_field_of_config_json_that_is_odd(
    tmp_path: Path, field: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    student(tmp_path)
    path = tmp_path / "student" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    (found,) = errors(tmp_path)
    assert "config.json has " in found and f"for {field}" in found and "must be" in found
    assert main(["plan", str(tmp_path / "r.yaml"), "--gpus", "4xH100", "--runs", str(tmp_path)]) == ExitCode.USER
    assert f"for {field}" in capsys.readouterr().err
