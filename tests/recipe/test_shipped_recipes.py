"""Every recipe in recipes/ begins with the command that runs it, and is in order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from acc.evaluate.calibration import published_name
from acc.recipe import load_recipe
from acc.recipe.preset import choices
from acc.records.published import ACC, BASE

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_in_order_and_says_its_command(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem, "the run's folder is found by the recipe's name"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    if recipe.sources:
        assert first.startswith(("# accelerate launch ", "# acc run ")) and first.endswith(f"recipes/{path.name}")
    else:
        assert first.startswith(f"# acc eval --recipe recipes/{path.name} ")


def test_the_paper_recipe_is_the_papers_setting() -> None:
    recipe = load_recipe(next(p for p in RECIPES if p.stem == "qwen3_30b_acc"))
    assert recipe.pack.length == recipe.compile.budget_tokens == 131_072
    assert (recipe.train.global_batch, recipe.train.learning_rate, recipe.train.epochs) == (16, 1e-5, 4)
    assert recipe.parallel.sequence == 8


def test_the_calibration_asks_the_base_and_the_released_checkpoint_as_the_paper_did() -> None:
    path = next(p for p in RECIPES if p.stem == "eval_acc_paper")
    recipe = load_recipe(path)
    assert recipe.evaluate.preset == "acc_paper" and not recipe.sources
    assert {c.source for c in choices(recipe.evaluate)} == {"paper", "assumed"}, "nothing of the protocol is the recipe's own"
    assert published_name(recipe.student) == BASE
    command = path.read_text(encoding="utf-8").splitlines()[0].split()
    asked = [after for flag, after in pairwise(command) if flag == "--checkpoint"]
    assert asked[0] == "base" and published_name(asked[1]) == ACC
