"""Rejections: what was not written, why, and where to look at it. Promise 1 is kept with these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from acc.stage.columns import from_columns
from acc.stage.files import whole
from acc.stage.sorting import sorted_on_disk

SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("source", pa.string()),
        ("index", pa.int64()),
        ("locator", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class Rejection:
    """One record that a stage did not write.

    `source` is the file (as the user named it), `index` the record's place in it (0-based; line, list index or order of
    simulation, as the format counts; -1 where the whole file is meant), `locator` what finds the record again (an id, or
    "line 17"), `reason` a short stable word with underscores that can be counted, `detail` a sentence for a person.
    """

    stage: str
    reason: str
    source: str
    index: int
    locator: str
    detail: str


def count_reasons(rejections: Iterable[Rejection]) -> dict[str, int]:
    """How often each reason occurs, sorted by reason."""
    return dict(sorted(Counter(r.reason for r in rejections).items()))


def write_rejections(path: Path, rejections: Iterable[Rejection]) -> None:
    """Write rejections as Parquet, sorted, so that the bytes do not depend on who found them first; one batch is in memory."""
    rows = (astuple(r) for r in rejections)
    with whole(path) as partial, pq.ParquetWriter(partial, SCHEMA) as writer:
        for columns in sorted_on_disk(rows, len(SCHEMA)):
            writer.write_batch(from_columns(columns, SCHEMA))


def read_rejections(path: Path) -> list[Rejection]:
    """Read what `write_rejections` wrote."""
    return [Rejection(**row) for row in pq.read_table(path, schema=SCHEMA).to_pylist()]
