"""A good recipe with its logs, a machine that answers as a test says, and the check of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import acc
from acc.launch.check import check_file
from acc.launch.check.finding import Finding
from acc.launch.check.machine import Machine

VERSIONS = {
    "torch": "2.13.0+cu128",
    "transformers": "5.23.0",
    "accelerate": "1.15.0",
    "deepspeed": "0.19.8",
    "peft": "0.21.2",
    "tokenizers": "0.23.3",
    "pyarrow": "26.0.1",
    "tensorboard": "2.20.0",
}
PROGRAMS = ("g++", "ninja", "git", "sbatch", "python")


def machine(
    *,
    environment: Mapping[str, str] | None = None,
    versions: Mapping[str, str | None] | None = None,
    without: tuple[str, ...] = (),
    gpus: int = 0,
    free: float = 1e13,
    reduces: str | None = None,
    kind: str = "",
) -> Machine:
    """A machine with everything that training needs but GPUs, unless said otherwise."""
    installed = {**VERSIONS, **(versions or {})}
    programs = {name: f"/usr/bin/{name}" for name in PROGRAMS if name not in without}
    return Machine(
        environment or {},
        installed.get,
        programs.get,
        lambda: gpus,
        lambda: kind,
        lambda path: int(free),
        lambda *_: None,
        lambda count: reduces,
    )


def good(folder: Path) -> dict[str, Any]:
    """A recipe in which nothing is wrong, as plain data; its logs are written into the folder."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "logs" / "a.jsonl").write_text(json.dumps({"trajectory_id": "1", "steps": []}) + "\n")
    return {
        "name": "r",
        "sources": [{"name": "ours", "path": "logs"}, {"name": "kept", "path": "logs", "split": "held_out"}],
        "compile": {"budget_tokens": 4096, "target_reserve_tokens": 512},
        "pack": {"length": 8192},
        "parallel": {"sequence": 2},
        "train": {"max_steps": 100, "global_batch": 8, "warmup_steps": 10, "save_every_steps": 50},
        "evaluate": {"held_out": {}, "benchmarks": [{"name": "mrcr", "synthetic": {"tokens": 1000}}]},
        "launch": {"processes": 4},
    }


def changed(recipe: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with values set at dotted names; None takes a key out."""
    for dotted, value in changes.items():
        at: Any = recipe
        *parents, last = [int(k) if k.isdigit() else k for k in dotted.split(".")]
        for key in parents:
            at = at[key] if isinstance(at, list) else at.setdefault(key, {})
        if value is None and isinstance(at, dict):
            at.pop(last)
        else:
            at[last] = value
    return recipe


def check(folder: Path, recipe: Mapping[str, Any], on: Machine | None = None) -> list[Finding]:
    """The findings about a recipe that is written into a folder, offline."""
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(dict(recipe), sort_keys=False))
    return check_file(path, runs=folder / "runs", offline=True, machine=on or machine())[1]


def student(folder: Path, **config: Any) -> str:
    """The embedded student with another config.json; a value of None takes a field out."""
    origin = Path(acc.__file__).parent / "synth" / "tiny_base"
    made = folder / "student"
    made.mkdir(exist_ok=True)
    for path in origin.iterdir():
        if not (made / path.name).exists():
            (made / path.name).symlink_to(path)
    data = json.loads((origin / "config.json").read_text()) | config
    (made / "config.json").unlink()
    (made / "config.json").write_text(json.dumps({k: v for k, v in data.items() if v is not None}))
    return "student"
