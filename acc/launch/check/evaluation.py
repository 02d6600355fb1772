"""The section evaluate: where, by whom, on rows that fit, and whether the score that chooses the best checkpoint will exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib.util import find_spec

from acc.errors import UserError
from acc.evaluate.benchmarks import BENCHMARKS
from acc.evaluate.configuration import window_of
from acc.evaluate.scoring import COSTS
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, refusals
from acc.recipe import Recipe
from acc.recipe.evaluation import Benchmark
from acc.recipe.where import check_inline, check_watch
from acc.train.rope import apply_rope


def check(context: Context) -> list[Finding]:
    """What is measured, against what there is to measure with."""
    recipe, evaluate = context.recipe, context.recipe.evaluate
    if not evaluate.measures_something:
        return [Finding("note", "nothing is measured at the checkpoints", "evaluate", "Add evaluate.held_out or benchmarks")]
    found = []
    if context.trains:
        found += refusals(check_inline, recipe)
        found += refusals(check_watch, recipe) if evaluate.where != "inline" else []
    return [*found, *_best(recipe), *_lengths(context), *_programs(context)]


def _best(recipe: Recipe) -> Iterator[Finding]:
    """Whether an evaluation will give the score that `train.best` names, or the score that it is a slice of."""
    best = recipe.train.best
    if best is None:
        return
    name = best.score.removeprefix("screen_") if recipe.evaluate.screen else best.score
    known = set(score_names(recipe))
    if name in known or "/".join(name.split("/")[:2]) in known or name.split("/")[0] in _free(recipe):
        return
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    mend = f"The nearest is {near[0]}" if near else "Take the name of a score as in log.jsonl"
    yield Finding("error", f"no evaluation of this recipe gives the score {best.score!r}", "train.best.score", mend)


def score_names(recipe: Recipe) -> Iterator[str]:
    """The names, as in log.jsonl, of the scores over all rows that the recipe's benchmarks and held-out questions give.

    Slices (`mrcr/official/2needle`) are not among them, nor are general tasks and the user's own programs.
    """
    evaluate = recipe.evaluate
    for entry in evaluate.benchmarks:
        benchmark = BENCHMARKS[entry.name]
        name = f"synthetic_{entry.name}" if entry.synthetic else entry.name
        yield from (f"{name}/{metric}" for metric in (*benchmark.quoted, *benchmark.others, *COSTS))
        yield from (f"{name}/{metric}_minus_base" for metric in benchmark.quoted if evaluate.base)
    if (asked := evaluate.held_out) is not None:
        for metric in asked.measures:
            for condition in asked.conditions:
                place = "" if condition == "full" else f"/{condition}"
                yield f"held_out/{metric}{place}"
                if evaluate.base:
                    yield f"held_out/{metric}_minus_base{place}"
                if condition != "full" and "full" in asked.conditions:
                    yield f"held_out/{metric}_minus_{condition}"


def _free(recipe: Recipe) -> set[str]:
    """Benchmarks whose metrics only they know: general tasks and the user's own programs."""
    tasks = recipe.evaluate.general.tasks if recipe.evaluate.general else []
    return {f"general_{task.task}" for task in tasks} | {f"command_{command.name}" for command in recipe.evaluate.commands}


def _lengths(context: Context) -> Iterator[Finding]:
    """Prompts and answers against the student's window, RoPE scaling included."""
    recipe, student = context.recipe, context.student
    if student is None:
        return
    config = student.configuration()
    try:
        apply_rope(recipe, config)
    except UserError:
        return  # the student's own family says so
    window = window_of(vars(config))
    if window is None:
        return
    for number, entry in enumerate(recipe.evaluate.benchmarks):
        where = f"evaluate.benchmarks.{number}"
        room = window - entry.max_new_tokens
        asked = entry.synthetic.tokens if entry.synthetic else 0
        if room <= asked:
            prompt = f"and a prompt about {asked:,} tokens" if asked else "before any prompt"
            yield Finding(
                "error",
                f"answers may have {entry.max_new_tokens:,} tokens {prompt}, and the student's window is {window:,}: "
                "every row would be skipped",
                f"{where}.max_new_tokens",
                "Lower it, or set model.rope",
            )
        elif (most := longest_prompt(entry)) is not None and most > room:
            what = f"rows of up to {most:,} tokens are asked for, and those over {room:,} are skipped: the window is {window:,}"
            yield Finding("warning", what, where, "Set model.rope, lower max_new_tokens, or ask for shorter rows")
    held_out = recipe.evaluate.held_out
    if held_out is not None and context.longest + held_out.max_new_tokens > window:
        what = f"questions over {window - held_out.max_new_tokens:,} tokens are skipped and counted: the window is {window:,}"
        yield Finding("note", what, "evaluate.held_out")


def longest_prompt(entry: Benchmark) -> int | None:
    """The longest prompt that a benchmark's entry asks for, tokens; None where it sets no limit."""
    if entry.synthetic is not None:
        return entry.synthetic.tokens
    limits = [limit for limit in (entry.max_prompt_tokens, entry.max_bin_tokens) if limit is not None]
    return min(limits) if limits else None


def _programs(context: Context) -> Iterator[Finding]:
    """Programs that answer or measure, where they run: this machine need not have them."""
    evaluate, machine = context.recipe.evaluate, context.machine
    elsewhere = "install it on the machine that evaluates"
    if evaluate.server is not None and evaluate.server.start and machine.program(evaluate.server.start) is None:
        what = f"there is no program {evaluate.server.start} on this machine"
        yield Finding("note", what, "evaluate.server.start", elsewhere.capitalize())
    if evaluate.general is not None and find_spec("lm_eval") is None:
        yield Finding("note", "lm-eval is not on this machine", "evaluate.general", f"pip install 'acc[eval]': {elsewhere}")
    if evaluate.general is not None and evaluate.general.include is not None:
        folder = context.recipe.resolve(evaluate.general.include)
        if not folder.is_dir():
            yield Finding("error", f"there is no folder {folder}", "evaluate.general.include", "Correct the path")
    for number, command in enumerate(evaluate.commands):
        if machine.program(command.run[0]) is None:
            what = f"there is no program {command.run[0]} on this machine"
            yield Finding(
                "warning", what, f"evaluate.commands.{number}.run", "Correct its path; it starts in the folder of acc eval"
            )
