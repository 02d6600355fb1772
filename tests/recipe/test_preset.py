"""A preset fills in what a recipe leaves open, says where each choice comes from, and gives way to the recipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acc.errors import UserError
from acc.recipe import Recipe, recipe_from
from acc.recipe.evaluation import Evaluate
from acc.recipe.preset import choice_lines, choices


def evaluate(**fields: Any) -> Evaluate:
    return recipe_from({"evaluate": {"preset": "acc_paper", **fields}}).evaluate


def sources(section: Evaluate) -> dict[str, tuple[Any, str]]:
    return {c.field: (c.value, c.source) for c in choices(section)}


def test_the_preset_is_the_papers_protocol() -> None:
    section = evaluate()
    mrcr, graphwalks = section.benchmarks
    assert mrcr.hub is not None and graphwalks.hub is not None
    assert (mrcr.name, mrcr.hub.dataset, mrcr.needles, mrcr.max_bin_tokens) == ("mrcr", "openai/mrcr", [2, 4], 131_072)
    assert (graphwalks.hub.dataset, graphwalks.hub.files) == ("openai/graphwalks", "**/graphwalks_128k_and_shorter.parquet")
    assert mrcr.max_new_tokens == graphwalks.max_new_tokens == 32_768
    sampling = section.sampling
    assert (sampling.samples, sampling.temperature, sampling.top_p, sampling.top_k) == (3, 0.6, 0.95, 20)


def test_every_choice_says_whether_it_is_the_papers() -> None:
    said = sources(evaluate())
    assert said["sampling.samples"] == (3, "paper")
    assert said["sampling.temperature"] == (0.6, "assumed")
    assert said["benchmarks.0.needles"] == ([2, 4], "paper")
    assert said["benchmarks.1.max_new_tokens"] == (32_768, "assumed")
    assert said["score of graphwalks"] == ("precision", "paper")
    assert all(c.why for c in choices(evaluate()))
    assert choices(Evaluate()) == []


def test_no_field_of_the_preset_is_left_unsaid() -> None:
    """Whatever differs from a section without preset is listed."""
    section, plain = evaluate(), Evaluate()
    said = sources(section)
    for field in type(section.sampling).model_fields:
        if getattr(section.sampling, field) != getattr(plain.sampling, field):
            assert f"sampling.{field}" in said
    for number, entry in enumerate(section.benchmarks):
        for field, value in entry.model_dump(exclude_unset=True, exclude={"name", "hub"}).items():
            assert said[f"benchmarks.{number}.{field}"][0] == value


def test_what_the_recipe_sets_wins_and_is_listed_as_its_own() -> None:
    section = evaluate(
        sampling={"samples": 1},
        benchmarks=[{"name": "graphwalks", "limit": 4}, {"name": "mrcr", "needles": [8], "max_bin_tokens": None}],
    )
    graphwalks, mrcr = section.benchmarks
    assert (graphwalks.limit, mrcr.needles, mrcr.max_bin_tokens) == (4, [8], None)
    assert graphwalks.hub is not None and mrcr.max_new_tokens == 32_768
    said = sources(section)
    assert said["sampling.samples"] == (1, "recipe") and said["sampling.top_k"] == (20, "assumed")
    assert said["benchmarks.1.needles"] == ([8], "recipe")
    assert said["benchmarks.0.hub.files"][1] == "paper"


def test_rows_of_ones_own_take_the_place_of_the_hub() -> None:
    section = evaluate(benchmarks=[{"name": "mrcr", "rows": "mine"}, {"name": "graphwalks", "synthetic": {"rows": 2}}])
    assert [b.hub for b in section.benchmarks] == [None, None]
    assert section.benchmarks[0].needles == [2, 4]
    said = sources(section)
    assert said["benchmarks.0.rows"] == ("mine", "recipe")
    assert "benchmarks.0.hub.dataset" not in said


def test_one_revision_may_be_pinned_beside_the_presets_other_choices() -> None:
    section = evaluate(benchmarks=[{"name": "graphwalks", "hub": {"dataset": "openai/graphwalks", "revision": "abc"}}])
    assert section.benchmarks[0].hub is not None
    assert section.benchmarks[0].hub.files.endswith("graphwalks_128k_and_shorter.parquet")
    assert sources(section)["benchmarks.0.hub.revision"] == ("abc", "recipe")


def test_a_recipe_written_out_is_read_back_the_same() -> None:
    for section in (evaluate(), evaluate(benchmarks=[{"name": "mrcr", "rows": "x", "max_bin_tokens": None}])):
        recipe = Recipe(evaluate=section)
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"sampling": {"temperature": 0}}, "samples above 1 needs a temperature"),
        ({"sampling": 3}, "evaluate.sampling"),
        ({"benchmarks": {"name": "mrcr"}}, "evaluate.benchmarks: a mapping does not fit"),
        ({"benchmarks": [{"nam": "mrcr"}]}, "there is no field 'nam'"),
        ({"benchmarks": ["mrcr"]}, "evaluate.benchmarks.0"),
        ({"benchmarks": [{"name": "mrcr", "hub": 3}]}, "evaluate.benchmarks.0.hub: 3"),
        (
            {"benchmarks": [{"name": "mrcr", "hub": {"datset": "x"}}]},
            "evaluate.benchmarks.0.hub.datset.*Did you mean 'dataset'",
        ),
    ],
)
def test_a_mistake_under_a_preset_is_still_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=f"(?s){sentence}"):
        evaluate(**fields)


def test_check_prints_the_choices(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("evaluate: {preset: acc_paper}\n")
    command = [sys.executable, "-m", "acc", "check", str(tmp_path / "r.yaml")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[1:] == choice_lines(evaluate())
    assert any(line.split()[:3] == ["sampling.temperature", "0.6", "assumed"] for line in lines)


def test_a_recipe_that_only_evaluates_needs_no_sources_and_says_so_where_they_are_needed() -> None:
    recipe = recipe_from({"evaluate": {"preset": "acc_paper"}})
    with pytest.raises(UserError, match="has no sources: there is nothing to compile, pack or train on"):
        recipe.check_sources()
    for data, sentence in (
        ({}, "'sources' is missing"),
        ({"evaluate": {"held_out": {}}}, "no source has split: held_out"),
    ):
        with pytest.raises(UserError, match=sentence):
            recipe_from(data)
