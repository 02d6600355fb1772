"""What would fit where a plan does not, or fit better: other settings of the same recipe, ranked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from acc.errors import UserError
from acc.launch.plan.extent import extent_of
from acc.launch.plan.gpus import Gpus
from acc.launch.plan.plan import Plan, planned
from acc.launch.plan.setting import Setting, check_heads
from acc.recipe import Recipe
from acc.recipe.training import Lora

NODES = (1, 2, 4, 8)
SEQUENCE = (1, 2, 4, 8, 16, 32)
OFFLOAD: tuple[frozenset[str], ...] = (frozenset(), frozenset({"optimizer"}), frozenset({"optimizer", "parameters"}))
RANK = 16
"""Rank of the adapters that are suggested where the recipe has none."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to run: `changes` in the words of the recipe, and its plan."""

    changes: tuple[str, ...]
    plan: Plan

    @property
    def rank(self) -> tuple[bool, int, float]:
        """What fits first; then full fine-tuning stays full, then few changes, then tokens/s."""
        lora = any(c.startswith("lora") for c in self.changes)
        return (not self.plan.fits, len(self.changes) + 2 * lora, -self.plan.speed.tokens / self.plan.gpus.world)


def alternatives(plan: Plan, *, runs: Path = Path("runs"), samples: int | None = None, most: int = 8) -> list[Alternative]:
    """Other settings that fit, the nearest to the recipe first; at most three changes each."""
    s, recipe = plan.setting, plan.recipe
    lora = [(), ("attention",)] if not s.adapted else [s.adapted]
    found = []
    for nodes, sequence, offload, adapted, checkpointing in product(
        (n for n in NODES if n >= plan.gpus.nodes), SEQUENCE, OFFLOAD, lora, {s.checkpointing, True}
    ):
        gpus = replace(plan.gpus, nodes=nodes)
        other = replace(
            s,
            world=gpus.world,
            sequence=sequence,
            offload=offload,
            adapted=adapted,
            rank=s.rank or (RANK if adapted else 0),
            checkpointing=checkpointing,
            zero3=gpus.world > 1 or bool(offload or recipe.deepspeed),
        )
        changes = _changes(plan, gpus, other)
        if not 0 < len(changes) <= 3 or gpus.world % sequence or recipe.pack.length % sequence:
            continue
        try:
            check_heads(plan.student, other)
        except UserError:
            continue
        extent = extent_of(recipe, runs / recipe.name, other.data, samples=samples)
        alternative = Alternative(changes, planned(_recipe_with(plan, other), gpus, plan.student, other, extent, runs))
        if alternative.plan.fits:
            found.append(alternative)
    return sorted(found, key=lambda x: (*x.rank, x.changes))[:most]


def _changes(plan: Plan, gpus: Gpus, other: Setting) -> tuple[str, ...]:
    """What differs, as it is written in a recipe or on the command line."""
    s, found = plan.setting, []
    if gpus.nodes != plan.gpus.nodes:
        found.append(f"--nodes {gpus.nodes}")
    if other.sequence != s.sequence:
        found.append(f"parallel.sequence: {other.sequence}")
    if other.offload != s.offload:
        found.append(f"parallel.offload: [{', '.join(sorted(other.offload))}]")
    if other.adapted != s.adapted:
        found.append(f"lora: {{rank: {other.rank}, targets: [{', '.join(other.adapted)}]}}")
    if other.checkpointing != s.checkpointing:
        found.append(f"train.gradient_checkpointing: {str(other.checkpointing).lower()}")
    return tuple(found)


def _recipe_with(plan: Plan, other: Setting) -> Recipe:
    """The recipe with adapters where the setting has them: checkpoints are then as large as these."""
    if not other.adapted or plan.recipe.lora is not None:
        return plan.recipe
    return plan.recipe.model_copy(update={"lora": Lora(rank=other.rank, targets=["attention"])})
