"""What becomes of every record of a run: kept, merged into another, or set aside.

Memory does not grow with the records: their index is a SQLite file in the run's scratch folder, and its sorting decides, not
sets and lists.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from acc.compile.quality import duplicates

COPIES, EQUAL, SAME_ANSWER, NEAR = "merged_copies", "merged_equal", "merged_same_answer", "merged_near"
OVER_MAX, IN_HELD_OUT = "over_max_records", "in_held_out"

LEADERS = 64
"""Samples of a bucket that all others in it are compared with, number: the first by rank."""
BATCH = 4_096
"""Records held as Python objects at a time, number."""

_TABLES = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
CREATE TABLE entries(
  id INTEGER PRIMARY KEY, part INTEGER, source INTEGER, file INTEGER, record INTEGER, path TEXT, split TEXT, target TEXT,
  run TEXT, completeness INTEGER, sample TEXT, question TEXT, answer TEXT, named TEXT,
  sufficiency INTEGER, verified INTEGER, pieces INTEGER, signature BLOB, fate TEXT NOT NULL DEFAULT '', kept INTEGER);
CREATE TABLE near(place INTEGER PRIMARY KEY, id INTEGER, signature BLOB, gone INTEGER NOT NULL DEFAULT 0);
CREATE TABLE bands(key INTEGER, place INTEGER);
BEGIN;
"""
_ORDER = "source, file, record"
_RANK = f"sufficiency, verified, pieces, {_ORDER}"
_SAMPLE = "fate = '' AND sample <> ''"


class Row(NamedTuple):
    """A record as it goes into the index. `sample` is "" for a rejection, `run` "" where it is unknown which run it is."""

    part: int
    source: int
    file: int
    record: int
    path: str
    split: str
    target: str
    run: str
    completeness: int
    sample: str
    question: str
    answer: str
    named: str
    sufficiency: int
    verified: int
    pieces: int
    signature: bytes


class Fates:
    """The index of a run.

    Args:
        path: the file to keep it in; an old one is replaced.
        rows: the records, in any order.
    """

    def __init__(self, path: Path, rows: Iterable[Row]) -> None:
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_TABLES)
        places = ", ".join("?" * len(Row._fields))
        self._db.executemany(f"INSERT INTO entries({', '.join(Row._fields)}) VALUES ({places})", rows)

    def decide(self, limits: Mapping[int, int], near: float | None) -> None:
        """Decide on every record, in this order; what is decided once stays.

        1. Records behind the first `limits[source]` of their source are over.
        2. Of the copies of a run the most complete is kept (one that gave a sample first), then the first.
        3. Of equal samples the best is kept, by the rank of its marks, then the first.
        4. A sample for training that is held out too, whatever its target, is set aside: the same run, the same sample, the
           same question with the same answer (or, as an agent's turns, without one), or a near-identical one.
        5. Of samples with the same question and the same answer the best is kept.
        6. Of near-identical samples the best is kept.

        2, 3, 5 and 6 join records of one split only, 5 and 6 of one target.

        Args:
            near: the similarity from which two samples are near-identical; None leaves out 5, 6 and the last part of 4.
        """
        for source, limit in limits.items():
            numbered = "SELECT id, ROW_NUMBER() OVER (ORDER BY file, record) AS n FROM entries WHERE source = ?"
            self._set(OVER_MAX, f"SELECT id, NULL AS kept FROM ({numbered}) WHERE n > ?", source, limit)
        self._join(COPIES, "split, target, run", f"completeness DESC, sample = '', {_ORDER}", "fate = '' AND run <> ''")
        self._join(EQUAL, "split, sample", _RANK, _SAMPLE)
        if self._db.execute(f"SELECT 1 FROM entries WHERE {_SAMPLE} AND split = 'held_out' LIMIT 1").fetchone():
            for same in ("run", "sample"):
                self._set(IN_HELD_OUT, _OF_BOTH_SPLITS.format(same=same))
            self._set(IN_HELD_OUT, _ASKED_IN_BOTH)
            if near is not None:
                self._near(near, held_out=True)
        if near is not None:
            self._join(SAME_ANSWER, "split, target, question, answer", _RANK, f"{_SAMPLE} AND question <> '' AND answer <> ''")
            self._near(near, held_out=False)
        while self._db.execute(_FOLLOW).rowcount:
            pass

    def each(self) -> Iterator[tuple[str, str]]:
        """(fate, id of the sample kept in its stead) of every row in order; fate "" for what is kept, and for rejections."""
        yield from self._db.execute(
            "SELECT e.fate, COALESCE(k.sample, '') FROM entries e LEFT JOIN entries k ON k.id = e.kept ORDER BY e.id"
        )

    def parts(self) -> list[int]:
        """The parts of which any sample is kept."""
        return [part for (part,) in self._db.execute(f"SELECT DISTINCT part FROM entries WHERE {_SAMPLE} ORDER BY part")]

    def kept(self, part: int) -> Iterator[tuple[str, str, int]]:
        """(sample id, path, record) of the samples of a part that are kept, in the order of their ids."""
        yield from self._db.execute(
            f"SELECT sample, path, record FROM entries WHERE {_SAMPLE} AND part = ? ORDER BY sample", (part,)
        )

    def _set(self, fate: str, found: str, *values: Any) -> None:
        """Give the fate to the rows that a query finds, which has the columns id and kept."""
        self._db.execute(
            f"UPDATE entries SET fate = ?, kept = found.kept FROM ({found}) AS found WHERE found.id = entries.id",
            (fate, *values),
        )

    def _join(self, fate: str, same: str, best: str, among: str) -> None:
        """Of the rows `among` that are the `same`, merge all into the `best`."""
        window = f"SELECT id, FIRST_VALUE(id) OVER (PARTITION BY {same} ORDER BY {best}) AS kept FROM entries WHERE {among}"
        self._set(fate, f"SELECT id, kept FROM ({window}) WHERE id <> kept")

    def _near(self, threshold: float, *, held_out: bool) -> None:
        """Merge near-identical samples of a split; or set aside those for training that are near-identical to a held-out one.

        A sample is compared with the better ones of its buckets that are kept, best first.
        """
        held = self._fill(threshold, held_out=held_out)
        across = f"AND a.place < {held} AND b.place >= {held}" if held_out else ""
        pairs = self._db.execute(_PAIRS.format(across=across))
        for place, better in groupby(pairs, key=itemgetter(0)):
            number, signature, _ = self._at(place)
            for _, other in better:
                kept, its, gone = self._at(other)
                if not gone and min(duplicates.similarity(signature, its)) >= threshold:
                    fate = IN_HELD_OUT if held_out else NEAR
                    self._db.execute("UPDATE entries SET fate = ?, kept = ? WHERE id = ?", (fate, kept, number))
                    self._db.execute("UPDATE near SET gone = 1 WHERE place = ?", (place,))
                    break

    def _fill(self, threshold: float, *, held_out: bool) -> int:
        """Put the samples that have the question or the answer of another into buckets, best first; how many are held out."""
        self._db.execute("DELETE FROM near")
        self._db.execute("DELETE FROM bands")
        found = self._db.execute(_CANDIDATES.format(apart="" if held_out else "target, split,"))
        place = held = 0
        while rows := list(islice(found, BATCH)):
            aparts = [[] if held_out else [r[3], r[4]] for r in rows]
            groups = [
                (_hash("question", *apart, r[5]), _hash("answer", *apart, *r[6:8]))
                for apart, r in zip(aparts, rows, strict=True)
            ]
            keys = duplicates.bands([r[1] for r in rows], groups, threshold)
            self._db.executemany(
                "INSERT INTO near(place, id, signature) VALUES (?, ?, ?)", ((place + i, r[0], r[1]) for i, r in enumerate(rows))
            )
            for half, wanted in ((0, 8), (1, 9)):
                some = [i for i, r in enumerate(rows) if r[wanted]]
                of_half = keys[some, half * duplicates.BANDS : (half + 1) * duplicates.BANDS].tolist()
                self._db.executemany(
                    "INSERT INTO bands VALUES (?, ?)",
                    ((key, place + i) for i, row in zip(some, of_half, strict=True) for key in row),
                )
            place += len(rows)
            held += sum(r[3] == "held_out" for r in rows)
        return held

    def _at(self, place: int) -> tuple[int, bytes, int]:
        found: tuple[int, bytes, int] = self._db.execute(
            "SELECT id, signature, gone FROM near WHERE place = ?", (place,)
        ).fetchone()
        return found


_OF_BOTH_SPLITS = f"""
SELECT t.id AS id, MIN(h.id) AS kept
FROM (SELECT id, {{same}} FROM entries WHERE {_SAMPLE} AND split = 'train') AS t
JOIN (SELECT id, {{same}} FROM entries WHERE {_SAMPLE} AND split = 'held_out') AS h ON h.{{same}} = t.{{same}}
WHERE t.{{same}} <> '' GROUP BY t.id"""
_ASKED_IN_BOTH = f"""
SELECT t.id AS id, h.id AS kept, MIN(h.place)
FROM (SELECT id, question, answer FROM entries WHERE {_SAMPLE} AND split = 'train') AS t
JOIN (SELECT id, question, answer, ROW_NUMBER() OVER (ORDER BY {_ORDER}) AS place FROM entries
  WHERE {_SAMPLE} AND split = 'held_out') AS h ON h.question = t.question
WHERE t.question <> '' AND t.answer IN ('', h.answer) GROUP BY t.id"""
_CANDIDATES = f"""
SELECT * FROM (
  SELECT id, signature, sufficiency, split, target, question, answer, named,
    question <> '' AND COUNT(*) OVER (PARTITION BY {{apart}} question) > 1 AS asked,
    answer <> '' AND COUNT(*) OVER (PARTITION BY {{apart}} answer, named) > 1 AS answered,
    verified, pieces, {_ORDER}
  FROM entries WHERE {_SAMPLE} AND LENGTH(signature) > 0)
WHERE asked OR answered ORDER BY split = 'train', {_RANK}"""
_PAIRS = f"""
WITH shared AS (
  SELECT * FROM (
    SELECT key, place, ROW_NUMBER() OVER (PARTITION BY key ORDER BY place) AS n, COUNT(*) OVER (PARTITION BY key) AS many
    FROM bands)
  WHERE many > 1)
SELECT DISTINCT b.place, a.place
FROM shared AS b JOIN shared AS a ON a.key = b.key AND a.place < b.place AND a.n <= {LEADERS} {{across}}
ORDER BY 1, 2"""
_FOLLOW = """
UPDATE entries SET kept = (SELECT k.kept FROM entries AS k WHERE k.id = entries.kept)
WHERE fate LIKE 'merged%' AND EXISTS (SELECT 1 FROM entries AS k WHERE k.id = entries.kept AND k.fate LIKE 'merged%')"""


def _hash(*values: str) -> int:
    return int.from_bytes(blake2b("\x1f".join(values).encode(), digest_size=8).digest(), "little")
