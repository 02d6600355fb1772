"""One process of the loading test: loads the students of a JSON file one after the other and writes what is in them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from training_material import make_recipe

from acc.errors import UserError
from acc.train.adapters import add_adapters
from acc.train.engine import arguments, processes, set_leaf_modules, whole_models
from acc.train.loading import build_student, load_config
from acc.train.parallel import sizes_of
from acc.train.zero_loading import fill


def checksum(tensor: torch.Tensor) -> str:
    """Of type, shape and every bit."""
    raw = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(f"{tensor.dtype}{list(tensor.shape)}".encode() + raw).hexdigest()


def peak_memory() -> int:
    """The most memory that the process has had since `forget_peak`, bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def load(case: dict[str, Any], rank: int) -> dict[str, Any]:
    """Checksums of all parameters, put together from every process's part, and what loading took."""
    recipe = make_recipe(Path(case["student"]), **case.get("recipe", {}))
    sizes = sizes_of(1)
    dtype = torch.bfloat16 if recipe.model.dtype == "bfloat16" else torch.float32
    with processes(recipe, sizes):
        options = {"attention": "sdpa", "accumulation": 1, "steps": 1, "optimizer": "sgd"}
        kept = arguments(recipe, sizes, Path(case["out"]), **options)  # transformers keeps a weak reference to DeepSpeed's part
        with whole_models():
            model = build_student(recipe, load_config(recipe), attention="sdpa", dtype=dtype)
        adapted = add_adapters(recipe, model)
        leaves = set_leaf_modules(model)
        forget_peak()
        before = peak_memory()
        fill(adapted, recipe.student, sizes, zero3=True, adapters=Path(case["adapters"]) if "adapters" in case else None)
        grown = peak_memory() - before
        cut = all(p.numel() == 0 and p.ds_tensor.numel() * sizes.world >= p.ds_numel for p in adapted.parameters())
        found = {}
        for name, parameter in adapted.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter]):
                found[name] = checksum(parameter.data)
        found |= {name: checksum(buffer) for name, buffer in adapted.named_buffers()}
        del kept
    return {"rank": rank, "checksums": found, "grown": grown, "cut": cut, "leaves": leaves}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in json.loads(Path(sys.argv[1]).read_text()):
        rank = sizes_of(1).rank
        try:
            result = load(case, rank)
        except UserError as e:
            result = {"rank": rank, "refused": str(e)}
        Path(f"{case['out']}.{rank}.json").write_text(json.dumps(result))
    if dist.is_initialized():
        dist.destroy_process_group()
