"""The JSON schema that `acc check --schema` prints is what an editor needs: it takes every recipe that acc takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from acc.cli import main
from acc.errors import ExitCode
from acc.recipe.yaml_places import parse

RECIPES = sorted((Path(__file__).parents[3] / "recipes").rglob("*.yaml"))


@pytest.fixture
def schema(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["check", "--schema"]) == ExitCode.OK
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def raw(path: Path) -> Any:
    return parse(path.read_text(encoding="utf-8"), str)[0]


def test_a_recipe_may_extend_another_and_have_no_unknown_section(schema: dict[str, Any]) -> None:
    assert schema["properties"]["extends"]["type"] == "string" and schema["properties"]["extends"]["description"]
    assert schema["additionalProperties"] is False and "extends" not in schema.get("required", [])
    assert {key for path in RECIPES for key in raw(path)} <= set(schema["properties"])
    assert sum("extends" in raw(path) for path in RECIPES) > 5


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_valid_in_an_editor(path: Path, schema: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(raw(path))] == []
    assert list(validator.iter_errors({**raw(path), "extend": "x"})), "and with a misspelt name it is not"
