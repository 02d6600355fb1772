"""One task of a compile run: records in; a part of the samples and an index of all its records out."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep
from loguru import logger

from acc.chat import StudentChat, load_chat
from acc.compile.equipment import Equipment, equip
from acc.compile.evidence import Refused
from acc.compile.fields import Compiled
from acc.compile.quality.duplicates import Marks, marks
from acc.compile.samples import compile_trajectory
from acc.recipe import Recipe
from acc.records.sample import Sample, read_samples, write_samples
from acc.stage.files import whole
from acc.stage.rejections import Rejection
from acc.trajectories.files import Skipped
from acc.trajectories.reading import Task, read_task
from acc.trajectories.record import Trajectory

logger.disable("datatrove")  # its log of every task is for its own developers; errors reach the user as exceptions

STAGE = "compile"
GROUP_CHARS = 200_000
"""Row groups of parts, characters: when parts are merged one of each is in memory."""
RUN_CHARS = 50_000_000
"""Prompts that a task holds in memory to sort them, characters."""
Order = tuple[int, int, int]
"""The place of a record: source, file and record, each from 0. It decides which of two copies is kept."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task with the source it belongs to, and the place of each file among the source's files."""

    source: int
    task: Task
    places: tuple[int, ...]


@dataclass(slots=True)
class Entry:
    """What became of one record of `file`: a sample, or a rejection.

    `run` is equal for copies of one run, "" where unknown; of them the one with the largest `completeness` is kept. By `marks`
    samples are compared with others. `joined` is the row taken from each join of the source, UNMATCHED where there was none.
    """

    order: Order
    file: str = ""
    run: str = ""
    completeness: int = 0
    joined: list[int] = field(default_factory=list)
    sample_id: str = ""
    marks: Marks = field(default_factory=Marks)
    domain: str = ""
    tokens: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rejection: Rejection | None = None

    def line(self) -> str:
        """The entry as a line of JSON."""
        return json.dumps(self, ensure_ascii=False, default=lambda o: {name: getattr(o, name) for name in o.__slots__})

    @classmethod
    def parse(cls, line: str) -> Entry:
        """The inverse of `line`."""
        data: dict[str, Any] = json.loads(line)
        rejection = data.pop("rejection")
        data["order"] = tuple(data["order"])
        data["marks"] = Marks(**data["marks"])
        return cls(**data, rejection=Rejection(**rejection) if rejection else None)


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one task."""

    folder: Path
    rank: int

    @property
    def samples(self) -> Path:
        """Samples sorted by (sample id, place), Parquet."""
        return self.folder / f"{self.rank:05d}.parquet"

    @property
    def index(self) -> Path:
        """One entry a record, JSON lines, in the order of the records."""
        return self.folder / f"{self.rank:05d}.jsonl"


class Read(PipelineStep):
    """The records of this rank's task, one at a time, with their places.

    With `tied` it ends when the process that made it is gone: processes of this machine must not outlive a killed parent.
    """

    name = "read"
    type = "acc"

    def __init__(self, works: list[Work], forms: list[str], tied: bool) -> None:
        super().__init__()
        self.works, self.forms = works, forms
        self.owner = os.getpid() if tied else None

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[tuple[Order, Trajectory | Rejection]]:
        """Yield (place, record)."""
        del data, world_size
        work = self.works[rank]
        for place, span in zip(work.places, work.task, strict=True):
            for item in read_task((span,), form=self.forms[work.source], questions=False):
                if self.owner is not None and not _is_alive(self.owner):
                    raise SystemExit("the process that started this task is gone")
                if not isinstance(item, Skipped):
                    yield (work.source, place, item.index), item


class Compile(PipelineStep):
    """Trajectories → samples, with an entry for every record."""

    name = "compile"
    type = "acc"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self._kits: dict[int, Equipment] = {}

    def run(
        self, data: Iterable[tuple[Order, Trajectory | Rejection]], rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Entry, Sample | None]]:
        """Yield (entry, sample if there is one)."""
        del rank, world_size
        for n, (order, item) in enumerate(data):
            source = self.recipe.sources[order[0]]
            if source.max_records is not None and n >= source.max_records:
                # So many records of this source stand before it that it can't be among the first: it needs no work.
                name = item.source_file if isinstance(item, Trajectory) else item.source
                yield Entry(order, name, rejection=over_max_records(name, order[2], source.max_records)), None
            elif isinstance(item, Rejection):
                yield Entry(order, item.source, rejection=item), None
            else:
                kit = self._kit(order[0])
                rows = kit.joins.apply(item)
                made = compile_trajectory(self.recipe, source, kit, item)
                entry, sample = _compiled(order, item, made, signed=self.recipe.quality.near_duplicates is not None)
                entry.joined = rows
                yield entry, sample

    def close(self) -> None:
        """Close what the tasks of this process have opened."""
        for kit in self._kits.values():
            kit.resolvers.close()
        self._kits.clear()

    def _kit(self, number: int) -> Equipment:
        if number not in self._kits:
            self._kits[number] = equip(self.recipe, self.recipe.sources[number], student(self.recipe.student))
        return self._kits[number]


class Write(PipelineStep):
    """Writes a part, sorted. Samples of about RUN_CHARS are in memory at a time; longer parts are sorted in runs on disk."""

    name = "write"
    type = "acc"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[tuple[Entry, Sample | None]], rank: int = 0, world_size: int = 1) -> None:
        """Write samples, then the index; both are whole or not there."""
        del world_size
        part = Part(self.folder, rank)
        with whole(part.index) as partial, partial.open("w", encoding="utf-8") as index:
            runs, held, chars = list[Path](), list[Sample](), 0
            for entry, sample in data:
                index.write(entry.line() + "\n")
                if sample is not None:
                    held.append(sample)
                    chars += sum(len(message.get("content") or "") for message in sample.prompt)
                if chars > RUN_CHARS:
                    runs.append(part.samples.with_suffix(f".{len(runs)}.parquet"))
                    write_samples(runs[-1], sorted(held, key=_name), GROUP_CHARS)
                    held, chars = [], 0
            # Sorting and merging are stable: samples of one name stay in the order of their records.
            write_samples(part.samples, heapq.merge(*map(read_samples, runs), sorted(held, key=_name), key=_name), GROUP_CHARS)
            for run in runs:
                run.unlink()


def _name(sample: Sample) -> str:
    return sample.sample_id


def over_max_records(source: str, index: int, limit: int) -> Rejection:
    """The rejection of a record behind a source's `max_records`."""
    return Rejection(STAGE, "over_max_records", source, index, f"record {index}", f"max_records is {limit}")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@lru_cache(maxsize=1)
def student(checkpoint: str) -> StudentChat:
    """The student's tokenizer and template, loaded once a process."""
    return load_chat(checkpoint)


def _compiled(order: Order, trajectory: Trajectory, made: Compiled | Refused, *, signed: bool) -> tuple[Entry, Sample | None]:
    entry = Entry(order, trajectory.source_file, trajectory.run_key, trajectory.completeness)
    if isinstance(made, Refused):
        locator = trajectory.trajectory_id or f"record {trajectory.index}"
        entry.rejection = Rejection(STAGE, made.reason, trajectory.source_file, trajectory.index, locator, made.detail)
        return entry, None
    sample = made.sample
    entry.sample_id, entry.domain, entry.marks = sample.sample_id, sample.domain, marks(sample, signed=signed)
    entry.tokens = sample.prompt_tokens + sample.target_tokens
    entry.counts = {name: n for name, n in sorted(made.counts.items()) if n}
    return entry, sample
