"""What an evaluation would ask, without asking it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from acc.chat import load_chat
from acc.evaluate.suites import Suite, prepare_rows, suites_of
from acc.recipe.preset import choice_lines
from acc.recipe.schema import Recipe


def dry_run(recipe: Recipe, compiled: Path, checkpoints: list[str], *, screen: bool) -> Iterator[str]:
    """Lines that say what would be asked of each checkpoint: who answers, how answers are drawn, the preset's choices, the
    commands of general tasks, and the rows and tokens of every suite.

    Nothing is written. Rows from the hub are fetched, because they are counted.

    Args:
        compiled: the folder of `acc compile`, for held-out questions.
        checkpoints: folders or hub ids.
        screen: whether only the screen is asked.

    Raises:
        UserError: the rows, the samples or the student's tokenizer can't be had.
    """
    evaluate, sampling = recipe.evaluate, recipe.evaluate.sampling
    yield from choice_lines(evaluate)
    server = evaluate.server
    who = "transformers in process"
    if server is not None:
        who = f"the server {server.base_url}" if server.base_url else f"{server.start} serve, started on the checkpoint"
    yield f"checkpoints: {', '.join(checkpoints)}"
    yield f"answered by: {who}"
    drawn = f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, top_k {sampling.top_k}"
    yield f"sampling: {drawn if sampling.temperature else 'greedy'}; answers to a question: {sampling.samples}"
    if not screen and (evaluate.general or evaluate.commands):
        from acc.evaluate.general import dry_run_lines

        for checkpoint in checkpoints:
            yield from dry_run_lines(recipe, checkpoint)
    with TemporaryDirectory() as folder:
        chat = load_chat(recipe.student, revision=recipe.model.revision)
        prepare_rows(recipe, Path(folder), chat)
        for suite in suites_of(recipe, compiled, Path(folder), chat):
            yield _suite(suite, screen=screen)


def _suite(suite: Suite, *, screen: bool) -> str:
    asked = [q for q in suite.questions if not screen or suite.is_screened(q)]
    prompts = {(q.row, q.condition): len(q.prompt) for q in asked}
    longest = max((q.max_new_tokens for q in asked), default=0)
    parts = [
        f"{len({q.row for q in asked})} rows",
        f"{len(prompts)} prompts of {sum(prompts.values()):,} tokens together, {max(prompts.values(), default=0):,} at most",
        f"{sum(q.max_new_tokens > 0 for q in asked)} answers of {longest:,} tokens at most",
    ]
    if suite.over_long:
        parts.append(f"{len({q.row for q in suite.over_long})} rows skipped as too long")
    if suite.screen is not None and not screen:
        parts.append(f"{len(suite.screen)} of them are the screen")
    return f"{suite.name}: {'; '.join(parts)}"
