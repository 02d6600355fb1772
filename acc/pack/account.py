"""What pack counts: every sample, every token, by source."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acc.pack.plan import Plan
from acc.stage.manifest import Manifest
from acc.stage.rejections import Rejection, count_reasons


@dataclass(slots=True)
class Account:
    """The documents written so far as columns (tokens, labelled tokens, place of the source in `sources`), and what was not."""

    sources: list[str]
    lengths: array[int] = field(default_factory=lambda: array("q"))
    labelled: array[int] = field(default_factory=lambda: array("q"))
    source: array[int] = field(default_factory=lambda: array("q"))
    rejections: list[Rejection] = field(default_factory=list)
    set_aside: Counter[str] = field(default_factory=Counter)
    merged: int = 0
    control_samples: int = 0
    control_strings: int = 0

    def add(self, source: str, length: int, labelled: int, control_in_text: int) -> None:
        """Count one document."""
        self.lengths.append(length)
        self.labelled.append(labelled)
        self.source.append(self.sources.index(source))
        self.control_samples += control_in_text > 0
        self.control_strings += control_in_text

    def by_source(self) -> dict[str, NDArray[np.int64]]:
        """Source → numbers of its documents."""
        of = np.asarray(self.source)
        return {name: np.flatnonzero(of == i) for i, name in enumerate(self.sources)}

    def into(self, manifest: Manifest, order: NDArray[np.int64], plan: Plan, *, capacity: int) -> None:
        """Fill in a manifest's numbers. Tokens are counted as trained: a sample seen twice counts twice, a filler not."""
        lengths, labelled = np.asarray(self.lengths), np.asarray(self.labelled)
        seen = np.bincount(order, minlength=len(lengths))
        rows = [documents for _, _, documents in plan.sequences]
        sources = count_sources(self.by_source(), lengths, labelled, seen, rows)
        tokens = int((seen * lengths).sum())
        real = len(plan.sequences) - plan.fillers
        manifest.written, manifest.merged = len(lengths), self.merged
        manifest.rejected = count_reasons(self.rejections)
        manifest.records = manifest.written + self.merged + len(self.rejections)
        manifest.counts = {
            "set_aside": dict(sorted(self.set_aside.items())),
            "sources": sources,
            "drawn": len(order),
            "tokens": tokens,
            "labelled_tokens": int((seen * labelled).sum()),
            "longest_document": int(lengths.max()),
            "sequences": len(plan.sequences),
            "fillers": plan.fillers,
            "steps": plan.steps,
            "sequences_per_step": plan.per_step,
            "utilisation": round(tokens / (real * capacity), 6),
            "control_text": {"samples": self.control_samples, "strings": self.control_strings},
        }


def count_sources(
    documents: Mapping[str, NDArray[np.int64]],
    lengths: NDArray[np.int64],
    labelled: NDArray[np.int64],
    seen: NDArray[np.int64],
    rows: Sequence[Sequence[int]],
) -> dict[str, dict[str, Any]]:
    """What came of each source: `share_of` says what its weight came to, in samples, tokens and labelled tokens of all.

    Args:
        documents: source → numbers of its documents.
        lengths, labelled, seen: tokens, labelled tokens and draws of every document, by number.
        rows: the documents of every sequence, by number; a number beyond `seen` is a filler's.
    """
    total = {"samples": seen.sum(), "tokens": (seen * lengths).sum(), "labelled_tokens": (seen * labelled).sum()}
    held = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    flat = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    sources = {}
    for name, numbers in documents.items():
        drawn = int(seen[numbers].sum())
        given = {
            "samples": drawn,
            "tokens": int((seen * lengths)[numbers].sum()),
            "labelled_tokens": int((seen * labelled)[numbers].sum()),
        }
        sources[name] = {
            "samples": len(numbers),
            "drawn": drawn,
            "repeats": round(drawn / max(1, len(numbers)), 4),
            "unused": int((seen[numbers] == 0).sum()),
            "tokens": given["tokens"],
            "labelled_tokens": given["labelled_tokens"],
            "labelled_share": round(given["labelled_tokens"] / max(1, given["tokens"]), 6),
            "sequences": len(np.unique(held[np.isin(flat, numbers)])),
            "share_of": {unit: round(n / max(1, int(total[unit])), 6) for unit, n in given.items()},
        }
    return sources
