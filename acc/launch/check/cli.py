"""`acc check`: what is wrong with a recipe, its data and this machine, before anything runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acc.errors import ExitCode, UserError
from acc.launch.check.finding import LEVELS, Finding, Level


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="recipe YAML")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    parser.add_argument("--offline", action="store_true", help="ask nothing beyond this machine, as on a login node")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of recipes, for editors")
    parser.add_argument("--resolved", action="store_true", help="print the recipe with every default filled in, as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the findings, errors first; exit code 2 if there is an error."""
    from acc.recipe import Recipe, load_recipe

    if args.schema:
        print(json.dumps(_schema(Recipe.model_json_schema()), indent=1))
        return ExitCode.OK
    if not args.recipe:
        raise UserError("no recipe is named", mend="Give a YAML file, or --schema")
    if args.resolved:
        print(load_recipe(args.recipe, args.overrides).model_dump_json(indent=1))
        return ExitCode.OK
    from acc.launch.check import check_file

    recipe, found = check_file(args.recipe, args.overrides, runs=args.runs, offline=args.offline)
    counts = Counter(finding.level for finding in found)
    if args.json:
        print(json.dumps({"recipe": args.recipe, "findings": [asdict(finding) for finding in found]}, indent=1))
    else:
        _print(args.recipe, found, counts)
        if recipe is not None:
            from acc.recipe.preset import choice_lines

            print(*choice_lines(recipe.evaluate), sep="\n", end="\n" if recipe.evaluate.preset else "")
    return ExitCode.USER if counts["error"] else ExitCode.OK


def _schema(recipe: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a recipe's file: that of a recipe, and what reading the file takes out."""
    about = (
        "Another recipe's file, relative to this one's folder: its sections are merged field by field, lists replaced whole."
    )
    extends = {"title": "Extends", "type": "string", "description": about}
    return {**recipe, "properties": {"extends": extends, **recipe["properties"]}}


def _print(recipe: str, found: list[Finding], counts: Counter[Level]) -> None:
    """The findings on stderr, as every verb's sentences; the verdict on stdout."""
    for finding in found:
        print(f"acc check: {finding}", file=sys.stderr)
    sys.stderr.flush()
    said = [f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in LEVELS if counts[level]]
    print(f"{recipe}: {'not in order' if counts['error'] else 'in order'}" + (f" ({', '.join(said)})" if said else ""))
