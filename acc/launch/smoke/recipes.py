"""The recipe of a smoke: the run's, with five steps, two checkpoints, and little to evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acc.recipe import Recipe
from acc.recipe.evaluation import Benchmark, SyntheticRows
from acc.stage.files import write_text

STEPS, SAVED = 5, 3
"""Steps, and after how many of them the checkpoint is saved that training goes on from."""
ROWS, ANSWER = 2, 256
"""Questions of each benchmark, and tokens of an answer at most."""


def smoke_recipe(recipe: Recipe, *, per_step: int, compiled: bool) -> Recipe:
    """The run's recipe for a smoke.

    Args:
        per_step: sequences of a step.
        compiled: whether the run's own samples are there; without them held-out questions are not asked.
    """
    train: dict[str, Any] = {
        "max_steps": STEPS,
        "save_every_steps": SAVED,
        "global_batch": per_step,
        "keep_checkpoints": 2,
        "keep_weights": None,
        "log_every_steps": 1,
        "warmup_steps": 0,
        "best": None,
        "report_to": [],
    }
    evaluate = recipe.evaluate
    held_out = evaluate.held_out.model_copy(update={"limit": ROWS}) if evaluate.held_out and compiled else None
    benchmarks = [_short(benchmark) for benchmark in evaluate.benchmarks]
    if not held_out and not benchmarks:
        tokens = min(1_000, recipe.pack.length // 4)
        benchmarks = [Benchmark(name="mrcr", synthetic=SyntheticRows(rows=ROWS, tokens=tokens), max_new_tokens=32)]
    asked = {
        "held_out": held_out,
        "benchmarks": benchmarks,
        "general": None,
        "commands": [],
        "screen": None,
        "base": False,
        "preset": None,
    }
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-smoke",
            "paths_from": str(recipe.resolve("").resolve()),
            "train": recipe.train.model_copy(update=train),
            "evaluate": evaluate.model_copy(update={**asked, "where": "watch" if evaluate.server else "inline"}),
            "launch": recipe.launch.model_copy(update={"nodes": 1, "slurm": None}),
        }
    )


def _short(benchmark: Benchmark) -> Benchmark:
    """A few rows and short answers of a benchmark."""
    return benchmark.model_copy(update={"limit": ROWS, "max_new_tokens": min(ANSWER, benchmark.max_new_tokens)})


def alone(recipe: Recipe) -> Recipe:
    """The same for one process and one step, whose loss several processes must reach."""
    return recipe.model_copy(
        update={
            "train": recipe.train.model_copy(update={"max_steps": 1, "save_every_steps": STEPS}),
            "parallel": recipe.parallel.model_copy(update={"sequence": 1, "offload": []}),
            "deepspeed": {},
            "launch": recipe.launch.model_copy(update={"processes": 1}),
        }
    )


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """Write a recipe as JSON, which is YAML too."""
    write_text(path, recipe.model_dump_json(indent=1) + "\n")
    return path
