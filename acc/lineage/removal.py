"""Taking samples out of a run's compiled and packed data, whole or not at all, with the account kept exact."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from acc.lineage.runs import SAMPLES, Run
from acc.pack.account import count_sources
from acc.records.sample import SCHEMA
from acc.records.sequences import DOCUMENTS, SEQUENCES, read_arrow, write_arrow
from acc.stage.files import file_digest, whole
from acc.stage.manifest import MANIFEST, Manifest, read_manifest, stage_key

JOURNALS = ("teacher.jsonl", "leakage.jsonl")
_ID = re.compile(rb"[0-9a-f]{32}")
_COPIED = 1 << 24
"""Bytes of token ids copied at a time."""


def remove(run: Run, sample_ids: Collection[str]) -> dict[str, int]:
    """Remove samples from samples.parquet, from the pack and from the teacher's journals of a run; return what went, by file.

    Each file is replaced at once. A pack that is killed in the middle has no manifest, so `acc pack` makes it again from the
    samples that are left. Sequences keep their number and place: one that is empty now holds the filler, which has no labels.
    """
    ids = set(sample_ids)
    gone = {SAMPLES: _from_samples(run.compile, ids)}
    if run.pack is not None:
        gone["pack"] = _from_pack(run.pack, ids, run.compile / SAMPLES)
    for name in JOURNALS:
        if (run.compile / name).is_file():
            gone[name] = _from_journal(run.compile / name, ids)
    return gone


def _from_samples(folder: Path, ids: set[str]) -> int:
    """Rewrite samples.parquet without the samples, a row group at a time."""
    path = folder / SAMPLES
    file = pq.ParquetFile(path)
    gone: Counter[tuple[str, str]] = Counter()
    with whole(path) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            out = pc.is_in(table["sample_id"], pa.array(sorted(ids), pa.string()))
            removed = table.filter(out).select(["source", "domain"]).to_pylist()
            gone.update((row["source"], row["domain"]) for row in removed)
            left = table.filter(pc.invert(out))
            if left.num_rows:
                writer.write_table(left)
    if (manifest := read_manifest(folder)) is not None:
        manifest.written -= gone.total()
        manifest.purged += gone.total()
        counts = manifest.counts
        for (source, domain), n in gone.items():
            for tally in (counts.get("all"), (counts.get("sources") or {}).get(source)):
                if tally is not None:
                    tally["written"] -= n
                    tally["purged"] = tally.get("purged", 0) + n
                    tally["domains"][domain] -= n
        manifest.write(folder)
    return gone.total()


def _from_pack(folder: Path, ids: set[str], samples: Path) -> int:
    """Rewrite the three files of a pack without the samples' documents, then its manifest with the samples' new hash."""
    manifest = read_manifest(folder)
    documents, sequences = read_arrow(folder / "documents.arrow"), read_arrow(folder / "sequences.arrow")
    out = pc.is_in(documents["sample_id"], pa.array(sorted(ids), pa.string())).to_numpy()
    kept = np.flatnonzero(~out)
    if len(kept) < documents.num_rows:
        # What is half rewritten must not be taken for a whole pack.
        (folder / MANIFEST).unlink(missing_ok=True)
        starts = _copy_tokens(folder / "tokens.bin", documents, kept)
        numbers = np.full(documents.num_rows, -1, dtype=np.int64)
        numbers[kept] = np.arange(len(kept))
        filler = int(numbers[pc.index(documents["sample_id"], "").as_py()])
        rows = [[int(numbers[d]) for d in held if numbers[d] >= 0] or [filler] for held in sequences["documents"].to_pylist()]
        left = documents.take(pa.array(kept)).set_column(
            DOCUMENTS.get_field_index("start"), DOCUMENTS.field("start"), pa.array(starts, pa.int64())
        )
        place = SEQUENCES.get_field_index("documents")
        packed = sequences.set_column(place, SEQUENCES.field(place), pa.array(rows, SEQUENCES.field(place).type))
        write_arrow(folder / "documents.arrow", left)
        write_arrow(folder / "sequences.arrow", packed)
        if manifest is not None:
            _recount(manifest, left, rows, filler)
    gone = int(out.sum())
    if manifest is not None:
        manifest.written -= gone
        manifest.purged += gone
        manifest.inputs = {**manifest.inputs, SAMPLES: file_digest(samples)}
        manifest.key = stage_key("pack", manifest.seed, manifest.recipe, manifest.inputs)
        manifest.write(folder)
    return gone


def _copy_tokens(path: Path, documents: pa.Table, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rewrite tokens.bin with the kept documents alone; return where each begins now."""
    lengths, old = documents["length"].to_numpy()[kept], documents["start"].to_numpy()[kept]
    with whole(path) as partial, path.open("rb") as source, partial.open("wb") as target:
        for start, length in zip(old.tolist(), lengths.tolist(), strict=True):
            source.seek(4 * start)
            left = 4 * length
            while left:
                data = source.read(min(left, _COPIED))
                target.write(data)
                left -= len(data)
        target.flush()
        os.fsync(target.fileno())
    starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    return starts


def _recount(manifest: Manifest, documents: pa.Table, rows: list[list[int]], filler: int) -> None:
    """The pack's numbers of what is left."""
    lengths, sources = documents["length"].to_numpy(), np.asarray(documents["source"].to_pylist())
    spans = documents["label_spans"].to_pylist()
    labelled = np.array([sum(s["end"] - s["start"] for s in of) for of in spans], dtype=np.int64)
    seen = np.bincount(np.concatenate(rows).astype(np.int64), minlength=len(lengths))
    seen[filler] = 0
    counts: dict[str, Any] = manifest.counts
    of = {name: np.flatnonzero(sources == name) for name in counts.get("sources") or {}}
    counts["sources"] = count_sources(of, lengths, labelled, seen, rows)
    tokens, fillers = int((seen * lengths).sum()), sum(row == [filler] for row in rows)
    capacity = max(1, (len(rows) - fillers) * int(manifest.recipe["pack"]["length"]))
    real = np.delete(lengths, filler)
    counts |= {"drawn": int(seen.sum()), "tokens": tokens, "labelled_tokens": int((seen * labelled).sum())}
    counts |= {"longest_document": int(real.max(initial=0)), "fillers": fillers, "utilisation": round(tokens / capacity, 6)}


def _from_journal(path: Path, ids: set[str]) -> int:
    """Rewrite a journal without the lines that name one of the samples."""
    wanted, gone = {i.encode() for i in ids}, 0
    with whole(path) as partial, path.open("rb") as source, partial.open("wb") as target:
        for line in source:
            if wanted.isdisjoint(_ID.findall(line)):
                target.write(line)
            else:
                gone += 1
    return gone
