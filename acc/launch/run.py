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
from contextlib import contextmanager
from pathlib import Path

from acc.errors import ExitCode, UserError
from acc.launch.processes import global_rank, is_launched, launch_id, leave, start
from acc.recipe import Recipe
from acc.recipe.sources import Source
from acc.records.scores import SCORES
from acc.stage.files import write_json, write_text
from acc.stage.manifest import MANIFEST, Manifest, is_done, read_manifest, stage_key

READY = "ready.json"


def run(recipe: Recipe, args: argparse.Namespace) -> ExitCode:
    """Run a recipe from where it stands; see `acc run --help`."""
    folder = Path(args.runs) / recipe.name
    if global_rank() == 0:
        _prepare(recipe, folder, args.until)
    else:
        _wait(folder)
    if args.until:
        return ExitCode.OK
    if not is_launched() and recipe.launch.processes > 1 and not _trained(recipe, folder):
        sets = [part for text in args.overrides for part in ("--set", text)]
        code = start(recipe.launch.processes, recipe.launch.threads, ["run", args.recipe, "--runs", str(args.runs), *sets])
        return ExitCode(code) if code in set(ExitCode) else ExitCode.INTERNAL
    if (ended := _train(recipe, folder)) != ExitCode.OK:
        return ended
    _evaluate(recipe, folder)
    leave()
    if global_rank() == 0:
        _keep(recipe, folder)
        _say(f"report: {_report(folder)}")
    return ExitCode.OK


def _prepare(recipe: Recipe, folder: Path, until: str | None) -> None:
    """The CPU stages, on global rank 0; whatever happens, the ranks that wait are told."""
    from acc import compile as compile_room
    from acc import pack as pack_room

    try:
        write_text(folder / "recipe.json", recipe.model_dump_json(indent=1) + "\n")
        inputs = {s.name: _inputs(recipe, s, folder) for s in recipe.sources}
        with _said(folder / "compile", lambda m: f"{m.written} samples of {m.records} records"):
            compile_room.run(recipe, inputs, folder / "compile")
        if until != "compile":
            with _said(folder / "pack", lambda m: f"{m.counts['sequences']} sequences of {m.written} samples"):
                pack_room.run(recipe, folder / "compile", folder / "pack")
        if until is None:
            _set_aside(recipe, folder)
    except BaseException as e:
        write_json(folder / READY, {"launch": launch_id(), "error": str(e) or type(e).__name__})
        raise
    write_json(folder / READY, {"launch": launch_id(), "error": ""})


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
    while True:
        try:
            ready = json.loads((folder / READY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            ready = {}
        if ready.get("launch") == launch_id():
            if ready["error"]:
                raise UserError("global rank 0 could not prepare the data; its own message says why", where=str(folder))
            return
        time.sleep(0.5)


def _set_aside(recipe: Recipe, folder: Path) -> None:
    """Rename the training and evaluation of another recipe or other data: starting anew must not delete checkpoints."""
    from acc.train import train_key

    train = folder / "train"
    if not train.is_dir():
        return
    key = train_key(recipe, folder / "pack")
    markers = [train / MANIFEST, *train.glob("checkpoint-*/acc_checkpoint.json")]
    found = {json.loads(m.read_text(encoding="utf-8"))["key"] for m in markers if m.is_file()}
    for old in sorted(found - {key})[:1]:
        for name in ("train", "evaluate"):
            if (folder / name).is_dir():
                (folder / name).rename(folder / f"{name}-{old[:8]}")
        _say(f"recipe or data changed: the earlier training is kept in {folder}/train-{old[:8]}")


def _train(recipe: Recipe, folder: Path) -> ExitCode:
    from acc.evaluate import CheckpointEvaluation
    from acc.train import run as train

    evaluation = CheckpointEvaluation(recipe, folder / "compile", folder / "evaluate", folder / "train")
    return train(recipe, folder / "pack", folder / "train", [evaluation], scores=folder / "evaluate" / SCORES)


def _evaluate(recipe: Recipe, folder: Path) -> None:
    """Score what training did not: after a change of the evaluation, or a kill between a checkpoint and its scores.

    Every process of a launch calls this. Answers on disk are not asked again.
    """
    from acc.evaluate import run as evaluate
    from acc.train import train_key

    section = recipe.evaluate.model_dump(mode="json")
    if not recipe.evaluate.measures_something:
        return
    out, inputs = folder / "evaluate", {"train": train_key(recipe, folder / "pack")}
    key = stage_key("evaluate", recipe.seed, section, inputs)
    if is_done(out, key):
        return
    checkpoints = {
        int(p.parent.name.rpartition("-")[2]): p.parent for p in folder.glob("train/checkpoint-*/acc_checkpoint.json")
    }
    named = {0: recipe.student} if recipe.evaluate.base else {}
    named.update((step, str(path)) for step, path in sorted(checkpoints.items()))
    scores = [score for step, path in named.items() for score in evaluate(recipe, folder / "compile", out, path, step)]
    if global_rank() == 0:
        Manifest("evaluate", key, recipe.seed, section, inputs, records=len(scores), written=len(scores)).write(out)


def _keep(recipe: Recipe, folder: Path) -> None:
    """Choose the best checkpoint, and drop what need not stay, by scores that training did not have."""
    from acc.train import keep

    keep(recipe, folder / "train", folder / "evaluate" / SCORES)


def _report(folder: Path) -> Path:
    from acc.report import run as report

    return report(folder)


def _trained(recipe: Recipe, folder: Path) -> bool:
    from acc.train import train_key

    return is_done(folder / "train", train_key(recipe, folder / "pack"))


def _say(line: str) -> None:
    print(f"acc run: {line}", file=sys.stderr, flush=True)
