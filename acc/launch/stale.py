"""What of a recipe changed since a run's samples and sequences were made. Files of logs that changed are not looked at."""

from __future__ import annotations

from typing import Any

from acc.pack.pipeline import data_parallel
from acc.recipe import Recipe
from acc.stage.manifest import Manifest


def changed_since_compiled(recipe: Recipe, manifest: Manifest) -> list[str]:
    """The sections that the samples depend on and that are others now, by name.

    Args:
        manifest: of the compile stage.
    """
    from acc.compile.pipeline import relevant

    return _changed(relevant(recipe), manifest)


def changed_since_packed(recipe: Recipe, manifest: Manifest) -> list[str]:
    """The settings that the sequences depend on and that are others now, by name.

    Args:
        manifest: of the pack stage.
    """
    settings = {
        "pack": recipe.pack.model_dump(),
        "sources": {s.name: {"weight": s.weight, "split": s.split} for s in recipe.sources},
        "train": recipe.train.model_dump(include={"epochs", "max_steps", "global_batch"}),
        "data_parallel": data_parallel(recipe),
    }
    return _changed(settings, manifest)


def _changed(settings: dict[str, Any], manifest: Manifest) -> list[str]:
    return sorted(name for name, value in settings.items() if manifest.recipe.get(name) != value)
