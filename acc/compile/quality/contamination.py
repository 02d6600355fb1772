"""Contamination: does a sample share a run of words with a text that must not be trained on?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acc.compile.quality.corpora import BENCHMARKS, files_of, texts_of
from acc.compile.quality.grams import Hashes, grams, word_hashes, words_of
from acc.errors import UserError
from acc.recipe import Recipe
from acc.stage.files import digest, file_digest, whole
from acc.stage.hub import snapshot

FEWEST_WORDS = 4
"""Different words that a run must have: a line of zeros is no text."""
SHARED_ROWS = 10
"""Rows from which on a run that stands in more than half of a file's rows is their form, not their content."""


@dataclass(frozen=True, slots=True)
class _Corpus:
    """The runs of one name, sorted, and a bit for each by its first bits: most runs of a sample end there."""

    name: str
    runs: Hashes
    bits: NDArray[np.bool_]

    def first(self, found: Hashes) -> int | None:
        """The place of the first of `found` that is one of the runs."""
        maybe = np.flatnonzero(self.bits[found >> _shift(self.bits)])
        if not len(maybe):
            return None
        wanted = found[maybe]
        places = np.minimum(np.searchsorted(self.runs, wanted), len(self.runs) - 1)
        hits = maybe[self.runs[places] == wanted]
        return int(hits[0]) if len(hits) else None


class Contamination:
    """Runs of words of benchmarks and files, to look samples up in.

    Runs are kept in a cache folder and mapped into memory, so all processes of a machine share them.

    Args:
        names: mrcr, graphwalks, or files (JSONL, Parquet, text).
        ngram: words in a row that make a sample contaminated. Texts with fewer words are never found.
        resolve: a path of the recipe → where it lies.
        rows: benchmark → files and folders with its rows; a benchmark without comes from the hub.

    Raises:
        UserError: a file is not there or cannot be read, or a benchmark can't be had.
    """

    def __init__(
        self,
        names: Sequence[str],
        ngram: int,
        resolve: Callable[[str], Path],
        rows: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        self.ngram = ngram
        files = {name: files_of(name, resolve, (rows or {}).get(name, ())) for name in names}
        self.fingerprint = {name: digest([_digest(f, f.stat().st_mtime_ns) for f in found]) for name, found in files.items()}
        """Name → hash of its files: what the outcome depends on."""
        self._corpora = [_open(name, tuple(found), ngram, self.fingerprint[name]) for name, found in files.items()]

    def finds(self, *texts: str) -> str | None:
        """Where any of the texts shares a run of words, and which: `mrcr: "the words…"`; None where none does."""
        for text in texts if self._corpora else ():
            found = grams(word_hashes(text), self.ngram)
            for corpus in self._corpora:
                if len(found) and (place := corpus.first(found)) is not None:
                    return f'{corpus.name}: "{" ".join(words_of(text)[place : place + self.ngram])}"'
        return None


def contamination_of(recipe: Recipe) -> Contamination:
    """What the recipe names. A benchmark that it evaluates on rows of its own is looked up in those rows; on rows of the hub,
    in all Parquet files of that data set at that revision, whichever of them it asks."""
    rows: dict[str, list[Path]] = {}
    for benchmark in recipe.evaluate.benchmarks:
        if benchmark.name not in recipe.quality.decontaminate:
            continue
        if benchmark.rows is not None:
            rows.setdefault(benchmark.name, []).append(recipe.resolve(benchmark.rows))
        if benchmark.hub is not None:
            rows.setdefault(benchmark.name, []).extend(snapshot(benchmark.hub.dataset, benchmark.hub.revision)[1])
    return Contamination(recipe.quality.decontaminate, recipe.quality.ngram, recipe.resolve, rows)


@lru_cache(maxsize=256)
def _digest(file: Path, changed: int) -> str:
    """The hash of a file; it is read once a process unless it changes."""
    del changed
    return file_digest(file)


@lru_cache(maxsize=16)
def _open(name: str, files: tuple[Path, ...], ngram: int, fingerprint: str) -> _Corpus:
    """The runs of a name from the cache, made where they are not there."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(home) / "acc" / f"contamination-{digest([fingerprint, ngram, FEWEST_WORDS, SHARED_ROWS])}.npy"
    if not path.is_file():
        made = _runs(files, ngram)
        try:
            with whole(path) as partial, partial.open("wb") as f:
                np.save(f, made)
        except OSError as e:
            mend = "Set XDG_CACHE_HOME to a folder that can be written"
            raise UserError(f"the cache cannot be written ({e.strerror})", where=str(path.parent), mend=mend) from e
    runs: Hashes = np.load(path, mmap_mode="r")
    size = max(16, min(26, (8 * len(runs)).bit_length()))
    bits = np.zeros(2**size, dtype=np.bool_)
    bits[runs >> _shift(bits)] = True
    return _Corpus(name if name in BENCHMARKS else Path(name).name, runs, bits)


def _shift(bits: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(64 - (len(bits).bit_length() - 1))


def _runs(files: Sequence[Path], ngram: int) -> Hashes:
    """The sorted runs of words of all rows, each once; without those that are the rows' form."""
    found, rows = [], 0
    seen: set[int] = set()
    for row in (row for file in files for row in texts_of(file)):
        fresh = list(_fresh(row, seen))
        rows += 1
        if fresh:
            found.append(np.unique(np.concatenate([_of_text(text, ngram) for text in fresh])))
    if not found:
        return np.zeros(0, dtype=np.uint64)
    runs, counts = np.unique(np.concatenate(found), return_counts=True)
    own: Hashes = runs[counts <= rows / 2] if rows >= SHARED_ROWS else runs
    return own


def _fresh(texts: Sequence[str], seen: set[int]) -> Iterator[str]:
    """The texts not met before: MRCR takes the same answers for many rows."""
    for text in texts:
        if (key := hash(text)) not in seen:
            seen.add(key)
            yield text


def _of_text(text: str, ngram: int) -> Hashes:
    words = word_hashes(text)
    if len(words) < ngram:
        return np.zeros(0, dtype=np.uint64)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(words, ngram), axis=1)
    different = 1 + np.count_nonzero(np.diff(windows, axis=1), axis=1)
    runs: Hashes = grams(words, ngram)[different >= min(FEWEST_WORDS, ngram)]
    return runs
