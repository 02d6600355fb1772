"""`acc run`: the stages of a recipe, one after the other."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe YAML")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    parser.add_argument("--until", choices=("compile", "pack"), help="stop after this stage (no GPU is needed up to here)")
    parser.add_argument(
        "--from", dest="since", choices=("train",), help="begin here: what comes before was done by another job"
    )
    parser.add_argument("--smoke", action="store_true", help="try this machine: five steps on the longest rows, and a table")


def main(args: argparse.Namespace) -> int:
    from acc.errors import UserError
    from acc.recipe import load_recipe

    if args.since and args.until:
        raise UserError("--from train and --until leave nothing to do", mend="Leave out one of the two")
    recipe = load_recipe(args.recipe, args.overrides)
    if args.smoke:
        from acc.launch.smoke import smoke

        return int(smoke(recipe, args.runs))
    from acc.launch.run import run

    return int(run(recipe, args))
