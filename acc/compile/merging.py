"""Parts of tasks → one file of samples sorted by id, whatever the tasks were; copies merged, every record accounted for."""

from __future__ import annotations

import base64
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from acc.compile.fates import IN_HELD_OUT, OVER_MAX, Fates, Row
from acc.compile.tasks import GROUP_CHARS, STAGE, Entry, Part, over_max_records
from acc.recipe.sources import Source
from acc.records.sample import Sample, read_samples, write_samples
from acc.stage.columns import from_columns
from acc.stage.files import whole
from acc.stage.rejections import Rejection
from acc.stage.sorting import sorted_on_disk
from acc.trajectories.join import UNMATCHED

FAN_IN = 16
"""Files merged at once: each holds one row group in memory."""

MERGED = pa.schema([("source", pa.string()), ("index", pa.int64()), ("reason", pa.string()), ("into", pa.string())])
"""A row a merged record: its file, its place in it, why, and the sample kept in its stead ("" where that was rejected)."""


@dataclass(slots=True)
class Tally:
    """The account of one source. `merged` is by reason."""

    records: int = 0
    written: int = 0
    merged: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Counts for the manifest; tokens are of prompt and target together."""
        return {
            "records": self.records,
            "written": self.written,
            "merged": self.merged.total(),
            "rejected": dict(sorted(self.rejected.items())),
            "domains": dict(sorted(self.domains.items())),
            "tokens": quantiles(self.tokens),
            **dict(sorted((self.merged + self.counts).items())),
        }


@dataclass(slots=True)
class Account:
    """What became of all records: the tallies of the sources, and on disk the fates, the rejections and what was merged."""

    tallies: list[Tally]
    fates: Fates
    scratch: Path

    def rejections(self) -> Iterator[Rejection]:
        """Every rejection, in the order of the records."""
        yield from (Rejection(**row) for row in _lines(self.scratch / "rejections.jsonl"))

    def merged(self) -> Iterator[tuple[str, int, str, str]]:
        """Every merged record as a row of MERGED, in the order of the records."""
        yield from (tuple(row) for row in _lines(self.scratch / "merged.jsonl"))


def settle(
    parts: Sequence[Part],
    sources: Sequence[Source],
    near: float | None,
    scratch: Path,
    joins: Sequence[Sequence[int]] = (),
) -> Account:
    """Decide on every record; see `Fates.decide` for the rules.

    Args:
        joins: of each source the number of rows of each of its joins, to count those that no record took.
        near: the similarity from which two samples are one, None for never (`quality.near_duplicates`).
        scratch: folder for what does not fit into memory; it is not cleaned up.
    """
    fates = Fates(scratch / "index.sqlite", _rows(parts, sources))
    fates.decide({n: source.max_records for n, source in enumerate(sources) if source.max_records is not None}, near)
    account = Account([Tally() for _ in sources], fates, scratch)
    entries = (entry for part in parts for entry in _entries(part))
    taken = [[np.zeros(rows, dtype=np.bool_) for rows in of_source] for of_source in joins or [()] * len(sources)]
    with (scratch / "rejections.jsonl").open("w") as rejections, (scratch / "merged.jsonl").open("w") as merged:
        for entry, (fate, into) in zip(entries, fates.each(), strict=True):
            tally = account.tallies[entry.order[0]]
            tally.records += 1
            for row, used in zip(entry.joined, taken[entry.order[0]], strict=False):
                tally.counts["unjoined"] += row == UNMATCHED
                used[row] |= row != UNMATCHED
            if rejection := _rejection(entry, fate, into, sources):
                tally.rejected[rejection.reason] += 1
                _write(rejections, asdict(rejection))
            elif fate:
                tally.merged[fate] += 1
                _write(merged, [entry.file, entry.order[2], fate, into])
            else:
                tally.written += 1
                tally.domains[entry.domain] += 1
                tally.tokens.append(entry.tokens)
                tally.counts.update(entry.counts)
    for tally, tables in zip(account.tallies, taken, strict=True):
        tally.counts["join_rows_left"] += sum(int((~used).sum()) for used in tables)
        tally.counts += Counter()  # without zeros
    return account


def merge(parts: Sequence[Part], account: Account, out: Path, scratch: Path) -> int:
    """Write the kept samples sorted by id; return how many. At most FAN_IN row groups are in memory at a time."""
    streams = [_kept(parts[n].samples, account.fates.kept(n)) for n in account.fates.parts()]
    level = 0
    while len(streams) > FAN_IN:
        paths = []
        for n in range(0, len(streams), FAN_IN):
            paths.append(scratch / f"merged-{level}-{n // FAN_IN:05d}.parquet")
            write_samples(paths[-1], _sorted(streams[n : n + FAN_IN]), GROUP_CHARS)
        streams, level = [read_samples(path) for path in paths], level + 1
    return write_samples(out, _sorted(streams))


def write_merged(path: Path, account: Account) -> None:
    """Write what was merged into what as Parquet, sorted by file and place."""
    with whole(path) as partial, pq.ParquetWriter(partial, MERGED) as writer:
        for columns in sorted_on_disk(account.merged(), len(MERGED)):
            writer.write_batch(from_columns(columns, MERGED))


def quantiles(values: Iterable[int]) -> dict[str, int]:
    """p50, p90 (nearest rank) and max; zeros where there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0, "p90": 0, "max": 0}
    rank = {p: ordered[max(0, -(-len(ordered) * p // 100) - 1)] for p in (50, 90)}
    return {"p50": rank[50], "p90": rank[90], "max": ordered[-1]}


def _rejection(entry: Entry, fate: str, into: str, sources: Sequence[Source]) -> Rejection | None:
    """The rejection of a record, None where it was written or merged."""
    if fate == OVER_MAX:
        return over_max_records(entry.file, entry.order[2], sources[entry.order[0]].max_records or 0)
    if fate == IN_HELD_OUT:
        detail = f"the held-out sample {into} is the same run, or has the same question and answer or evidence"
        return Rejection(STAGE, IN_HELD_OUT, entry.file, entry.order[2], f"sample {entry.sample_id}", detail)
    return None if fate else entry.rejection


def _rows(parts: Sequence[Part], sources: Sequence[Source]) -> Iterator[Row]:
    for n, part in enumerate(parts):
        for entry in _entries(part):
            source = sources[entry.order[0]]
            marks = entry.marks
            yield Row(
                n, *entry.order, entry.file, source.split, source.target, entry.run, entry.completeness, entry.sample_id,
                marks.question, marks.answer, marks.named, *marks.rank, base64.b64decode(marks.signature),
            )  # fmt: skip


def _entries(part: Part) -> Iterator[Entry]:
    with part.index.open(encoding="utf-8") as f:
        yield from map(Entry.parse, f)


def _kept(path: Path, kept: Iterator[tuple[str, str, int]]) -> Iterator[Sample]:
    """A part's samples that are kept. Both stand in the order of sample ids; of equal ids one is kept."""
    wanted = next(kept, None)
    for sample in read_samples(path):
        if wanted is None:
            return
        if (sample.sample_id, sample.record_file, sample.record_index) == wanted:
            yield sample
            wanted = next(kept, None)


def _sorted(streams: Iterable[Iterator[Sample]]) -> Iterator[Sample]:
    return heapq.merge(*streams, key=lambda sample: sample.sample_id)


def _write(file: TextIO, value: Any) -> None:
    file.write(json.dumps(value) + "\n")


def _lines(path: Path) -> Iterator[Any]:
    with path.open() as f:
        yield from map(json.loads, f)
