"""The benchmarks by name, and their rows in the official Parquet layout. A new benchmark is one module and one line here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from acc.errors import UserError
from acc.evaluate import bins, graphwalks, mrcr
from acc.evaluate.hub_rows import hub_files
from acc.recipe import evaluation
from acc.recipe.schema import Recipe
from acc.records.sample import Message
from acc.stage.files import file_digest, whole

Row = dict[str, Any]
BATCH_ROWS = 64
"""Rows read at once, number; a prompt reaches 5 MB."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What asking and grading need to know of a benchmark.

    `graded` are the columns that `grade` reads, `asked` those that `messages` and `group` read besides, the last one that by
    which a recipe chooses rows. `grade` gives every convention by name; `quoted` are those reported for slices too, the
    headline first, `others` the rest.
    """

    name: str
    graded: tuple[str, ...]
    asked: tuple[str, ...]
    quoted: tuple[str, ...]
    others: tuple[str, ...]
    messages: Callable[[Row], list[Message]]
    group: Callable[[Row], str]
    grade: Callable[[Row, str], dict[str, float]]


BENCHMARKS = {
    name: Benchmark(name, m.GRADED, m.ASKED, m.QUOTED, m.OTHERS, m.messages, m.group, m.grade)
    for name, m in (("mrcr", mrcr), ("graphwalks", graphwalks))
}


def rows_of(
    entry: evaluation.Benchmark, recipe: Recipe, out: Path, *, generated: Path | None = None
) -> tuple[list[tuple[int, Row]], list[str]]:
    """The rows that an entry of `evaluate.benchmarks` asks for, from the hub, from Parquet or generated, after its filters.

    Every row also gets its bin under `bins.BIN`; a row without one (the ranks of o200k_base can't be had) is counted, and said.

    Args:
        out: the folder of the evaluation; the commit read from the hub is recorded in it.
        generated: the file with an entry's synthetic rows.

    Returns:
        (index, row) in the order of the files, the index counting all their rows from 0 before any filter; and the files'
        hashes.

    Raises:
        UserError: rows can't be had, are not in the official layout, or a filter names something that is not there or leaves
            nothing.
    """
    benchmark = BENCHMARKS[entry.name]
    files, where = _origin(entry, recipe, out, generated)
    kept = _chosen(files, entry, where)
    most = entry.max_bin_tokens
    rows = _scan(files, (*benchmark.graded, *benchmark.asked), set(kept if most else evenly(kept, entry.limit)))
    binned = ((index, _with_bin(row, index, where, entry)) for index, row in rows)
    found = evenly(_up_to(binned, most, where), entry.limit) if most else list(binned)
    without = sum(row[bins.BIN] is None for _, row in found)
    if without and entry.synthetic is None and os.environ.get("RANK", "0") == "0":
        said = f"{where}: {without} rows have no official length bin: the ranks of o200k_base can't be had. {bins.MEND}."
        print(said, file=sys.stderr)
    return found, [file_digest(f) for f in files]


def read_rows(path: Path, columns: Iterable[str], *, limit: int | None = None) -> list[tuple[int, Row]]:
    """Read rows of a Parquet file, or of all Parquet files of a folder in the order of their names.

    Args:
        columns: what to read; prompts reach megabytes, so grading leaves them out.
        limit: take at most so many rows, evenly over all.

    Returns:
        (index, row): the index counts over all files from 0.

    Raises:
        UserError: there is no such file, it is not Parquet, or a column is missing.
    """
    files = parquet_files(path)
    names = list(columns)
    kept = None if limit is None else set(evenly((i for i, _ in _scan(files, names[:1])), limit))
    return list(_scan(files, names, kept))


def parquet_files(path: Path) -> list[Path]:
    """The Parquet file, or those of the folder in the order of their names.

    Raises:
        UserError: the folder has none.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError("there is no .parquet file in this folder", where=str(path), mend="Name the benchmark's Parquet files")
    return files


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows as Parquet, whole or not at all."""
    with whole(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows), partial)


def evenly(items: Iterable[T], limit: int | None) -> list[T]:
    """At most `limit` items, spread evenly over all of them, in their order; the same choice every time."""
    found = list(items)
    if limit is None or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def _origin(entry: evaluation.Benchmark, recipe: Recipe, out: Path, generated: Path | None) -> tuple[list[Path], str]:
    """The files of an entry's rows, and how a sentence calls them."""
    if entry.hub is not None:
        return hub_files(entry.hub, out), f"{entry.hub.dataset}@{entry.hub.revision}"
    path = generated if generated is not None else recipe.resolve(str(entry.rows))
    return parquet_files(path), str(path)


def _chosen(files: Sequence[Path], entry: evaluation.Benchmark, where: str) -> list[int]:
    """The indices of the rows that `needles` and `problem_types` let through."""
    column = BENCHMARKS[entry.name].asked[-1]
    wanted: Sequence[Any] = entry.needles or entry.problem_types
    values = [row[column] for _, row in _scan(files, [column])]
    there = sorted(set(values))
    if missing := [w for w in wanted if w not in there]:
        field = "needles" if entry.name == "mrcr" else "problem_types"
        known = ", ".join(map(str, there)) or "no row at all"
        raise UserError(f"no row has the {column} {missing[0]}", where=f"{where} {field}", mend=f"There are: {known}")
    if not values:
        raise UserError("there are no rows", where=where, mend="Take the official Parquet files")
    return [i for i, value in enumerate(values) if not wanted or value in wanted]


def _with_bin(row: Row, index: int, where: str, entry: evaluation.Benchmark) -> Row:
    try:
        # Synthetic rows have no official bins; they alone never send anybody for the ranks.
        return {**row, bins.BIN: None if entry.synthetic and entry.max_bin_tokens is None else bins.o200k_bin(row)}
    except UserError as e:
        raise UserError(e.what, where=f"{where} row {index}", mend=e.mend) from e


def _up_to(rows: Iterable[tuple[int, Row]], most: int, where: str) -> list[tuple[int, Row]]:
    """The rows whose bin ends at `most` or before; the others are let go at once, prompts reach megabytes."""
    kept: list[tuple[int, Row]] = []
    there: set[int] = set()
    for index, row in rows:
        if row[bins.BIN] is None:
            raise UserError(
                "this filter needs the ranks of o200k_base, and neither tiktoken's cache nor its server gives them",
                where=f"{where} max_bin_tokens",
                mend=bins.MEND,
            )
        there.add(row[bins.BIN])
        if row[bins.BIN] <= most:
            kept.append((index, row))
    if not kept:
        known = ", ".join(map(str, sorted(there)))
        raise UserError(
            f"no row's length bin ends at {most} or before", where=f"{where} max_bin_tokens", mend=f"Bins end at: {known}"
        )
    return kept


def _scan(files: Sequence[Path], columns: Sequence[str], wanted: set[int] | None = None) -> Iterator[tuple[int, Row]]:
    """(index, row) of all files, or of the wanted rows only."""
    start = 0
    for batch in chain.from_iterable(_batches(file, columns) for file in files):
        at = [i for i in range(batch.num_rows) if wanted is None or start + i in wanted]
        yield from zip([start + i for i in at], batch.take(pa.array(at, pa.int64())).to_pylist(), strict=True)
        start += batch.num_rows


def _batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file) as opened:
            have = opened.schema_arrow.names
            missing = [c for c in columns if c not in have]
            if not missing:
                yield from opened.iter_batches(BATCH_ROWS, columns=list(columns))
                return
    except FileNotFoundError as e:
        raise UserError("there is no such file", where=str(file), mend="Check the path of the rows") from e
    except (OSError, pa.ArrowException) as e:
        raise UserError(f"this is not a readable Parquet file ({e})", where=str(file)) from e
    names = ", ".join(missing)
    raise UserError(
        f"the rows have no column {names}", where=str(file), mend=f"The official layout has it; found here: {', '.join(have)}"
    )
