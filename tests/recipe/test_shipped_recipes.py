"""Every recipe in recipes/ begins with the command that runs it, and is in order; an ablation changes what it is named for."""

from __future__ import annotations

import argparse
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import launch_command_parser

from acc.evaluate.calibration import published_name
from acc.launch.cli import add_arguments
from acc.launch.launcher import check_launcher
from acc.recipe import Recipe, frozen, load_recipe
from acc.recipe.policy import check_policies
from acc.recipe.preset import choices
from acc.recipe.where import check_inline, check_watch
from acc.records.published import ACC, BASE

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
HEADS = {"Qwen/Qwen3-30B-A3B-Thinking-2507": (32, 4), "Qwen/Qwen3-4B-Thinking-2507": (32, 8), "embedded:tiny-base": (4, 4)}
"""Model → (query heads, key-value heads), from its config.json."""
ABLATIONS = {
    "agent_sft": ("qwen3_30b_acc_own_logs", {f"sources.{n}.target" for n in range(3)}),
    "answer_only": ("qwen3_30b_acc_own_logs", {"rationale.kind"}),
    "no_distractors": ("qwen3_30b_acc_own_logs", {"compile.distractors"}),
    "no_shuffle": ("qwen3_30b_acc_own_logs", {"compile.shuffle"}),
    "search_only": ("qwen3_30b_acc", {"sources"}),
    "software_only": ("qwen3_30b_acc", {"sources"}),
    "database_only": ("qwen3_30b_acc", {"sources"}),
}
"""Ablation → (its parent, what differs beside the name)."""


def recipe_of(name: str) -> Recipe:
    return load_recipe(next(p for p in RECIPES if p.stem == name))


def command_of(path: Path) -> list[str]:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    return shlex.split(first.removeprefix("# "))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_frozen_as_it_is(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "recipe.yaml"
    copy.write_text(frozen(path), encoding="utf-8")
    assert load_recipe(copy).model_dump() == {**load_recipe(path).model_dump(), "paths_from": str(path.parent)}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_shipped_recipe_begins_with_the_command_that_runs_it(path: Path) -> None:
    recipe, command = load_recipe(path), command_of(path)
    assert recipe.name == path.stem, "the run's folder is found by the recipe's name"
    named = str(path.relative_to(ROOT))
    if command[:2] == ["accelerate", "launch"]:
        # $RANK_OF_NODE is a number where it runs.
        args = launch_command_parser().parse_args([c.replace("$RANK_OF_NODE", "0") for c in command[2:]])
        assert args.training_script == named and not args.training_script_args
        nodes, processes = args.num_machines or 1, args.num_processes
        assert (nodes, processes) == (recipe.launch.nodes, recipe.launch.nodes * recipe.launch.processes)
        launched = {"RANK": "0", "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes // nodes)}
        check_launcher(recipe, launched)
    elif command[:2] == ["acc", "run"]:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        assert parser.parse_args(command[2:]).recipe == named and recipe.launch.nodes == 1
    else:
        assert command[:4] == ["acc", "eval", "--recipe", named] and not recipe.sources


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_in_order_across_its_sections(path: Path) -> None:
    recipe = load_recipe(path)
    check_policies(recipe)
    check_watch(recipe)
    if not recipe.sources:
        return
    check_inline(recipe)
    world = recipe.launch.nodes * recipe.launch.processes
    assert world % recipe.parallel.sequence == 0, "the processes are cut into groups of parallel.sequence"
    query, key_value = HEADS[recipe.model.path]
    assert query % recipe.parallel.sequence == 0
    assert key_value % recipe.parallel.sequence == 0 or recipe.parallel.sequence % key_value == 0
    assert recipe.train.global_batch % (world // recipe.parallel.sequence) == 0


def test_the_paper_recipe_is_the_papers_setting() -> None:
    recipe = recipe_of("qwen3_30b_acc")
    assert recipe.pack.length == recipe.compile.budget_tokens == 131_072
    assert (recipe.train.global_batch, recipe.train.learning_rate, recipe.train.epochs) == (16, 1e-5, 4)
    assert recipe.parallel.sequence == 8
    # Equal weights, and as many repeats as epochs: each row is seen four times, whatever the sizes of the domains.
    assert {s.weight for s in recipe.sources} == {1.0} and recipe.pack.max_repeats == recipe.train.epochs
    assert recipe.evaluate.preset == "acc_paper" and {b.name for b in recipe.evaluate.benchmarks} == {"mrcr", "graphwalks"}
    assert {c.source for c in choices(recipe.evaluate)} == {"paper", "assumed"}, "nothing of the protocol is the recipe's own"


def test_the_calibration_asks_the_base_and_the_released_checkpoint_as_the_paper_did() -> None:
    recipe = recipe_of("eval_acc_paper")
    assert recipe.evaluate.preset == "acc_paper" and not recipe.sources
    assert {c.source for c in choices(recipe.evaluate)} == {"paper", "assumed"}, "nothing of the protocol is the recipe's own"
    assert published_name(recipe.student) == BASE
    command = command_of(next(p for p in RECIPES if p.stem == "eval_acc_paper"))
    asked = [after for flag, after in pairwise(command) if flag == "--checkpoint"]
    assert asked[0] == "base" and published_name(asked[1]) == ACC


def test_what_fits_one_node_or_one_gpu_asks_for_no_more() -> None:
    for name, nodes, processes in (("qwen3_30b_lora", 1, 8), ("qwen3_4b_acc", 1, 8), ("qwen3_4b_single_gpu", 1, 1)):
        recipe = recipe_of(name)
        assert (recipe.launch.nodes, recipe.launch.processes) == (nodes, processes)
        server = recipe.evaluate.server
        assert server is not None and server.tensor_parallel <= processes
    assert recipe_of("qwen3_4b_single_gpu").pack.length == recipe_of("qwen3_4b_single_gpu").compile.budget_tokens == 32_768


def test_the_mix_gives_a_fifth_of_the_labelled_tokens_to_conversations() -> None:
    recipe = recipe_of("mix_with_chat")
    weights = {s.name: s.weight for s in recipe.sources}
    assert recipe.pack.weights_in == "labelled_tokens"
    assert weights["chat"] / sum(weights.values()) == pytest.approx(0.2)


def differences(one: Any, other: Any, at: str = "") -> set[str]:
    """The dotted names of the fields in which two recipes differ; lists of different lengths differ as a whole."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {d for k in one.keys() | other.keys() for d in differences(one.get(k), other.get(k), f"{at}.{k}".lstrip("."))}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {d for n, (a, b) in enumerate(zip(one, other, strict=True)) for d in differences(a, b, f"{at}.{n}")}
    return set() if one == other else {at}


def test_each_ablation_is_tested() -> None:
    assert {p.stem for p in RECIPES if p.parent.name == "ablations"} == set(ABLATIONS)


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_what_it_is_named_for_and_nothing_else(name: str) -> None:
    parent, changed = ABLATIONS[name]
    recipe, base = recipe_of(name), recipe_of(parent)
    assert differences(recipe.model_dump(), base.model_dump()) == {"name", *changed}
    if name.endswith("_only") and changed == {"sources"}:
        domain = name.removesuffix("_only")
        assert [s.model_dump() for s in recipe.sources] == [s.model_dump() for s in base.sources if s.domain == domain]
    for one, other in zip(recipe.sources, base.sources, strict=False):
        assert [recipe.resolve(p) for p in one.paths] == [base.resolve(p) for p in other.paths], (
            "the same logs from both folders"
        )


def test_the_ablations_switch_what_they_say() -> None:
    assert {s.target for s in recipe_of("agent_sft").sources if s.split == "train"} == {"agent_sft"}
    assert recipe_of("answer_only").rationale.kind == "none"
    assert not recipe_of("no_distractors").compile.distractors
    assert not recipe_of("no_shuffle").compile.shuffle
