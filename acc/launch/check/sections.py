"""What the sections of a recipe say to each other, beyond what its schema refuses: sizes, steps, repeats, policies, keys."""

from __future__ import annotations

from collections.abc import Container, Iterator

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, refusals
from acc.pack.pipeline import data_parallel
from acc.pack.plan import check_epochs
from acc.recipe import Recipe
from acc.recipe.policy import check_evaluation, check_policies, check_trackers


def check(context: Context) -> list[Finding]:
    """All that needs nothing but the recipe and the environment's variables."""
    recipe, environment = context.recipe, context.machine.environment
    found = [*_policies(context), *_keys(recipe, environment)]
    if context.trains:
        found += [*_sizes(recipe), *_steps(recipe), *refusals(check_epochs, recipe, where="train.epochs"), *_attention(recipe)]
    return found


def _policies(context: Context) -> list[Finding]:
    """All that is sent where a source's policy does not let it."""
    environment, found = context.machine.environment, []
    for source in context.recipe.sources:  # each refusal is of the first source that it meets
        alone = context.recipe.model_copy(update={"sources": [source]})
        found += refusals(check_policies, alone, environment)
        found += refusals(check_evaluation, alone) + refusals(check_trackers, alone, environment)
    return list(dict.fromkeys(found))


def _keys(recipe: Recipe, variables: Container[str]) -> Iterator[Finding]:
    """Keys of servers that are named and not set here."""
    named = [
        ("rationale.teacher.api_key_env", recipe.rationale.teacher),
        ("evaluate.server.api_key_env", recipe.evaluate.server),
    ]
    for where, server in named:
        name = server.api_key_env if server is not None else ""
        if name and name not in variables:
            yield Finding("warning", f"the variable {name} is not set here", where, f"export {name}=… where the stage runs")


def _sizes(recipe: Recipe) -> Iterator[Finding]:
    """Processes, data ranks and the samples of a step."""
    launch, sequence = recipe.launch, recipe.parallel.sequence
    world = launch.nodes * launch.processes
    if world % sequence:
        yield Finding(
            "error",
            f"launch has {launch.nodes} × {launch.processes} processes, which can't be cut into groups of {sequence}",
            "launch.processes",
            f"Let launch.nodes × launch.processes be a multiple of {sequence}: pack plans a step for so many",
        )
        return
    data, batch = data_parallel(recipe), recipe.train.global_batch
    if recipe.pack.scope == "global" and batch % data:
        yield Finding(
            "error",
            f"a step has {batch} sequences, which {data} data-parallel ranks ({world} processes / parallel.sequence "
            f"{sequence}) can't share evenly",
            "train.global_batch",
            f"Take a multiple of {data}",
        )
    if recipe.pack.scope == "step" and batch < data:
        yield Finding(
            "warning",
            f"a step has {batch} samples for {data} data-parallel ranks: {data - batch} or more of them work on nothing",
            "train.global_batch",
            "Raise it, take fewer processes, or raise parallel.sequence",
        )


def _steps(recipe: Recipe) -> Iterator[Finding]:
    """Warm-up and checkpoints against the steps, where the recipe says how many there are."""
    train = recipe.train
    if train.max_steps is None:
        return
    if train.warmup_steps >= train.max_steps:
        yield Finding(
            "warning",
            f"the warm-up takes {train.warmup_steps} steps and training {train.max_steps}: its peak is never reached",
            "train.warmup_steps",
            f"Take fewer, such as {max(1, train.max_steps // 20)}",
        )
    if train.schedule == "constant" and train.warmup_steps:
        yield Finding(
            "warning",
            "the schedule constant has no warm-up, so train.warmup_steps does nothing",
            "train.schedule",
            "Take constant_with_warmup",
        )
    if train.save_every_steps and train.save_every_steps > train.max_steps:
        what = f"there is a checkpoint after the last of {train.max_steps} steps only"
        yield Finding("note", what, "train.save_every_steps")


def _attention(recipe: Recipe) -> Iterator[Finding]:
    """Kernels that have no float32."""
    if recipe.model.dtype == "float32" and recipe.model.attention in ("flash_attention_2", "flash_attention_3", "torch_varlen"):
        yield Finding(
            "error",
            f"{recipe.model.attention} computes in bfloat16, and model.dtype is float32",
            "model.attention",
            "Set model.dtype: bfloat16, or model.attention: auto",
        )
