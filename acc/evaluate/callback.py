"""Evaluation at every checkpoint, as a callback that the launcher hands to the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from acc.evaluate.runner import Evaluation
from acc.recipe.schema import Recipe
from acc.records.scores import SCORES, Score, read_scores

Log = Callable[[dict[str, float]], None]


class CheckpointEvaluation(TrainerCallback):
    """Evaluates the base before the first step and each checkpoint once it is whole, on every process together.

    Args:
        compiled: the folder of `acc compile`.
        out: the folder of the evaluation: rows, responses, scores.jsonl.
        checkpoints: the folder of the checkpoint-<step> folders.
    """

    def __init__(self, recipe: Recipe, compiled: Path, out: Path, checkpoints: Path) -> None:
        self.recipe, self.compiled, self.out, self.checkpoints = recipe, compiled, out, checkpoints
        self._log: Log | None = None
        self._evaluation: Evaluation | None = None

    def attach(self, log: Log) -> None:
        """Take the trainer's log function; rank 0 calls it with the scores' names and means."""
        self._log = log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Evaluate the base as step 0, and the checkpoint that training goes on from, unless their scores are there."""
        done = {score.step for score in read_scores(self.out / SCORES)}
        if self.recipe.evaluate.base and 0 not in done:
            self._evaluate(self.recipe.student, 0)
        if state.global_step and state.global_step not in done:
            self._evaluate(str(self.checkpoints / f"checkpoint-{state.global_step}"), state.global_step)
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> TrainerControl:
        """Evaluate the checkpoint that was just saved."""
        self._evaluate(str(self.checkpoints / f"checkpoint-{state.global_step}"), state.global_step)
        return control

    def _evaluate(self, checkpoint: str, step: int) -> None:
        if not self.recipe.evaluate.measures_something:
            return
        # Made here and not before: only now the processes know each other.
        self._evaluation = self._evaluation or Evaluation(self.recipe, self.compiled, self.out)
        scores: list[Score] = self._evaluation.run(checkpoint, step)
        if self._log is not None and scores:
            self._log({score.name: score.mean for score in scores if score.n})
