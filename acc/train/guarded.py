"""A Trainer whose steps are guarded and watched: where `Guard` and `Watchdog` meet HF's loop."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from transformers import Trainer

from acc.train.guard import Guard, guard_zero3
from acc.train.watchdog import Watchdog


class GuardedTrainer(Trainer):
    """Asks the guard before each optimizer step, in one process and under ZeRO-3; watches steps, not what is between them."""

    guard: Guard
    watchdog: Watchdog | None = None

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; the watch ends with it, however it ends."""
        try:
            return super().train(*args, **kwargs)
        finally:
            if self.watchdog:
                self.watchdog.close()

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        prepared = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        if self.is_deepspeed_enabled:
            guard_zero3(self.deepspeed.optimizer, self._decide)
        return prepared

    def _decide(self, norm: float) -> bool:
        return self.guard.decide(norm, self.state.global_step + 1)

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> float:
        """The step's gradient norm before clipping. ZeRO-3 has taken or left the step by now; here it is about to be taken."""
        norm = super()._get_grad_norm(model, grad_norm)
        if not self.is_deepspeed_enabled and not self._decide(float(norm)):
            model.zero_grad(set_to_none=True)  # an optimizer does nothing to a parameter without a gradient
        return self.guard.norm

    def _maybe_log_save_evaluate(self, tr_loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        # HF's running loss is not the one that is logged; once nan, it would stay so.
        tr_loss.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        with self.watchdog.paused(together=self.control.should_save) if self.watchdog else nullcontext():
            super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)
