"""`acc pack`: samples → packed sequences."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from acc.errors import ExitCode, UserError
from acc.pack.pipeline import SAMPLES, run
from acc.recipe import Recipe, load_recipe, recipe_from
from acc.recipe.schema import EMBEDDED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `acc pack`."""
    parser.add_argument("samples", nargs="?", type=Path, help="folder with samples.parquet; not with --recipe")
    parser.add_argument("-o", "--out", type=Path, help="folder to write (default with --recipe: RUNS/NAME/pack)")
    parser.add_argument("--recipe", type=Path, help="take everything from a recipe, and the samples of its run")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=C", help="change the recipe")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: %(default)s)")
    parser.add_argument("--student", default=EMBEDDED, help="checkpoint whose tokenizer and template count: folder or hub id")
    parser.add_argument("--length", type=int, default=131_072, help="capacity of a sequence, tokens (default: %(default)s)")
    parser.add_argument("--layout", choices=["think", "plain"], default="think", help="where the rationale goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes (default: one a core); the output does not depend on it")


def main(args: argparse.Namespace) -> ExitCode:
    """Pack, and print what came of it."""
    if (args.recipe is None) == (args.samples is None):
        raise UserError("give either a folder of samples or --recipe", mend="acc pack SAMPLES -o DIR, or acc pack --recipe R")
    if args.recipe is not None:
        recipe = load_recipe(args.recipe, args.overrides)
        folder = args.runs / recipe.name
        compiled, out = folder / "compile", args.out or folder / "pack"
    else:
        if args.out is None:
            raise UserError("there is no folder to write", mend="Give one with -o")
        recipe, compiled, out = _recipe(args), args.samples, args.out
    manifest = run(recipe, compiled, out, workers=args.workers)
    counts = manifest.counts
    print(f"{out}: {manifest.records} samples, {manifest.written} written, {manifest.merged} merged")
    for reason, n in manifest.rejected.items():
        print(f"  rejected, {reason}: {n}")
    print(f"  {counts['sequences']} sequences of {counts['tokens']} tokens, {counts['utilisation']:.1%} of their room used")
    for name, source in counts["sources"].items():
        shares = ", ".join(f"{share:.1%} of {unit.replace('_', ' ')}" for unit, share in source["share_of"].items())
        labelled = f"{source['labelled_share']:.2%} of its tokens labelled"
        print(f"  {name}: {source['drawn']} drawn of {source['samples']}, {labelled}; {shares}")
    return ExitCode.OK


def _recipe(args: argparse.Namespace) -> Recipe:
    """Every training sample once, packed over all of them."""
    path = args.samples / SAMPLES
    if not path.is_file():
        raise UserError(f"there is no {SAMPLES}", where=str(args.samples), mend="Run `acc compile` first")
    rows = pq.ParquetFile(path).read(columns=["source", "split"]).to_pylist()
    found = Counter(r["source"] for r in rows if r["split"] == "train")
    held_out = {r["source"] for r in rows} - set(found)
    sources = [
        {"name": name, "path": SAMPLES, "weight": float(found[name]), "split": "train" if found[name] else "held_out"}
        for name in sorted({*found, *held_out})
    ]
    data = {
        "seed": args.seed,
        "sources": sources,
        "model": {"path": str(args.student) if args.student == EMBEDDED else str(Path(args.student))},
        "compile": {"budget_tokens": args.length, "target_reserve_tokens": 0},
        "pack": {"length": args.length, "layout": args.layout, "scope": "global"},
    }
    return recipe_from(data, "the command line")
