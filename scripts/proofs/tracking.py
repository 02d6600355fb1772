"""Trainings whose every tensor is tracked: `python -m proofs.tracking TASK.json` is one process of them.

On a CPU nobody counts allocations, so a dispatch mode sees every operation of a step and follows the storages of what it gives
back until they are freed. Memory inside of kernels is not seen, nor is that of the allocator.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import TrainerCallback

TRACKED_STEP = 2
"""The first step is left alone: it makes the optimizer's state, and DeepSpeed learns the order of modules."""


@dataclass
class Found:
    """What one process held, bytes: `states` by kind after a step; of the tracked step, what the forward pass `saved`
    beside parameters, and the `peak` of all that was allocated in it before the optimizer's step."""

    states: dict[str, int] = field(default_factory=dict)
    saved: int = 0
    peak: int = 0


class Allocations(TorchDispatchMode):
    """Bytes of the storages that operations have made since it was entered and that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor) and x.device.type != "meta":
                self._see(x.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.live:
            return
        size = storage.nbytes()
        self.live[key] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.live.pop(key, 0)

    def without(self, tensors: list[torch.Tensor]) -> int:
        """Bytes alive now that are none of these tensors'."""
        held = {t.untyped_storage()._cdata for t in tensors}
        return sum(size for key, size in self.live.items() if key not in held)


class Tracker(TrainerCallback):
    """Tracks one step of a `LongContextTrainer`."""

    def __init__(self) -> None:
        self.found = Found()
        self._mode: Allocations | None = None

    def loss(self, trainer: Any, compute: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """`compute_loss`, tracked in the tracked step."""
        if trainer.state.global_step + 1 != TRACKED_STEP:
            return compute(trainer, *args, **kwargs)
        gc.collect()
        self._mode = Allocations()
        self._mode.__enter__()
        loss = compute(trainer, *args, **kwargs)
        self.found.saved = self._mode.without([p.data for p in trainer.model.parameters()])
        return loss

    def before_step(self) -> None:
        """The optimizer is about to step."""
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self.found.peak, self._mode = self._mode.peak, None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.before_step()
        self.found.states["gradients"] = _bytes([p.grad for p in model.parameters() if p.grad is not None])

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
        zero = getattr(getattr(optimizer, "optimizer", optimizer), "fp32_partitioned_groups_flat", None)
        if zero is None:
            weights = list(model.parameters())
            self.found.states |= {"weights": _bytes(weights), "optimizer": _bytes(_state(optimizer), but=weights)}
            return
        engine = getattr(optimizer, "optimizer", optimizer)
        weights = [p.ds_tensor for p in model.parameters()]
        held = [*zero, *_state(engine.optimizer), *(g.grad for g in zero if g.grad is not None)]
        buffer = engine.grad_partitions_flat_buffer
        self.found.states = {
            "weights": _bytes(weights),
            "gradients": _bytes([buffer]),
            "optimizer": _bytes(held, but=weights),
        }


def track(folder: Path, cases: list[dict[str, Any]], *, processes: int, timeout: float = 570) -> list[list[Found]]:
    """Train each case for two steps in the same processes; of each what every process held.

    Args:
        cases: each with `student` and `pack` (folders) and `recipe` (sections).

    Raises:
        RuntimeError: it failed; the message ends in what it printed.
    """
    from proofs.measured import environment

    with tempfile.TemporaryDirectory(dir=folder) as out:
        task = Path(out) / "task.json"
        task.write_text(json.dumps({"out": out, "cases": cases}))
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
        command = [sys.executable, *torchrun, "-m", "proofs.tracking", str(task)]
        done = subprocess.run(command, env=environment(1), capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"the training ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
        found = [json.loads((Path(out) / f"found{rank}.json").read_text()) for rank in range(processes)]
    return [[Found(**rank[i]) for rank in found] for i in range(len(cases))]


def recipe_of(case: dict[str, Any]) -> Any:
    """The recipe of a case."""
    from acc.recipe import recipe_from

    sections = case["recipe"]
    plain: dict[str, Any] = {
        "sources": [{"name": "random", "path": "logs"}],
        "launch": {"threads": 1, "watchdog": None},
        "moe": {"log_every_steps": None},
        "compile": {"budget_tokens": sections["pack"]["length"], "target_reserve_tokens": 0},
    }
    train = {"learning_rate": 1e-5, "schedule": "constant", "global_batch": 1, "max_steps": TRACKED_STEP, **sections["train"]}
    model = {"path": case["student"], "dtype": "float32", **sections.get("model", {})}
    return recipe_from({**plain, **sections, "model": model, "train": train})


def _train(task: Path) -> None:
    import acc.train
    from acc.train.trainer import LongContextTrainer

    settings = json.loads(task.read_text())
    compute, found = LongContextTrainer.compute_loss, []
    for i, case in enumerate(settings["cases"]):
        tracker = Tracker()
        LongContextTrainer.compute_loss = _tracked(tracker, compute)
        _before_zero3_steps(tracker)
        acc.train.run(recipe_of(case), Path(case["pack"]), Path(settings["out"]) / str(i), [tracker])
        found.append(asdict(tracker.found))
        gc.collect()
    (Path(settings["out"]) / f"found{os.environ.get('RANK', '0')}.json").write_text(json.dumps(found))


def _tracked(tracker: Tracker, compute: Any) -> Any:
    def compute_loss(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return tracker.loss(self, compute, *args, **kwargs)

    return compute_loss


def _before_zero3_steps(tracker: Tracker) -> None:
    """DeepSpeed steps inside of the backward call, before any callback hears of it."""
    from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3 as Stage3

    original = getattr(Stage3, "untracked_step", Stage3.step)
    Stage3.untracked_step = original

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        tracker.before_step()
        return original(self, *args, **kwargs)

    Stage3.step = step


def _state(optimizer: Any) -> list[torch.Tensor]:
    return [x for held in optimizer.state.values() for x in held.values() if isinstance(x, torch.Tensor) and x.numel() > 1]


def _bytes(tensors: Sequence[torch.Tensor], but: Sequence[torch.Tensor] = ()) -> int:
    seen = {t.untyped_storage()._cdata for t in but}
    sizes = {s._cdata: s.nbytes() for t in tensors if (s := t.untyped_storage())._cdata not in seen}
    return sum(sizes.values())


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
