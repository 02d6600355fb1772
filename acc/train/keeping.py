"""Which checkpoints stay: the best by a score, the newest, and what nobody has evaluated yet."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from acc.errors import UserError
from acc.recipe import Recipe
from acc.recipe.training import Best
from acc.records.evaluated import is_evaluated
from acc.records.markers import MARKER, Marker, checkpoint_folders, read_marker
from acc.records.scores import read_scores
from acc.stage.files import write_json
from acc.train.callbacks import LOG
from acc.train.engine import reduce_sum

BEST = "best.json"
"""The best checkpoint: `step`, `score` (its name) and `value`."""

Known = dict[int, dict[str, float]]
"""Step → name of a score → its value; step 0 is the base."""


class Keeping(TrainerCallback):
    """Names the best checkpoint and drops old ones, once a checkpoint has been evaluated. It must be the last callback.

    Args:
        out: the folder of the checkpoints.
        scores: scores.jsonl of the evaluation, which others may write too; None where there is none.
        writes: whether this process does it; the others wait for it.
    """

    def __init__(self, recipe: Recipe, out: Path, scores: Path | None, *, writes: bool) -> None:
        self.recipe, self.out, self.scores, self.writes = recipe, out, scores, writes

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Refuse an unknown score as soon as the base's scores are there."""
        self._together(args.device)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """The checkpoint is whole, and evaluated if training evaluates."""
        self._together(args.device)

    def _together(self, device: torch.device) -> None:
        refused: UserError | None = None
        if self.writes:
            try:
                keep(self.recipe, self.out, self.scores)
            except UserError as e:
                refused = e
        if reduce_sum(torch.tensor(float(refused is not None), device=device)).item():
            raise refused or UserError("global rank 0 stopped; its own message says why", where="train.best")


def keep(recipe: Recipe, out: Path, scores: Path | None, *, over: bool = False) -> None:
    """Write best.json and drop the weights that `train.keep_weights` does not ask for, by the scores there are now.

    Never dropped: the newest checkpoint, the best one, and, where the recipe evaluates, one that is not evaluated yet.

    Args:
        out: the folder of the checkpoints and of log.jsonl.
        scores: scores.jsonl of the evaluation, or None.
        over: whether everything has been evaluated; before, a score may be missing that comes from another machine.

    Raises:
        UserError: no evaluation gives the score that `train.best` names.
    """
    train, known = recipe.train, known_scores(out, scores)
    inline = recipe.evaluate.where == "inline"
    best = choose_best(out, train.best, known, whole=inline or over) if train.best else None
    if train.keep_weights is None:
        return

    def settled(marker: Marker) -> bool:
        step = marker.step
        if not marker.scheduled:
            return True
        if inline or scores is None:
            return step in known or not recipe.evaluate.measures_something
        return is_evaluated(scores.parent, step, "screen") or is_evaluated(scores.parent, step, "full")

    whole = [(folder, marker) for folder in checkpoint_folders(out) if (marker := read_marker(folder)) is not None]
    for folder, marker in whole[: -max(train.keep_weights, train.keep_checkpoints)]:
        if marker.step != best and settled(marker):
            # The marker first: killed in between, the folder is no checkpoint any more.
            (folder / MARKER).unlink()
            shutil.rmtree(folder)


def choose_best(out: Path, best: Best, known: Known, *, whole: bool = True) -> int | None:
    """The step of the best whole checkpoint, the earlier of equals, named in best.json; None where none has the score.

    Args:
        whole: whether an evaluation's scores are all there as soon as one is.

    Raises:
        UserError: there are scores, but in no evaluation one of this name.
    """
    there = {name for found in known.values() for name in found}
    # The base alone has no difference to itself.
    asked = best.score if any(known) else best.score.replace("_minus_base", "")
    if whole and there and asked not in there:
        raise UserError(
            f"no evaluation gives the score {best.score!r}",
            where="train.best.score",
            mend=f"Take one of {', '.join(sorted(there))}",
        )
    steps = {marker.step for folder in checkpoint_folders(out) if (marker := read_marker(folder)) is not None}
    values = {step: found[best.score] for step, found in sorted(known.items()) if step in steps and best.score in found}
    if not values:
        return None
    chosen = (max if best.better == "higher" else min)(values, key=values.__getitem__)
    write_json(out / BEST, {"step": chosen, "score": best.score, "value": values[chosen]})
    return chosen


def best_step(out: Path) -> int | None:
    """The step that best.json names; None where there is none yet."""
    try:
        step: int = json.loads((out / BEST).read_text(encoding="utf-8"))["step"]
    except FileNotFoundError:
        return None
    return step


def known_scores(out: Path, scores: Path | None) -> Known:
    """The finite scores that were logged in training or are in scores.jsonl, which wins: it may have been made anew."""
    known: Known = {}
    log = (out / LOG).read_text(encoding="utf-8").splitlines() if (out / LOG).is_file() else []
    for line in map(json.loads, log):
        known.setdefault(line["step"], {}).update(line.get("scores", {}))
    for score in read_scores(scores) if scores else []:
        if score.n:
            known.setdefault(score.step, {})[score.name] = score.mean
    finite = {step: {n: v for n, v in found.items() if math.isfinite(v)} for step, found in known.items()}
    return {step: found for step, found in finite.items() if found}
