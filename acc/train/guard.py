"""Steps that go wrong: a loss or gradient norm that is not a number, or a norm that jumps. Decided before the weights move."""

from __future__ import annotations

import json
import math
import statistics
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from acc.errors import UserError
from acc.recipe.training import Guard as Settings
from acc.stage.files import write_json
from acc.train.engine import reduce_sum

STATE = "guard.json"
"""Beside a checkpoint's weights: skipped steps so far, and the gradient norms that the median is taken over."""


class Guard:
    """Decides each step from the loss and gradient norm of the whole step, in every process alike.

    A skipped step leaves weights and the optimizer's moments as they are; the learning rate and the order of the data go on.

    Attributes:
        skipped: steps skipped so far, those before a resume too.
        norm: gradient norm of the last step, before clipping; not finite where it is not a number.

    Args:
        world: processes of the training.
        resumed: folder of the checkpoint that training goes on from.
    """

    def __init__(self, settings: Settings, *, world: int, device: torch.device, resumed: Path | None) -> None:
        self.settings, self.world = settings, world
        state = _read(resumed / STATE) if resumed else {}
        self.skipped: int = state.get("skipped", 0)
        self.norm = math.nan
        self._norms = deque[float](state.get("norms", []), maxlen=settings.window)
        self._step = torch.zeros((), dtype=torch.float64, device=device)
        self._losses: list[float] = []

    def add(self, part: torch.Tensor) -> torch.Tensor:
        """Count a micro-batch's part of the loss, [], on this process; give it back."""
        self._step += part.detach()
        return part

    def decide(self, norm: float, step: int) -> bool:
        """Whether the step is taken. Every process calls this once a step, with all micro-batches counted.

        Args:
            norm: of the whole step's gradient, before clipping.
            step: number of the step, from 1.

        Raises:
            UserError: in every process: training stops here.
        """
        # The norm takes part in the sum too: a process that saw another number would decide otherwise.
        both = torch.stack([self._step, self._step.new_tensor(norm)])
        loss, self.norm = (reduce_sum(both) / self.world).tolist()
        self._step.zero_()
        if math.isfinite(loss):
            self._losses.append(loss)
        problem, action = self._judge(loss)
        if not problem:
            self._norms.append(self.norm)
        if action == "stop":
            raise UserError(
                f"{problem} at step {step}",
                where="train",
                mend="Lower train.learning_rate or train.max_grad_norm, or let train.guard skip such steps; "
                "the last checkpoint is from before",
            )
        if action != "skip":
            return True
        self.skipped += 1
        if self.skipped > self.settings.max_skipped:
            raise UserError(
                f"{problem} at step {step}, after {self.settings.max_skipped} steps were skipped already",
                where="train.guard.max_skipped",
                mend="Look at skipped in log.jsonl; lower train.learning_rate, or allow more",
            )
        return False

    def _judge(self, loss: float) -> tuple[str, str]:
        """What is wrong ("" for nothing) and what the recipe says to do about it."""
        for name, value in (("loss", loss), ("grad_norm", self.norm)):
            if not math.isfinite(value):
                return f"{name} is {value}", self.settings.not_a_number
        if self.settings.spike != "ignore" and len(self._norms) == self.settings.window:
            usual = statistics.median(self._norms)
            if self.norm > self.settings.spike_factor * usual:
                return f"grad_norm is {self.norm:.3g}, {self.norm / usual:.1f} times its median", self.settings.spike
        return "", ""

    def line(self) -> dict[str, float]:
        """For the log, since its last line: the mean loss of the steps whose loss is a number (none: nan), the last step's
        gradient norm, and all skipped steps so far."""
        loss = statistics.fmean(self._losses) if self._losses else math.nan
        self._losses.clear()
        return {"loss": loss, "grad_norm": self.norm, "skipped": self.skipped}

    def save(self, folder: Path) -> None:
        """Write what a resume needs."""
        write_json(folder / STATE, {"skipped": self.skipped, "norms": list(self._norms)})


def guard_zero3(optimizer: Any, decide: Callable[[float], bool]) -> None:
    """Let `decide` see the gradient norm inside ZeRO-3's optimizer step, before the weights move.

    DeepSpeed itself leaves out a step whose norm is not finite; a step to skip is given to it as one of those. It must not
    learn that the step was left out, or the learning rate would stand still.

    Args:
        optimizer: DeepSpeed's stage 3 optimizer.

    Raises:
        RuntimeError: this DeepSpeed has another stage 3 optimizer than the one this was written for.
    """
    for name in ("_get_norm_groups", "_overflow_clean_up", "_loss_scale_update_and_overflow_cleanup"):
        if not hasattr(optimizer, name):
            raise RuntimeError(f"{type(optimizer).__name__} of this DeepSpeed has no {name}; 0.19.8 is known to work")
    norm_groups, step = optimizer._get_norm_groups, optimizer.step

    def judged_groups() -> list[Any]:
        groups = norm_groups()
        norms = [float(norm) for norm in groups]
        valid = all(math.isfinite(norm) and norm >= 0 for norm in norms)  # -1 stands for a norm that is not finite
        norm = math.hypot(*norms) / float(optimizer.loss_scale) if valid else math.inf
        return groups if decide(norm) else [torch.full_like(torch.as_tensor(group), math.inf) for group in groups]

    def whole_step(closure: Any = None) -> None:
        step(closure)
        optimizer.overflow = False

    optimizer._get_norm_groups, optimizer.step = judged_groups, whole_step


def _read(path: Path) -> dict[str, Any]:
    """The state of an earlier training; nothing for checkpoints that were written without it."""
    if not path.is_file():
        return {}
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state
