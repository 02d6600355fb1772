"""One process of a launch of the parity matrix: trains the cells of a JSON file one after the other, as `acc train` would.

What it finds goes to `<out>/result.json` (losses, gradient norms, seconds) and `<out>/weights.safetensors`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from proofs.parity_cells import Cell
from proofs.parity_material import ALPHA, RANK, TARGETS
from safetensors.torch import save_file
from transformers import TrainerCallback

import acc.train
from acc.recipe import recipe_from
from acc.stage.files import write_json
from acc.train import loss


class Values(TrainerCallback):
    """Notes the trained tensors before the first step and after the last, and lets no checkpoint be written."""

    def __init__(self, steps: int) -> None:
        self.steps, self.before, self.after = steps, dict[str, torch.Tensor](), dict[str, torch.Tensor]()

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
        self.before = trained_values(model)

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
        if state.global_step == self.steps:
            self.after = trained_values(model)
            control.should_save = False


def trained_values(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The float32 values of what is trained, by the plain model's names; an adapter's are "<weight>|A" and "<weight>|B".

    Under ZeRO-3 every process takes part, and gets them all.
    """
    return {_plain_name(model, name): _whole(p) for name, p in model.named_parameters() if p.requires_grad}


def _whole(parameter: torch.nn.Parameter) -> torch.Tensor:
    if not hasattr(parameter, "ds_id"):
        return parameter.detach().float().cpu().clone()
    from deepspeed.utils import safe_get_full_fp32_param

    return safe_get_full_fp32_param(parameter).detach().float().cpu().clone()


def _plain_name(model: torch.nn.Module, name: str) -> str:
    """`…experts.base_layer.lora_A.default.weight` → `…experts.gate_up_proj|A`."""
    path, adapter, rest = name.partition(".lora_")
    weight = "weight"
    if adapter:
        weight = getattr(model.get_submodule(path), "parameter_name", weight)
    plain = (path if adapter else name).removeprefix("base_model.model.").replace(".base_layer", "")
    return f"{plain}.{weight}|{rest[0]}" if adapter else plain


def main() -> None:
    loss.CHUNK = 8  # else so few labelled tokens would all be in one
    task = json.loads(Path(sys.argv[1]).read_text())
    for case in task["cells"]:
        cell, out = Cell(**case["cell"]), Path(case["out"])
        sections: dict[str, Any] = {
            "sources": [{"name": "one", "path": "none"}, {"name": "two", "path": "none"}],
            "model": {"path": case["student"], "dtype": task["dtype"]},
            "parallel": {"sequence": cell.sequence},
            "launch": {"threads": 1},
            "train": {
                "learning_rate": task["learning_rate"],
                "schedule": "constant",
                "max_grad_norm": task["max_grad_norm"] if cell.clipped else 0.0,
                "loss_reduction": cell.reduction,
                "gradient_checkpointing": cell.recomputed,
            },
        }
        if cell.trained == "lora":
            sections["lora"] = {"rank": RANK, "alpha": ALPHA, "targets": TARGETS[cell.kind]}
        begin = time.monotonic()
        values = Values(task["steps"])
        acc.train.run(recipe_from(sections), Path(case["packed"]), out, [values], optimizer="sgd")
        if os.environ.get("RANK", "0") == "0":
            updates = {name: values.after[name] - start for name, start in values.before.items()}
            adapters = {f"start/{name}": start for name, start in values.before.items() if "|" in name}
            save_file({**updates, **adapters}, out / "values.safetensors")
            lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
            result = {"losses": [x["loss"] for x in lines], "norms": [x["grad_norm"] for x in lines]}
            write_json(out / "result.json", {**result, "seconds": time.monotonic() - begin})
        if case is task["cells"][0]:
            # What is imported by now stays: DeepSpeed collects garbage in every cell, which then need not look at it.
            gc.collect()
            gc.freeze()
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
