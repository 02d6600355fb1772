"""`acc check`: read a recipe and say what is wrong with it, before anything runs."""

from __future__ import annotations

import argparse
import json

from acc.errors import ExitCode, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="recipe YAML")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of recipes, for editors")
    parser.add_argument("--resolved", action="store_true", help="print the recipe with every default filled in, as JSON")


def main(args: argparse.Namespace) -> int:
    from acc.recipe import Recipe, load_recipe
    from acc.recipe.policy import check_policies
    from acc.recipe.preset import choice_lines

    if args.schema:
        print(json.dumps(Recipe.model_json_schema(), indent=1))
        return ExitCode.OK
    if not args.recipe:
        raise UserError("no recipe is named", mend="Give a YAML file, or --schema")
    recipe = load_recipe(args.recipe, args.overrides)
    check_policies(recipe)
    for source in recipe.sources:
        for path in source.paths:
            if not recipe.resolve(path).exists():
                raise UserError(
                    f"source {source.name!r} names {path}, which is not there", where=args.recipe, mend="Check the path"
                )
    if args.resolved:
        print(recipe.model_dump_json(indent=1))
    else:
        print(f"{args.recipe}: in order", *choice_lines(recipe.evaluate), sep="\n")
    return ExitCode.OK
