"""Where each stage of a run stands, by the files that it wrote. Reads only; needs neither torch nor a cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from acc.errors import UserError
from acc.evaluate.claims import STALE_S
from acc.evaluate.plan import has_screen
from acc.launch.evaluating import Evaluated
from acc.recipe import Recipe
from acc.records.evaluated import evaluation_key, is_evaluated
from acc.records.sequences import SequenceStore
from acc.stage.manifest import read_manifest
from acc.train.sampler import make_sampler

State = Literal["done", "begun", "not begun", "not asked"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One stage: its state, and a few words with numbers."""

    stage: str
    state: State
    said: str = ""


def standings(recipe: Recipe, folder: Path) -> list[Standing]:
    """The stages of a run, in order.

    Args:
        folder: runs/<name>.
    """
    return [
        _compile(folder / "compile"),
        _pack(folder / "pack"),
        _train(recipe, folder),
        _evaluate(recipe, folder),
        Standing("report", "done" if (folder / "report.html").is_file() else "not begun"),
    ]


def _compile(out: Path) -> Standing:
    if (manifest := read_manifest(out)) is not None:
        rejected = sum(manifest.rejected.values())
        return Standing(
            "compile", "done", f"{manifest.written:,} samples of {manifest.records:,} records, {rejected:,} rejected"
        )
    done = len(list((out / "logs" / "completions").glob("*")))
    return Standing("compile", "begun", f"{done:,} tasks done") if out.is_dir() else Standing("compile", "not begun")


def _pack(out: Path) -> Standing:
    if (manifest := read_manifest(out)) is not None:
        return Standing("pack", "done", f"{manifest.counts['sequences']:,} sequences of {manifest.written:,} samples")
    return Standing("pack", "begun" if out.is_dir() else "not begun")


def _train(recipe: Recipe, folder: Path) -> Standing:
    out, steps = folder / "train", _steps(recipe, folder / "pack")
    saved = checkpoints(out)
    last = f"checkpoint-{saved[-1]} the last whole one" if saved else "no checkpoint yet"
    logged = list(lines(out / "log.jsonl"))
    if not logged:
        return Standing("train", "begun" if out.is_dir() else "not begun", last if out.is_dir() else "")
    line = logged[-1]
    loss = f"{line['loss']:.4f}" if line["loss"] is not None else "not a number"
    shown = f"step {line['step']} of {steps or '?'}, loss {loss}, {line['tokens_per_second']:,.0f} tokens/s, {last}"
    return Standing("train", "done" if Evaluated(recipe, folder).is_over() else "begun", shown)


def _evaluate(recipe: Recipe, folder: Path) -> Standing:
    evaluate, out = recipe.evaluate, folder / "evaluate"
    if not evaluate.measures_something:
        return Standing("evaluate", "not asked")
    first: Literal["screen", "full"] = "screen" if has_screen(evaluate) else "full"
    run = Evaluated(recipe, folder)
    key, steps = evaluation_key(recipe), [*([0] if evaluate.base else []), *sorted(run.checkpoints())]
    done = [step for step in steps if is_evaluated(out, step, first, key)]
    words = [f"{len(done)} of {len(steps)} that are there"]
    if missing := [str(step) for step in steps if step not in done]:
        words.append(f"not yet: step {', '.join(missing)}")
    if claimed := [f"{step} by {host}" for step, host in _claims(out / "claims")]:
        words.append(f"being evaluated: step {', '.join(claimed)}")
    state: State = "done" if run.is_finished() else "begun" if done or claimed else "not begun"
    return Standing("evaluate", state, "; ".join(words))


def checkpoints(out: Path) -> list[int]:
    """The steps of the checkpoints that are marked as whole, ascending."""
    found = (path.parent.name.rpartition("-")[2] for path in out.glob("checkpoint-*/acc_checkpoint.json"))
    return sorted(int(step) for step in found if step.isdigit())


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The steps of log.jsonl; scores and a line cut short by a kill are left out."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "loss" in line:
            yield line


def _claims(folder: Path) -> list[tuple[int, str]]:
    """Step and host of what is being evaluated: the newest claim of a step that is held and was touched of late."""
    newest: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.name.split(".")[1])):
        newest[int(path.name.split(".")[0])] = path
    held = []
    for step, path in sorted(newest.items()):
        claim = json.loads(path.read_text(encoding="utf-8") or "{}")
        if not claim.get("released") and time.time() - path.stat().st_mtime < STALE_S:
            held.append((step, str(claim.get("host", "?"))))
    return held


def _steps(recipe: Recipe, packed: Path) -> int | None:
    """Steps of the whole training; None where nothing is packed."""
    train = recipe.train
    try:
        steps = SequenceStore(packed).steps
        sampler = make_sampler(
            recipe.seed, steps, global_batch=train.global_batch, epochs=train.epochs, max_steps=train.max_steps
        )
    except UserError:
        return None
    return sampler.steps
