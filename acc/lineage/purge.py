"""`acc purge`: samples by their fields, listed, or taken out of compiled and packed data."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from acc.errors import ExitCode, UserError
from acc.lineage.removal import remove
from acc.lineage.runs import FIELDS, Checkpoint, Run, matching, open_runs, places, seen_by

MOST = 12
"""Samples listed of a run, number; the rest is counted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs (runs/<name>) or compile folders")
    parser.add_argument(
        "--where", action="append", required=True, metavar="FIELD=VALUE",
        help=f"which samples; * stands for anything, several are taken together. Fields: {', '.join(FIELDS)}",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="take them out; without it they are only listed")


def main(args: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    where = _conditions(args.where)
    runs, total, seen = open_runs(args.runs), 0, list[Checkpoint]()
    for run in runs:
        found = list(matching(run, where))
        ids = [row["sample_id"] for row in found]
        total += len(ids)
        print(f"{run.folder}: {len(ids):,} samples match")
        if not ids:
            continue
        by_source = Counter(f"{row['source']} ({row['licence'] or 'no licence named'})" for row in found)
        print(*(f"  {n:,} of {name}" for name, n in sorted(by_source.items())), sep="\n")
        rows = (f"  {r['sample_id']}  {r['record_file']} [{r['record_index']}]" for r in found[:MOST])
        print(*rows, *([f"  and {len(ids) - MOST:,} more"] if len(ids) > MOST else []), sep="\n")
        packed = places(run, ids)
        seen += seen_by(run, packed)
        if packed:
            print(f"  in {len({p.sequence for p in packed}):,} packed sequences")
        if args.yes:
            gone = remove(run, ids)
            print(*(f"  {n:,} taken out of {name}" for name, n in gone.items()), sep="\n")
            _say_what_is_left(run)
    _say_who_saw_it(seen)
    if total and not args.yes:
        print("nothing was changed; --yes takes them out")
    return ExitCode.OK


def _conditions(texts: Sequence[str]) -> dict[str, str]:
    where: dict[str, str] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or field in where:
            reason = "is no FIELD=VALUE" if not equals else f"names {field} again"
            raise UserError(f"{text!r} {reason}", where="--where", mend="Write --where licence=MIT, each field once")
        where[field] = value
    return where


def _say_who_saw_it(seen: Sequence[Checkpoint]) -> None:
    for checkpoint in seen:
        print(f"{checkpoint.folder} {'saw' if checkpoint.surely else 'may have seen'} some of them")
    if seen:
        print("weights keep what they were trained on: only training again without it makes a model that has not seen it")


def _say_what_is_left(run: Run) -> None:
    """Other files of a run that may hold the text."""
    kept = [
        run.compile / "rejections.parquet",
        run.compile / "parts",
        *run.folder.glob("*.html"),
        run.folder / "view",
        *run.folder.glob("evaluate*/responses"),
        *run.folder.glob("evaluate*/server"),
        run.folder.parent / "base_answers",
    ]
    names = ", ".join(
        str(path.relative_to(run.folder) if path.is_relative_to(run.folder) else path) for path in kept if path.exists()
    )
    print(f"  not looked into: {names or 'nothing else'}; and the logs themselves, from which compiling anew takes it again")
