"""What is still to be evaluated, in which order: the base, every checkpoint, and all rows for a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from acc.recipe.evaluation import Evaluate
from acc.recipe.schema import Recipe
from acc.records.evaluated import evaluation_key, is_evaluated

Rows = Literal["screen", "full"]


@dataclass(frozen=True, slots=True)
class Job:
    """One checkpoint to be asked all rows, or those of the screen. `checkpoint` is a folder or a hub id."""

    step: int
    checkpoint: str
    rows: Rows


def open_jobs(
    recipe: Recipe, out: Path, checkpoints: Mapping[int, Path], *, over: bool = False, best: int | None = None
) -> list[Job]:
    """The jobs that may be begun now, the most urgent first.

    First the base, with which all others are compared, then the newest checkpoint: whoever watches a training wants to know
    where it stands. With a screen all rows come after it: those of the base, and, once training is over and every checkpoint
    has its screen, those of the best checkpoint and of the last.

    Args:
        out: the folder of the evaluation.
        checkpoints: the whole checkpoints by step.
        over: whether training is over.
        best: step of the best checkpoint, where the recipe chooses one.
    """
    key, evaluate = evaluation_key(recipe), recipe.evaluate
    if not evaluate.measures_something:
        return []

    def opened(steps: list[int], rows: Rows) -> list[Job]:
        named = {0: recipe.student, **{step: str(path) for step, path in checkpoints.items()}}
        return [Job(s, named[s], rows) for s in steps if not is_evaluated(out, s, rows, key)]

    first: Rows = "screen" if has_screen(evaluate) else "full"
    base, newest = [0] if evaluate.base else [], sorted(checkpoints, reverse=True)
    if jobs := opened(base, first):
        return jobs
    jobs = opened(newest, first)
    if first == "full":
        return jobs
    if full_base := opened(base, "full"):
        return [*jobs, *full_base]
    if jobs or not over:
        return jobs
    chosen = [*newest[:1], *([best] if best is not None and best in checkpoints else [])]
    return opened(list(dict.fromkeys(chosen)), "full")


def has_screen(evaluate: Evaluate) -> bool:
    """Whether less is asked of most checkpoints than of the base, the best and the last; held-out questions always are."""
    return evaluate.screen is not None and bool(evaluate.benchmarks or evaluate.general or evaluate.commands)


def generates(evaluate: Evaluate) -> bool:
    """Whether anything that the recipe asks is answered in words."""
    held_out = evaluate.held_out is not None and "exact" in evaluate.held_out.measures
    return bool(held_out or evaluate.benchmarks or evaluate.general or evaluate.commands)
