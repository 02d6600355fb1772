"""The recipe of a run that exists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from acc.errors import UserError
from acc.recipe import Recipe, recipe_from


def recipe_of(folder: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that a run was started with; its relative paths mean what they meant there.

    Args:
        folder: runs/<name>.
        overrides: of a recipe that is not given: refused.

    Raises:
        UserError: there is no such run.
    """
    try:
        data = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        origin = json.loads((folder / "ready.json").read_text(encoding="utf-8")).get("recipe_folder", ".")
    except FileNotFoundError as e:
        raise UserError(f"{folder} holds no run", mend="Name runs/<name> of an `acc run`, or give --recipe") from e
    if overrides:
        raise UserError("--set changes a recipe that is given", mend="Give --recipe too")
    return recipe_from(data, str(folder / "recipe.json")).in_folder((folder / origin).resolve())
