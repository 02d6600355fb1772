"""The section evaluate: where, by whom, on rows that fit, and whether the score that chooses the best checkpoint will exist."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from acc.errors import UserError
from acc.evaluate.benchmarks import BENCHMARKS
from acc.evaluate.configuration import window_of
from acc.evaluate.general import KNOWN
from acc.evaluate.scoring import COSTS
from acc.evaluate.share import check_share
from acc.launch.check.config import is_path
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, findings_of, refusals
from acc.launch.stale import changed_since_compiled, changed_since_packed
from acc.recipe import Recipe
from acc.recipe.evaluation import Benchmark, Evaluate, General
from acc.recipe.where import check_inline, check_watch
from acc.stage.manifest import is_done
from acc.train import train_key
from acc.train.extent import extent_of
from acc.train.rope import apply_rope

AT_ONCE = 8_000_000
"""Questions that a check encodes to estimate evaluation inline, tokens at most of each kind: a few seconds' work."""


def check(context: Context) -> list[Finding]:
    """What is measured, against what there is to measure with."""
    recipe, evaluate = context.recipe, context.recipe.evaluate
    if not evaluate.measures_something:
        return [Finding("note", "nothing is measured at the checkpoints", "evaluate", "Add evaluate.held_out or benchmarks")]
    found: list[Finding] = []
    if context.trains:
        found += refusals(check_inline, recipe)
        found += refusals(check_watch, recipe) if evaluate.where != "inline" else []
        found += _share(context) if evaluate.where == "inline" and not found else ()
    return [*found, *_best(recipe), *_lengths(context), *_programs(context)]


def _share(context: Context) -> Iterator[Finding]:
    """Whether evaluation inline would take more of the training's time than it may, once the run's sequences are packed.

    Estimated as `acc run` does, on as many of the questions as can be read at once: more than these take no less.
    """
    recipe, folder, compiled, packed = context.recipe, context.folder, context.compiled, context.packed
    chat = _tokenizer(context)
    if compiled is None or packed is None or chat is None or is_done(folder / "train", train_key(recipe, folder / "pack")):
        return
    asked, left_out = _at_once(recipe.evaluate, context.longest)
    part = recipe.model_copy(
        update={"evaluate": asked, "model": recipe.model.model_copy(update={"path": str(chat.absolute()), "revision": None})}
    )
    extent = extent_of(recipe, folder / "pack")
    with tempfile.TemporaryDirectory() as out:
        try:
            check_share(part, folder / "compile", Path(out), trained_tokens=extent.tokens, checkpoints=extent.checkpoints)
        except UserError as e:
            old = changed_since_compiled(recipe, compiled) or changed_since_packed(recipe, packed)
            yield from findings_of(e, level="warning" if old else "error")
            return
    if left_out:
        what = (
            f"whether evaluation takes more than inline_share was not estimated with {left_out}: `acc run` does before training"
        )
        yield Finding("note", what, "evaluate.inline_share")


def _tokenizer(context: Context) -> Path | None:
    """The folder with the student's tokenizer; None where that is not on this machine."""
    name, revision = context.recipe.student, context.recipe.model.revision
    folder = Path(name) if is_path(name) or Path(name).is_dir() else context.hub.cached("model", name, revision)
    return folder if folder is not None and (folder / "tokenizer.json").is_file() else None


def _at_once(evaluate: Evaluate, longest: int) -> tuple[Evaluate, str]:
    """The evaluation with those of its questions that are generated or compiled and have about `AT_ONCE` tokens, and in words
    what is left out. Official rows reach gigabytes, or are on the hub."""
    rows = [b for b in evaluate.benchmarks if b.synthetic and b.synthetic.rows * b.synthetic.tokens <= AT_ONCE]
    left_out = ["all rows of the benchmarks"] if len(rows) < len(evaluate.benchmarks) else []
    held_out = evaluate.held_out
    if held_out is not None:
        most = max(1, AT_ONCE // (max(1, longest) * len(held_out.conditions)))
        if held_out.limit is None or held_out.limit > most:
            held_out = held_out.model_copy(update={"limit": most})
            left_out.append(f"more than {most:,} held-out questions")
    return evaluate.model_copy(update={"benchmarks": rows, "held_out": held_out}), " and ".join(left_out)


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
    if evaluate.general is not None:
        yield from _general(context, evaluate.general)
    for number, command in enumerate(evaluate.commands):
        if machine.program(command.run[0]) is None:
            what = f"there is no program {command.run[0]} on this machine"
            yield Finding(
                "warning", what, f"evaluate.commands.{number}.run", "Correct its path; it starts in the folder of acc eval"
            )


def _general(context: Context, general: General) -> Iterator[Finding]:
    """lm-eval, and the names of its tasks."""
    folders = []
    if general.include is not None:
        folders.append(context.recipe.resolve(general.include))
        if not folders[0].is_dir():
            yield Finding("error", f"there is no folder {folders[0]}", "evaluate.general.include", "Correct the path")
    installed = find_spec("lm_eval")
    if installed is None:
        mend = "pip install 'acc[eval]': install it on the machine that evaluates"
        yield Finding("note", "lm-eval is not on this machine: its tasks were not looked up", "evaluate.general", mend)
        return
    folders += [Path(place) / "tasks" for place in installed.submodule_search_locations or ()]
    asked = [task.task for task in general.tasks]
    for name in sorted(_unknown([name for name in asked if name not in KNOWN], folders), key=asked.index):
        mend = "`lm_eval ls tasks` lists what it has; the folder of your own is evaluate.general.include"
        yield Finding("error", f"lm-eval has no task {name!r}", f"evaluate.general.tasks.{asked.index(name)}.task", mend)


def _unknown(names: list[str], folders: list[Path]) -> set[str]:
    """Those of the names that stand in no task's file. lm-eval itself takes ten seconds and more to read its 14,000.

    What is no plain name (a file, a pattern, several with commas) is left to lm-eval.
    """
    unknown = {name for name in names if re.fullmatch(r"[\w-]+", name)}
    for path in (path for folder in folders for path in folder.rglob("*")):
        if not unknown:
            break
        if path.suffix in ("", ".yaml", ".yml") and path.is_file():  # those without ending are included by others
            text = path.read_text(encoding="utf-8", errors="replace")
            unknown = {name for name in unknown if name not in text}
    return unknown
