"""Compile as a stage: tasks on an executor, one deterministic merge, then what a teacher is asked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from acc import __version__
from acc.compile.executors import executor
from acc.compile.merging import Account, Tally, merge, settle, write_merged
from acc.compile.quality.contamination import contamination_of
from acc.compile.resolvers import resolver_digests
from acc.compile.tasks import STAGE, Compile, Part, Read, Work, Write, student
from acc.compile.teacher import Estimate, Taught, check_asking, estimate, needs_server, write_rationales
from acc.errors import UserError
from acc.recipe import Recipe
from acc.recipe.sources import Source
from acc.stage.files import digest, write_text
from acc.stage.manifest import MANIFEST, Manifest, is_done, read_manifest, stage_key
from acc.stage.rejections import write_rejections
from acc.trajectories.files import LogFile
from acc.trajectories.formats import FORMATS
from acc.trajectories.hub import list_source
from acc.trajectories.join import Joins, join_digests
from acc.trajectories.reading import cut

SAMPLES, REJECTIONS, MERGED = "samples.parquet", "rejections.parquet", "merged.parquet"


def run(recipe: Recipe, inputs: Mapping[str, Sequence[Path]], out: Path) -> Manifest:
    """Compile the trajectories of all sources into `out`.

    Writes samples.parquet (sorted by sample id), rejections.parquet, merged.parquet and, last, manifest.json. The bytes are a
    function of inputs, recipe and what a teacher answered (its journal): not of the workers, the size of the tasks, or how
    often the run was killed and started again. Where the folder already holds what this recipe and these inputs give, nothing
    is done.

    Args:
        inputs: source name → files and folders with its logs.

    Raises:
        UserError: an input is missing or holds no logs, a format is unknown, the student has no tokenizer, or what the recipe
            names beside them (joined files, resolvers, a teacher) is not there.
    """
    plan = _plan(recipe, inputs, out)
    if (done := read_manifest(out)) is not None and done.key == plan.key:
        _clear(plan.parts, plan.logs)
        return done
    if asks := needs_server(recipe):
        check_asking(recipe)
    merged = plan.parts / SAMPLES if asks else out / SAMPLES
    account = _compile(recipe, plan, out, merged)
    taught = write_rationales(recipe, merged, out / SAMPLES, folder=out, chat=student(recipe.student)) if asks else Taught()
    if asks:
        taught.amend({source.name: tally for source, tally in zip(recipe.sources, account.tallies, strict=True)})
    write_rejections(out / REJECTIONS, chain(account.rejections(), taught.rejections))
    write_merged(out / MERGED, account)
    manifest = _manifest(recipe, plan, account, taught.counts())
    manifest.write(out)
    _clear(plan.parts, plan.logs)
    return manifest


def dry_run(recipe: Recipe, inputs: Mapping[str, Sequence[Path]], out: Path) -> Estimate:
    """Compile as far as a teacher is not needed, and say what asking it will cost. A run goes on from there.

    What another run has finished in `out` stays as it is. Where this one is finished already, its own samples are looked at
    and no file is touched.

    Raises:
        UserError: as `run`; or the recipe asks no server.
    """
    if not needs_server(recipe):
        mend = "Compile without --dry-run, or set rationale.kind: teacher"
        raise UserError("there is nothing to estimate: the recipe asks no server", mend=mend)
    plan = _plan(recipe, inputs, out)
    samples = out / SAMPLES
    if not is_done(out, plan.key):
        samples = plan.parts / SAMPLES
        _compile(recipe, plan, out, samples, dry=True)
    return estimate(recipe, samples, out, chat=student(recipe.student))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run is: its key, what goes into it, and the folders it works in."""

    key: str
    sections: dict[str, Any]
    inputs: dict[str, str]
    works: list[Work]
    parts: Path
    logs: Path


def _plan(recipe: Recipe, inputs: Mapping[str, Sequence[Path]], out: Path) -> _Plan:
    files = {source.name: _files(source, inputs, recipe) for source in recipe.sources}
    hashes = {f"{name}: {file.name}": file.digest() for name, found in files.items() for file in found}
    for source in recipe.sources:
        beside = join_digests(source.join, recipe.resolve) | resolver_digests(source.resolve, recipe.resolve)
        hashes |= {f"{source.name}: {name}": found for name, found in beside.items()}
    hashes |= {f"quality.decontaminate: {name}": found for name, found in contamination_of(recipe).fingerprint.items()}
    sections = relevant(recipe)
    sections["student"] = student(recipe.student).hash
    key = stage_key(STAGE, recipe.seed, sections, hashes)
    works = [work for n, source in enumerate(recipe.sources) for work in _works(n, files[source.name], recipe)]
    return _Plan(key, sections, hashes, works, out / "parts", out / "logs")


def _compile(recipe: Recipe, plan: _Plan, out: Path, merged: Path, *, dry: bool = False) -> Account:
    """All that needs no server: tasks, the fate of every record, and the samples that are kept, written to `merged`.

    What was finished in `out` counts no more, but for a `dry` run, which writes nothing beside the parts.
    """
    alone = plan.sections | {
        "rationale": {**plan.sections["rationale"], "teacher": None},
        "quality": recipe.quality.model_dump(mode="json", exclude=LEAKAGE),
    }
    _prepare(out, plan.parts, plan.logs, digest([alone, plan.inputs, recipe.seed, recipe.compile.task_bytes, __version__]))
    if not dry:
        (out / MANIFEST).unlink(missing_ok=True)
    parts = [Part(plan.parts, rank) for rank in range(len(plan.works))]
    joins = [Joins(source.join, recipe.resolve).rows for source in recipe.sources]
    if plan.works:
        forms = [source.format for source in recipe.sources]
        read, write = Read(plan.works, forms, recipe.compile.executor == "local"), Write(plan.parts)
        with _progress(len(plan.works)) as progress, closing(Compile(recipe)) as compiling:
            steps = [read, compiling, write]
            executor(recipe.compile, steps, len(plan.works), plan.logs).run_tasks(progress)
    account = settle(parts, recipe.sources, recipe.quality.near_duplicates, plan.parts, joins)
    written, counted = merge(parts, account, merged, plan.parts), sum(tally.written for tally in account.tallies)
    if written != counted:
        raise RuntimeError(f"{written} samples were merged but {counted} accounted for; this is a bug in acc")
    return account


LEAKAGE = {"leakage", "leakage_attempts"}
"""Fields of `quality` that act after the merge."""
WAYS = {"base_url", "api_key_env", "concurrency", "timeout_s", "retries", "price_prompt", "price_completion"}
"""How a teacher is reached, on which its answers do not depend."""


def relevant(recipe: Recipe) -> dict[str, Any]:
    """The sections of a recipe that the output depends on: neither where inputs lie nor how the work is cut."""
    sources = [source.model_dump(mode="json", exclude={"path", "synth", "weight"}) for source in recipe.sources]
    return {
        "sources": sources,
        "compile": recipe.compile.model_dump(mode="json", exclude={"workers", "task_bytes", "executor", "slurm"}),
        "rationale": recipe.rationale.model_dump(mode="json", exclude={"teacher": WAYS}),
        "quality": recipe.quality.model_dump(mode="json"),
        "layout": recipe.pack.layout,
    }


def _files(source: Source, inputs: Mapping[str, Sequence[Path]], recipe: Recipe) -> list[LogFile]:
    where = f"source {source.name}"
    if source.format != "auto" and source.format not in (names := [f.name for f in FORMATS]):
        raise UserError(f"there is no format {source.format!r}", where=where, mend=f"Take auto or one of {', '.join(names)}")
    if source.name not in inputs and source.hub is None:
        raise UserError("this source has no inputs", where=where, mend="Run its stage `synth`, or give it a path")
    files, _ = list_source(source, inputs.get(source.name, ()), recipe.resolve)
    if not files:
        shown = source.hub.dataset if source.hub else ", ".join(map(str, inputs[source.name]))
        raise UserError(f"there are no logs in {shown}", where=where, mend="`acc formats PATH` says what it sees")
    return files


def _works(source: int, files: list[LogFile], recipe: Recipe) -> Iterator[Work]:
    places = {file.name: n for n, file in enumerate(files)}
    for task in cut(files, recipe.compile.task_bytes):
        yield Work(source, task, tuple(places[span.file.name] for span in task))


def _prepare(out: Path, parts: Path, logs: Path, key: str) -> None:
    """Keep the parts of a killed run of the same work; clear what another one left."""
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f"this folder cannot be made ({e.strerror})", where=str(out), mend="Name another one") from e
    for leftover in out.glob(".*.partial"):  # of a run that was killed while it wrote
        leftover.unlink()
    marker = parts / "key"
    if not marker.is_file() or marker.read_text(encoding="utf-8") != key:
        _clear(parts, logs)
        write_text(marker, key)


def _clear(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _manifest(recipe: Recipe, plan: _Plan, account: Account, asked: dict[str, Any]) -> Manifest:
    total = Tally()
    for tally in account.tallies:
        total.records += tally.records
        total.written += tally.written
        total.merged.update(tally.merged)
        total.rejected.update(tally.rejected)
        total.domains.update(tally.domains)
        total.tokens += tally.tokens
        total.counts.update(tally.counts)
    named = zip(recipe.sources, account.tallies, strict=True)
    return Manifest(
        stage=STAGE,
        key=plan.key,
        seed=recipe.seed,
        recipe=plan.sections,
        inputs=plan.inputs,
        records=total.records,
        written=total.written,
        merged=total.merged.total(),
        rejected=dict(sorted(total.rejected.items())),
        counts={"all": total.summary(), "sources": {source.name: tally.summary() for source, tally in named}, "asked": asked},
    )


@contextmanager
def _progress(tasks: int) -> Iterator[Callable[[int], None]]:
    """A bar of completed tasks on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda completed: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compile", total=tasks)
        yield lambda completed: bar.update(task, completed=completed)
