"""The key of a training: what says whether it is done, and whose checkpoints may be gone on from. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.recipe import Recipe
from acc.stage.manifest import read_manifest, stage_key


def train_key(recipe: Recipe, packed: Path) -> str:
    """The hash of all that this training is a function of; a folder whose manifest has it is done.

    Raises:
        UserError: the pack stage has not ended in `packed`.
    """
    return stage_key("train", recipe.seed, train_sections(recipe), train_inputs(packed))


def train_sections(recipe: Recipe) -> dict[str, Any]:
    """The sections of the recipe that the weights depend on: not what is kept of them or where the log goes, so that a run
    that fills the disk goes on with less; nor what is done about steps that go wrong, so that one that stopped goes on."""
    return recipe.model_dump(
        mode="json",
        include={"model", "moe", "lora", "parallel", "deepspeed", "train"},
        exclude={"moe": {"log_every_steps"}, "train": {"best", "guard", "keep_checkpoints", "keep_weights", "report_to"}},
    )


def train_inputs(packed: Path) -> dict[str, str]:
    """What training reads, by hash: the key of the pack's manifest."""
    manifest = read_manifest(packed)
    if manifest is None:
        raise UserError("the pack stage has not ended here", where=str(packed), mend="Run `acc pack` first")
    return {"pack": manifest.key}
