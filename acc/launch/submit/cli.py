"""`acc submit RECIPE`: give a run to Slurm, or print what would be given."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from acc.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `acc submit`."""
    parser.add_argument("recipe", help="recipe YAML with a section launch.slurm")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs, shared by all nodes (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="print the scripts and the calls of sbatch, and write nothing")
    parser.add_argument(
        "--smoke", action="store_true", help="submit one job that tries one node: five steps on the longest rows"
    )


def main(args: argparse.Namespace) -> int:
    """Submit, and print the jobs' ids.

    Raises:
        UserError: the recipe cannot be submitted, there is no sbatch, or the run has jobs already.
    """
    from acc.launch.submit.jobs import RECIPE, Place
    from acc.launch.submit.submission import planned, submit, words
    from acc.recipe import frozen, load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    place = Place(args.runs.resolve(), Path.cwd())
    folder = place.runs / recipe.name
    written, calls = planned(recipe, place, smoke=args.smoke)
    given = shlex.join([args.recipe, *(word for text in args.overrides for word in ("--set", text))])
    head = f"Written by `acc submit {given}`: what its jobs run.".replace("\n", " ")
    text = f"# {head}\n{frozen(args.recipe, args.overrides)}"
    if args.dry_run:
        print(f"==> {folder / 'jobs' / RECIPE}\n{text}")
        for script in written:
            print(f"==> {folder / 'jobs' / script.file}\n{script.text}")
        for call in calls:
            print("sbatch --parsable", shlex.join(words(call, folder / "jobs", {})).replace("'", ""))
        return ExitCode.OK
    if not calls:
        print(f"{folder} is trained, and its evaluation is no job of its own: nothing to submit")
        return ExitCode.OK
    for name, job in submit(folder, text, written, calls).items():
        print(f"{name:12} job {job}")
    print(f"acc status {folder} says where they stand; logs are in {folder}/jobs/logs")
    return ExitCode.OK
