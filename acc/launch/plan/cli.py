"""`acc plan`: what a recipe will need on given GPUs, before any are held."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from acc.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe YAML")
    parser.add_argument("--gpus", required=True, metavar="8xH100", help="GPUs of one node: number, x, kind")
    parser.add_argument("--nodes", type=int, default=1, help="nodes (default: 1, whatever the recipe's launch says)")
    parser.add_argument("--samples", type=int, metavar="N", help="training samples, where the sources are not compiled yet")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs; its pack is counted (default: runs)")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the plan.

    Returns:
        OK where it fits, FINDINGS where it does not.
    """
    from acc.launch.plan.gpus import gpus_of
    from acc.launch.plan.plan import plan_of
    from acc.launch.plan.show import as_data, as_lines
    from acc.launch.plan.suggest import alternatives
    from acc.recipe import load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    recipe.check_sources()
    plan = plan_of(recipe, gpus_of(args.gpus, args.nodes), runs=args.runs, samples=args.samples)
    others = alternatives(plan, runs=args.runs, samples=args.samples) if args.json or not plan.fits else []
    if args.json:
        print(json.dumps(as_data(plan, others), indent=1))
    else:
        sys.stdout.write("\n".join(as_lines(plan, others)) + "\n")
    return ExitCode.OK if plan.fits else ExitCode.FINDINGS
