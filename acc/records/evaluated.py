"""Which checkpoints were asked what: `done/<step>-<asked>.json` in the folder of the evaluation, whoever evaluated it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from acc import __version__
from acc.recipe.schema import Recipe
from acc.stage.files import digest, write_json

Asked = Literal["screen", "full", "likelihood"]
"""The rows of the screen; all rows; the likelihood of held-out answers alone, by the training processes."""
ELSEWHERE = {"where", "inline_share"}
"""What no score depends on."""


def evaluation_key(recipe: Recipe) -> str:
    """The hash of what is asked and how, of every checkpoint alike."""
    section = recipe.evaluate.model_dump(mode="json", exclude=ELSEWHERE)
    return digest(["evaluated", section, recipe.seed, recipe.model.path, recipe.model.revision, __version__])


def mark_evaluated(out: Path, step: int, asked: Asked, key: str) -> None:
    """Write that a checkpoint's scores are on disk."""
    write_json(_path(out, step, asked), {"key": key})


def is_evaluated(out: Path, step: int, asked: Asked, key: str | None = None) -> bool:
    """Whether it was; with a key, whether the same was asked."""
    try:
        found = json.loads(_path(out, step, asked).read_text(encoding="utf-8"))["key"]
    except FileNotFoundError:
        return False
    return key in (None, found)


def _path(out: Path, step: int, asked: Asked) -> Path:
    return out / "done" / f"{step}-{asked}.json"
