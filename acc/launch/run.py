"""`acc run`: run the stages that are missing or whose inputs changed.

Under a launcher the CPU stages run once, on global rank 0 and before any process group exists, while the other ranks wait for a
file; so no collective can time out over a long compile. Then every rank trains, and rank 0 writes the report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from acc.errors import ExitCode, UserError
from acc.launch.hold import Hold
from acc.launch.launcher import check_alone, check_launcher, drop_agreed
from acc.launch.processes import agreed, global_rank, is_launched, launch_id, leave, start
from acc.recipe import Recipe
from acc.recipe.sources import Source
from acc.recipe.where import check_inline
from acc.records.scores import SCORES
from acc.stage.files import write_json, write_text
from acc.stage.manifest import MANIFEST, Manifest, is_done, read_manifest

READY, LAUNCHES = "ready.json", "launches"
"""Where the recipe's relative paths begin, for readers of recipe.json; and a file a launch, by which its ranks are told."""


def run(recipe: Recipe, args: argparse.Namespace) -> ExitCode:
    """Run a recipe from where it stands; see `acc run --help`."""
    folder = Path(args.runs) / recipe.name
    check_launcher(recipe)
    drop_agreed()
    hold = None
    if global_rank() == 0:
        hold = _prepare(recipe, folder, args.until, packed=args.since == "train")
    else:
        _wait(folder)
    if args.until:
        return ExitCode.OK
    if not is_launched() and recipe.launch.nodes * recipe.launch.processes > 1 and not _trained(recipe, folder):
        check_alone(recipe)
        sets = [part for text in args.overrides for part in ("--set", text)]
        sets += ["--from", args.since] if args.since else []
        if hold:
            hold.release()
        code = start(recipe.launch.processes, recipe.launch.threads, ["run", args.recipe, "--runs", str(args.runs), *sets])
        return ExitCode(code) if code in set(ExitCode) else ExitCode.INTERNAL
    if (ended := _train(recipe, folder)) != ExitCode.OK:
        return ended
    _evaluate(recipe, folder)
    leave()
    if global_rank() == 0:
        _say(f"report: {_report(folder)}")
    return ExitCode.OK


def _prepare(recipe: Recipe, folder: Path, until: str | None, *, packed: bool) -> Hold:
    """The CPU stages, on global rank 0, which from now on holds the folder; whatever happens, the ranks that wait are told.

    Args:
        packed: they were done before, and no GPU shall wait while their inputs are looked at again.
    """
    from acc import compile as compile_room
    from acc import pack as pack_room

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f"the run's folder cannot be made ({e.strerror})", where=str(folder), mend="Give --runs DIR") from e
    word = folder / LAUNCHES / f"{launch_id()}.json"
    try:
        hold = Hold(folder)
        for old in (folder / LAUNCHES).glob("*.json"):
            old.unlink(missing_ok=True)
        check_inline(recipe)
        write_json(folder / READY, {"recipe_folder": os.path.relpath(recipe.resolve("").resolve(), folder.resolve())})
        write_text(folder / "recipe.json", recipe.model_dump_json(indent=1) + "\n")
        if not packed:
            inputs = {s.name: _inputs(recipe, s, folder) for s in recipe.sources}
            with _said(folder / "compile", lambda m: f"{m.written} samples of {m.records} records"):
                compile_room.run(recipe, inputs, folder / "compile")
        if until != "compile" and not packed:
            with _said(folder / "pack", lambda m: f"{m.counts['sequences']} sequences of {m.written} samples"):
                pack_room.run(recipe, folder / "compile", folder / "pack")
        if until != "compile":
            _set_aside(recipe, folder)
        if until is None:
            _check_inline(recipe, folder)
    except BaseException as e:
        with suppress(OSError):
            write_json(word, {"error": str(e) or type(e).__name__})
        raise
    write_json(word, {"error": ""})
    return hold


def _inputs(recipe: Recipe, source: Source, folder: Path) -> list[Path]:
    """The files and folders of a source; a simulated one is simulated first."""
    if source.synth is None:
        paths = [recipe.resolve(p) for p in source.paths]
        for path in paths:
            if not path.exists():
                raise UserError(f"source {source.name!r} names {path}, which is not there", mend="Check the path in the recipe")
        return paths
    from acc.synth import synthesize

    out = folder / "synth" / source.name
    with _said(out, lambda m: f"{m.written} trajectories for {source.name}"):
        synthesize(out, **source.synth.model_dump(), workers=len(os.sched_getaffinity(0)))
    return [out]


@contextmanager
def _said(out: Path, sentence: Callable[[Manifest], str]) -> Iterator[None]:
    """After the block, say what the stage in `out` wrote, if it wrote anything."""

    def written() -> int:
        return (out / MANIFEST).stat().st_mtime_ns if (out / MANIFEST).is_file() else 0

    before = written()
    yield
    manifest = read_manifest(out)
    if manifest is not None and written() != before:
        _say(f"{manifest.stage}: {sentence(manifest)}")


def _wait(folder: Path) -> None:
    """Wait until global rank 0 of this launch says that the CPU stages are done."""
    word = folder / LAUNCHES / f"{launch_id()}.json"
    while not word.is_file():
        time.sleep(0.5)
    if json.loads(word.read_text(encoding="utf-8"))["error"]:
        raise UserError("global rank 0 could not prepare the data; its own message says why", where=str(folder))


def _set_aside(recipe: Recipe, folder: Path) -> None:
    """Rename the training and evaluation of another recipe or other data: starting anew must not delete checkpoints. What was
    set aside of this recipe and data is taken up again.
    """
    from acc.train import train_key

    train, key = folder / "train", train_key(recipe, folder / "pack")
    markers = [train / MANIFEST, *train.glob("checkpoint-*/acc_checkpoint.json")]
    found = {json.loads(m.read_text(encoding="utf-8"))["key"] for m in markers if m.is_file()}
    for old in sorted(found - {key})[:1]:
        names = chain([old[:8]], (f"{old[:8]}-{n}" for n in count(2)))
        aside = next(name for name in names if not (folder / f"train-{name}").exists())
        _rename(folder, "", f"-{aside}")
        _say(f"recipe or data changed: the earlier training is kept in {folder}/train-{aside}")
    if (folder / f"train-{key[:8]}").is_dir() and not train.exists():
        _rename(folder, f"-{key[:8]}", "")
        _say(f"the training of this recipe and data, kept in {folder}/train-{key[:8]}, is taken up again")


def _rename(folder: Path, ending: str, other: str) -> None:
    for name in ("train", "evaluate"):
        if (folder / f"{name}{ending}").is_dir() and not (folder / f"{name}{other}").exists():
            (folder / f"{name}{ending}").rename(folder / f"{name}{other}")


def _check_inline(recipe: Recipe, folder: Path) -> None:
    """Refuse evaluation in the training processes that would take too much of the training's time."""
    if recipe.evaluate.where != "inline" or not recipe.evaluate.measures_something or _trained(recipe, folder):
        return
    from acc.evaluate.share import check_share
    from acc.train.extent import extent_of

    extent = extent_of(recipe, folder / "pack")
    share = check_share(
        recipe, folder / "compile", folder / "evaluate", trained_tokens=extent.tokens, checkpoints=extent.checkpoints
    )
    _say(f"evaluation will take about {share:.0%} of the training's time")


def _train(recipe: Recipe, folder: Path) -> ExitCode:
    from acc.evaluate import CheckpointEvaluation
    from acc.train import run as train

    evaluation = CheckpointEvaluation(recipe, folder / "compile", folder / "evaluate", folder / "train")
    return train(recipe, folder / "pack", folder / "train", [evaluation], scores=folder / "evaluate" / SCORES)


def _evaluate(recipe: Recipe, folder: Path) -> None:
    """Inline, ask what training did not: all rows of the best and the last checkpoint where there is a screen, and what a
    change of the recipe or a kill left out. Else say who does it. Every process of a launch calls this.
    """
    from acc.launch.evaluating import Evaluated

    done = Evaluated(recipe, folder)
    if recipe.evaluate.where == "inline" and recipe.evaluate.measures_something and not done.is_finished():
        from acc.evaluate.runner import Evaluation

        evaluation = Evaluation(recipe, folder / "compile", done.out)
        while global_rank() < evaluation.world and (jobs := agreed(done.open_jobs)):
            evaluation.run(jobs[0].checkpoint, jobs[0].step, rows=jobs[0].rows)
            if global_rank() == 0:
                done.done(jobs[0])
        if global_rank() == 0:
            done.finish()
    elif global_rank() == 0:
        done.settle()
        if recipe.evaluate.measures_something and not done.is_finished():
            _say(f"what is not evaluated yet: acc eval --watch {folder}, on a machine with this folder")


def _report(folder: Path) -> Path:
    from acc.report import run as report

    return report(folder)


def _trained(recipe: Recipe, folder: Path) -> bool:
    from acc.train import train_key

    return is_done(folder / "train", train_key(recipe, folder / "pack"))


def _say(line: str) -> None:
    print(f"acc run: {line}", file=sys.stderr, flush=True)
