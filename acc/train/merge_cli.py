"""`acc merge CHECKPOINT -o OUT`: adapters into their base's weights."""

from __future__ import annotations

import argparse
import resource
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `acc merge`."""
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of a training with lora")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder for the merged weights")
    parser.add_argument("--base", help="the student (default: what the adapters say they were trained on)")


def main(args: argparse.Namespace) -> int:
    """Merge, and say what was written and what memory it took."""
    from acc.train.merging import merge

    done = merge(args.checkpoint, args.out, args.base)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{done['merged']} of {done['weights']} weights merged, {done['bytes'] / 1e9:.2f} GB in {done['files']} files in "
        f"{args.out}; peak memory {peak:.2f} GB"
    )
    return 0
