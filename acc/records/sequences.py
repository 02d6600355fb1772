"""Packed sequences on disk: token ids in one flat file that is memory-mapped, two Arrow tables that say what lies where.

```
pack/
  tokens.bin        uint32, little-endian: the token ids of every document, one after the other
  documents.arrow   a row a document: sample_id, source, target, start, length, label spans, piece spans
  sequences.arrow   a row a sequence: step, slot, and the numbers of its documents in order
  manifest.json
```

A document is a tokenized sample; a sequence is one or more documents, what one forward pass sees:

```
token ids     a a a a a A A | b b b B | f f f        (A, B labelled; f a filler without labels)
position ids  0 1 2 3 4 5 6   0 1 2 3   0 1 2
labels        - - - - - A A   - - - B   - - -
```
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from acc.errors import UserError
from acc.records.labels import IGNORE as IGNORE
from acc.stage.columns import from_rows
from acc.stage.files import whole

SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64())])
PIECE_SPAN = pa.struct([("role", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
DOCUMENTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("label_spans", pa.list_(SPAN)),
        ("piece_spans", pa.list_(PIECE_SPAN)),
    ]
)
BATCH = 4_096
"""Documents held as Python objects at a time, number."""
SEQUENCES = pa.schema([("step", pa.int64()), ("slot", pa.int64()), ("documents", pa.list_(pa.int64()))])


@dataclass(frozen=True, slots=True)
class Document:
    """One tokenized sample.

    `label_spans` and the spans in `piece_spans` (role, start, end) are half-open token ranges within the document. A token
    in a label span is predicted from the tokens before it. A filler has `sample_id` "" and no label spans.
    """

    sample_id: str
    source: str
    target: str
    start: int
    length: int
    label_spans: list[tuple[int, int]] = field(default_factory=list)
    piece_spans: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PackedSequence:
    """What one forward pass sees, all arrays of shape [length].

    `labels[i]` is the token id at i where i is labelled, else IGNORE (not yet shifted: the loss predicts labels[i + 1] at i).
    `document_ids[i]` is the place in `documents` of the document that token i belongs to.
    """

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    document_ids: NDArray[np.int64]
    documents: list[Document]


class SequenceWriter:
    """Writes documents one at a time (memory does not grow with tokens) and, at the end, the sequences over them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._count = 0
        self._partial = folder / ".tokens.bin.partial"
        self._tokens = self._partial.open("wb")
        self._end = 0

    def add(
        self,
        token_ids: Sequence[int] | NDArray[Any],
        *,
        sample_id: str,
        source: str,
        target: str,
        label_spans: Iterable[tuple[int, int]],
        piece_spans: Iterable[tuple[str, int, int]] = (),
    ) -> int:
        """Append a document; return its number, which sequences refer to."""
        ids = np.asarray(token_ids, dtype="<u4")
        self._tokens.write(ids.tobytes())
        row = {
            "sample_id": sample_id,
            "source": source,
            "target": target,
            "start": self._end,
            "length": len(ids),
            "label_spans": [{"start": s, "end": e} for s, e in label_spans],
            "piece_spans": [{"role": r, "start": s, "end": e} for r, s, e in piece_spans],
        }
        self._rows.append(row)
        if len(self._rows) == BATCH:
            self._flush()
        self._end += len(ids)
        self._count += 1
        return self._count - 1

    def _flush(self) -> None:
        """Rows as Arrow: a tenth of what they take as dictionaries."""
        self._batches.append(from_rows(self._rows, DOCUMENTS))
        self._rows = []

    def close(self, sequences: Iterable[tuple[int, int, list[int]]]) -> None:
        """Write the tables. `sequences` are (step, slot, document numbers); they are stored sorted by (step, slot)."""
        self._flush()
        self._tokens.flush()
        os.fsync(self._tokens.fileno())
        self._tokens.close()
        self._partial.replace(self.folder / "tokens.bin")
        rows = [{"step": t, "slot": k, "documents": d} for t, k, d in sorted(sequences)]
        documents = pa.Table.from_batches(self._batches, schema=DOCUMENTS).combine_chunks()
        write_arrow(self.folder / "documents.arrow", documents)
        write_arrow(self.folder / "sequences.arrow", pa.Table.from_batches([from_rows(rows, SEQUENCES)]))


class SequenceStore:
    """Packed sequences, memory-mapped: opening it reads nothing, an item reads its own tokens only.

    Args:
        folder: what `SequenceWriter` wrote.

    Raises:
        UserError: the folder holds no packed sequences.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("tokens.bin", "documents.arrow", "sequences.arrow"):
            if not (folder / name).is_file():
                raise UserError(f"{name} is missing, so this is no pack folder", where=str(folder), mend="Run `acc pack` first")
        self.folder = folder
        self._documents = read_arrow(folder / "documents.arrow")
        self._sequences = read_arrow(folder / "sequences.arrow")
        size = (folder / "tokens.bin").stat().st_size
        empty = np.zeros(0, dtype="<u4")
        self._tokens: NDArray[np.uint32] = np.memmap(folder / "tokens.bin", dtype="<u4", mode="r") if size else empty
        self.steps: NDArray[np.int64] = self._sequences["step"].to_numpy()
        """Step of each sequence, shape [sequences], ascending; -1 everywhere when packed with scope global."""

    def __len__(self) -> int:
        return int(self._sequences.num_rows)

    @cached_property
    def costs(self) -> NDArray[np.int64]:
        """Attention cost of each sequence, shape [sequences]: the sum of its documents' squared lengths."""
        lists = self._sequences["documents"].combine_chunks()
        numbers, counts = lists.flatten().to_numpy(zero_copy_only=False), lists.value_lengths().to_numpy(zero_copy_only=False)
        squares = self._documents["length"].to_numpy()[numbers] ** 2
        places = np.repeat(np.arange(len(self)), counts)
        return np.bincount(places, weights=squares, minlength=len(self)).astype(np.int64)

    @cached_property
    def longest_document(self) -> int:
        """Length of the longest document, tokens; 0 if there is none."""
        return int(self._documents["length"].to_numpy().max(initial=0))

    @property
    def num_documents(self) -> int:
        return int(self._documents.num_rows)

    @property
    def sources(self) -> list[str]:
        """The names of the documents' sources, sorted."""
        return sorted(set(self._documents["source"].unique().to_pylist()))

    def document(self, number: int) -> Document:
        row = self._documents.slice(number, 1).to_pylist()[0]
        row["label_spans"] = [(s["start"], s["end"]) for s in row["label_spans"]]
        row["piece_spans"] = [(s["role"], s["start"], s["end"]) for s in row["piece_spans"]]
        return Document(**row)

    def document_numbers(self, index: int) -> list[int]:
        """The numbers of the documents of sequence `index`."""
        numbers: list[int] = self._sequences["documents"][index].as_py()
        return numbers

    def tokens(self, document: Document) -> NDArray[np.int64]:
        """The token ids of one document, shape [document.length]."""
        return self._tokens[document.start : document.start + document.length].astype(np.int64)

    def __getitem__(self, index: int) -> PackedSequence:
        documents = [self.document(n) for n in self.document_numbers(index)]
        ids = [self.tokens(d) for d in documents]
        labels = []
        for d, tokens in zip(documents, ids, strict=True):
            kept = np.full(d.length, IGNORE, dtype=np.int64)
            for start, end in d.label_spans:
                kept[start:end] = tokens[start:end]
            # The first token of a document has nothing before it in its own document to be predicted from.
            kept[:1] = IGNORE
            labels.append(kept)
        lengths = [d.length for d in documents]
        return PackedSequence(
            input_ids=np.concatenate(ids),
            position_ids=np.concatenate([np.arange(n) for n in lengths]),
            labels=np.concatenate(labels),
            document_ids=np.repeat(np.arange(len(lengths)), lengths),
            documents=documents,
        )


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an Arrow IPC file, whole or not at all."""
    with whole(path) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)


def read_arrow(path: Path) -> pa.Table:
    """Map an Arrow IPC file into memory."""
    return pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
