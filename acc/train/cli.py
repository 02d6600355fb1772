"""`acc train --recipe R`: train in this process; under torchrun or accelerate launch, in each of them."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `acc train`."""
    parser.add_argument("--recipe", type=Path, required=True, help="the recipe (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="set a field of the recipe; repeatable")
    parser.add_argument("--packed", type=Path, help="folder of the pack stage (default: runs/<name>/pack)")
    parser.add_argument("--out", type=Path, help="where checkpoints and log go (default: runs/<name>/train)")


def main(args: argparse.Namespace) -> int:
    """Train, and leave the process group."""
    import torch.distributed as dist

    from acc.recipe import load_recipe
    from acc.train import run

    recipe = load_recipe(args.recipe, args.set)
    folder = Path("runs") / recipe.name
    scores = folder / "evaluate" / "scores.jsonl"
    code = run(recipe, args.packed or folder / "pack", args.out or folder / "train", scores=scores)
    if dist.is_initialized():
        dist.destroy_process_group()
    return int(code)
