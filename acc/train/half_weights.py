"""One process trains 16-bit weights through a float32 copy: the checkpoint has both, one to use and one to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from acc.stage.files import write_json

MASTER = "float32"
"""Folder in a checkpoint with the parameters in float32, by their names in the model; only an exact resume needs it. A folder,
since servers load every safetensors file that lies beside config.json."""
WEIGHTS = "weights.safetensors"


def save_master(model: torch.nn.Module, folder: Path) -> dict[str, torch.Tensor]:
    """Write the float32 parameters, and give back the model's state in bfloat16, tensors that were tied still tied."""
    (folder / MASTER).mkdir(parents=True, exist_ok=True)
    save_file({name: p.detach().contiguous() for name, p in model.named_parameters()}, folder / MASTER / WEIGHTS)
    cast: dict[int, torch.Tensor] = {}
    state = model.state_dict()
    return {n: cast.setdefault(t.data_ptr(), t.to(torch.bfloat16) if t.is_floating_point() else t) for n, t in state.items()}


def name_dtype(folder: Path) -> None:
    """Let config.json say what the weights are; transformers writes the type of the model in memory."""
    path = folder / "config.json"
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "dtype": "bfloat16"})


def load_master(model: torch.nn.Module, folder: Path) -> None:
    """Put the float32 parameters of a checkpoint into a model whose weights were read from it; without them do nothing."""
    if not (folder / MASTER).is_dir():
        return
    with safe_open(folder / MASTER / WEIGHTS, framework="pt") as saved, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(saved.get_tensor(name))
