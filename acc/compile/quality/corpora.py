"""Texts that must not be trained on: of the two benchmarks, and of any file.

Of a benchmark that text is taken which is a row's own, not what all rows share:

- MRCR: what the assistant writes in the conversation, and the answer. The requests ("write a poem about tapirs") and the
  instructions are in every row.
- GraphWalks: the edges and the operation, without the worked example before and the instructions on the answer behind.

Rows of a Parquet or JSON Lines file that have a benchmark's columns are read as that benchmark's. Of other rows every text is
taken, of other files the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from acc.errors import UserError
from acc.stage.hub import snapshot

BENCHMARKS = {"mrcr": "openai/mrcr", "graphwalks": "openai/graphwalks"}
"""Names in a recipe → data sets of the hub."""

_GRAPH_FROM, _GRAPH_TO = "has the following edges:", "You should immediately return"


def files_of(name: str, resolve: Callable[[str], Path], rows: Sequence[Path] = ()) -> list[Path]:
    """The files behind a name of `quality.decontaminate`: a benchmark, or a file or folder.

    Args:
        rows: files and folders where the benchmark's rows lie; without them they come from the hub.

    Raises:
        UserError: there is no such file, or the hub cannot be reached and the benchmark is not in its cache.
    """
    found = [Path(p) for p in rows] if name in BENCHMARKS and rows else None
    if found is None:
        found = snapshot(BENCHMARKS[name], "main")[1] if name in BENCHMARKS else [resolve(name)]
    files = [f for path in found for f in (sorted(path.rglob("*.parquet")) if path.is_dir() else [path])]
    for file in files or found:
        if not file.is_file():
            known = ", ".join(BENCHMARKS)
            raise UserError(
                f"{file} is not there or holds no Parquet file",
                where=f"quality.decontaminate {name}",
                mend=f"Name {known}, or a JSONL, Parquet or text file relative to the recipe",
            )
    return files


def texts_of(file: Path) -> Iterator[list[str]]:
    """The texts of each row of a file; a text file is one row.

    Raises:
        UserError: the file cannot be read as what its name says.
    """
    try:
        if file.suffix == ".parquet":
            for batch in pq.ParquetFile(file).iter_batches(64):
                yield from map(_texts, batch.to_pylist())
        elif file.suffix in (".jsonl", ".ndjson", ".json"):
            yield from map(_texts, _json_rows(file))
        else:
            yield [file.read_text(encoding="utf-8", errors="replace")]
    except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as e:
        raise UserError(f"this file cannot be read ({e})", where=f"quality.decontaminate {file}") from e


def _texts(row: Any) -> list[str]:
    """What of a row is its own."""
    if isinstance(row, dict):
        if {"prompt", "random_string_to_prepend"} <= row.keys():
            messages = json.loads(row["prompt"])
            written = [str(m.get("content") or "") for m in messages if m.get("role") == "assistant"]
            return [*written, str(row.get("answer") or "").removeprefix(row["random_string_to_prepend"])]
        if {"prompt", "answer_nodes"} <= row.keys():
            return [str(row["prompt"]).rpartition(_GRAPH_FROM)[2].partition(_GRAPH_TO)[0]]
    return list(_strings(row))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _json_rows(file: Path) -> Iterator[Any]:
    with file.open(encoding="utf-8") as f:
        if file.suffix == ".json":
            data = json.load(f)
            yield from data if isinstance(data, list) else [data]
        else:
            yield from (json.loads(line) for line in f if line.strip())
