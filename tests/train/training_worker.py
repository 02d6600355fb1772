"""One training process of a test: runs the cases of a JSON file one after the other (see `training_material.launch`)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from training_material import Asking, make_recipe
from transformers import AutoModelForCausalLM, TrainerCallback

import acc.train
import acc.train.attention
from acc.errors import UserError


class Interrupt(TrainerCallback):
    """At the beginning of a step kill every process, or politely tell the last one alone to stop; or let a micro-batch of the
    last one alone go wrong (the embeddings it sees are not numbers), or have it sleep in the step."""

    def __init__(self, kill_at: int | None, terminate_at: int | None, poison_at: int | None, stall_at: int | None) -> None:
        self.kill_at, self.terminate_at, self.poison_at, self.stall_at = kill_at, terminate_at, poison_at, stall_at

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step + 1
        if step == self.poison_at and args.process_index == args.world_size - 1:
            once(kwargs["model"].get_input_embeddings(), lambda output: output * torch.nan)
        if step == self.stall_at and args.process_index == args.world_size - 1:
            time.sleep(1000)
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.terminate_at and args.process_index == args.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluation loads the checkpoint whole, alone: were it cut over processes, this would wait for ever."""
        if args.process_index == 0 and not control.should_training_stop:
            model = AutoModelForCausalLM.from_pretrained(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            prompt = torch.tensor([[1, 2, 3]])
            assert model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=2).shape[1] > 3


def leaking(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> Any:
    """Attention in which packed documents see those before them."""
    out = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    return out.transpose(1, 2).contiguous(), None


documents_sdpa = acc.train.attention.documents_sdpa


def once(module: torch.nn.Module, change: Any) -> None:
    """Change what a module gives in its next forward pass."""

    def changed(_: Any, __: Any, output: Any) -> Any:
        hook.remove()
        return change(output)

    hook = module.register_forward_hook(changed)


for case in json.loads(Path(sys.argv[1]).read_text()):
    recipe = make_recipe(Path(case["student"]), **case.get("recipe", {}))
    if case.get("apart"):
        recipe = recipe.model_copy(update={"seed": recipe.seed + int(os.environ["RANK"])})
    interrupt = Interrupt(*(case.get(f"{name}_at") for name in ("kill", "terminate", "poison", "stall")))
    callbacks = [interrupt, *([Asking(Path(case["out"]))] if case.get("asks") else [])]
    acc.train.attention.documents_sdpa = leaking if case.get("leaks") else documents_sdpa
    optimizer = case.get("optimizer", "adamw_torch_fused")
    try:
        code = int(acc.train.run(recipe, Path(case["packed"]), Path(case["out"]), callbacks, optimizer=optimizer))
    except UserError as e:
        code = f"{e}"
    if os.environ.get("RANK", "0") == "0":
        Path(case["out"]).with_suffix(".code").write_text(str(code))
if dist.is_initialized():
    dist.destroy_process_group()
