"""HF's Trainer with the loss, the order and the checkpoints that long answer-only sequences need."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from acc.recipe import Recipe
from acc.records.adapters import BASE
from acc.train.batches import Batch, StepLoader
from acc.train.callbacks import SCORES, Flow, JsonLog, Stop
from acc.train.canary import check_canary
from acc.train.checkpoints import Resume, drop_old_state, seal
from acc.train.counts import Counts
from acc.train.delivery import Delivery
from acc.train.disk import check_disk
from acc.train.documents import documents_at
from acc.train.engine import reduce_sum, uses_zero3
from acc.train.expert_load import ExpertLoad
from acc.train.guard import Guard
from acc.train.guarded import GuardedTrainer
from acc.train.half_weights import name_dtype, save_master
from acc.train.keeping import Keeping
from acc.train.likelihood import Scored, likelihoods
from acc.train.loading import copy_tokenizer
from acc.train.loss import check_head, prepare_head, token_losses, token_weights, total_weight
from acc.train.parallel import Sizes
from acc.train.watchdog import Watchdog
from acc.train.witness import Witness


class LongContextTrainer(GuardedTrainer):
    """A Trainer for packed sequences.

    What differs from the stock one: the loss (a mean over the labelled tokens or samples of the whole step, head on labelled
    positions only), the order (`StepLoader`, begun at the global step), Ulysses without its own data loader, and
    checkpoints that are whole or ignored.

    Args:
        resume: where to go on; the model already has that checkpoint's weights.
        key: of the training, for the checkpoints' markers.
        scores: scores.jsonl of the evaluation, for `train.best` and what may be dropped; None where there is none.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Any,
        args: TrainingArguments,
        *,
        loader: StepLoader,
        stop: Stop,
        resume: Resume | None,
        key: str,
        out: Path,
        scores: Path | None,
        callbacks: list[TrainerCallback],
    ) -> None:
        sampler = loader.sampler
        self.flow = Flow(
            stop, every=recipe.train.save_every_steps, steps=sampler.steps, steps_per_epoch=sampler.steps_per_epoch
        )
        own: list[TrainerCallback] = [
            self.flow,
            JsonLog(out, step=resume.step if resume else 0, steps=sampler.steps, writes=loader.sizes.rank == 0),
        ]
        if scores is not None and loader.sizes.rank == 0:
            own.append(Delivery(out, scores, self.log_scores))
        keeping = Keeping(recipe, out, scores, writes=loader.sizes.rank == 0)
        super().__init__(model=model, args=args, callbacks=[*own, *callbacks, keeping])
        self.remove_callback(PrinterCallback)
        self.recipe, self.loader, self.resume, self.key, self.out = recipe, loader, resume, key, out
        self.sizes: Sizes = loader.sizes
        self.loss_is_scaled_for_ga = True
        # The stock adapter cuts the sequences itself and can't begin in the middle; ours are cut as they are read.
        self.accelerator.deepspeed_ulysses_dl_adapter = lambda loader, model: loader
        self._plain = model.get_base_model() if recipe.lora else model
        self._head = self._plain.get_output_embeddings()
        prepare_head(self._head)
        self.witness = Witness(recipe, model, loader, args.device)
        self.counts = Counts(loader.sources, self.sizes, self._plain.config, args.device, frozen=recipe.lora is not None)
        self.guard = Guard(
            recipe.train.guard,
            world=self.sizes.world,
            device=args.device,
            resumed=resume.folder if resume else None,
        )
        if recipe.launch.watchdog:
            self.watchdog = Watchdog(recipe.launch.watchdog, out, rank=self.sizes.rank, world=self.sizes.world)
            self.add_callback(self.watchdog)
        self.expert_load = ExpertLoad(
            self._plain,
            out,
            every=recipe.moe.log_every_steps,
            resumed=resume.step if resume else 0,
            steps=sampler.steps,
            writes=self.sizes.rank == 0,
            device=args.device,
        )
        self.add_callback(self.expert_load)

    def get_train_dataloader(self) -> Any:
        """Micro-batches from the global step on."""
        self.loader.first_step = lambda: self.state.global_step
        return self.loader

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        found: tuple[int, int] = super()._init_training_state(*args, **kwargs)
        if self.resume is not None:
            self.state.global_step = self.resume.step
        return found

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        prepared = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        if self.resume is not None and not self.resume.exact:
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", message="Detected call of `lr_scheduler.step"
                )  # no optimizer step came before
                for _ in range(self.resume.step):
                    self.lr_scheduler.step()
        return prepared

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: the model was loaded from the checkpoint. The stock method loads per-expert names into fused experts
        with `strict=False`, that is, not at all."""

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> torch.Tensor:
        """The weight of the whole step over all processes: its labelled tokens or samples."""
        self.witness.step(batch_samples, self.state.global_step)
        self.counts.start(self.loader.waited(self.state.global_step))
        weight = total_weight(batch_samples, self.recipe.train.loss_reduction, sequence_rank=self.sizes.sequence_rank)
        return reduce_sum(torch.tensor(weight, device=device))

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """This process's part of the step's loss.

        The engine averages gradients over all processes, and the log the losses, so the part is multiplied by their number.
        """
        if num_items_in_batch is None:
            raise RuntimeError("the loss needs the weight of the whole step; this is a bug in acc")
        if first := not self.witness.seen:
            vocabulary = self._plain.config.get_text_config().vocab_size
            check_canary(model, self.sizes, vocabulary=vocabulary, device=self.args.device)
        documents = documents_at(inputs["bounds"])
        fed = {name: inputs[name] for name in ("input_ids", "position_ids")} | {"documents": documents}
        with self.witness.forward(inputs), self.expert_load.forward(inputs["real"]):
            losses, kept = token_losses(model, self._head, fed, inputs["targets"])
        if first:
            check_head(self._head, losses)
        weights = token_weights(inputs, kept, self.recipe.train.loss_reduction)
        self.counts.add(inputs, losses.detach(), weights, kept, documents.lengths)
        return self.guard.add((losses * weights).sum() / num_items_in_batch.clamp(min=1) * self.sizes.world)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log; a step's line gets the guard's numbers and its counts."""
        if "loss" in logs:
            logs.update(self.guard.line())
            logs.update(self.counts.line())
            logs.update(self.expert_load.line(self.state.global_step))
        super().log(logs, start_time)

    def log_scores(self, scores: dict[str, float], step: int | None = None) -> None:
        """Log an evaluation's scores for a step, None for the running one; given to callbacks that have `attach`."""
        running = self.state.global_step, self.state.epoch
        if step is not None:
            self.state.global_step, self.state.epoch = step, step / self.flow.steps_per_epoch
        try:
            self.log({f"{SCORES}{name}": value for name, value in scores.items()})
        finally:
            self.state.global_step, self.state.epoch = running

    def likelihood(self, asked: Sequence[Scored]) -> list[float | None]:
        """Mean negative log-likelihood of given answers by the model as it is now, nats a token; given to callbacks that have
        `attach`. Every process calls it, with the same list."""
        return likelihoods(self.model_wrapped, self._head, asked, self.sizes, device=self.args.device)

    def check_disk(self) -> None:
        """Raise a `UserError` in every process if the checkpoints of the rest of the run would not fit."""
        begun = self.resume.step if self.resume else 0
        saves = sum(map(self.flow.saves, range(begun + 1, self.flow.steps + 1)))
        check_disk(self.recipe, self.model, self.out, saves=saves)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The weights in the recipe's type: so ZeRO-3 gives them, but without it they are float32 and stay so in `MASTER`."""
        mixed = self.recipe.model.dtype == "bfloat16" and not self.recipe.lora and not uses_zero3(self.recipe, self.sizes)
        if not mixed or output_dir is None:
            super()._save(output_dir, state_dict)
            return
        super()._save(output_dir, save_master(self.model, Path(output_dir)))
        name_dtype(Path(output_dir))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        check_disk(self.recipe, self.model, self.out, saves=1)
        super()._save_checkpoint(model, trial)
        step = self.state.global_step
        folder = self.out / f"checkpoint-{step}"
        if self.sizes.rank == 0:
            copy_tokenizer(self.recipe, folder)
            if self.recipe.lora:
                self._plain.config.save_pretrained(folder / BASE)
            self.guard.save(folder)
            (folder / "training_args.bin").unlink(missing_ok=True)
        scheduled = self.flow.saves(step)
        seal(folder, step=step, key=self.key, seed=self.recipe.seed, sizes=self.sizes, scheduled=scheduled)
        if self.sizes.rank == 0:
            drop_old_state(self.out, self.recipe.train.keep_checkpoints)
