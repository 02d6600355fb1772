"""Files that the recipe names: logs, joins, resolvers, the student's own, rows of benchmarks; and what the hub has of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from acc.compile.quality.corpora import BENCHMARKS as DECONTAMINATED
from acc.compile.quality.corpora import files_of
from acc.errors import UserError
from acc.evaluate.benchmarks import BENCHMARKS, parquet_files
from acc.launch.check.config import is_path
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, Level, findings_of, refusals
from acc.launch.check.hub import Kind
from acc.recipe.sources import Pages, Source

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check(context: Context) -> list[Finding]:
    """Whether everything that is named is there, or can be had."""
    found = list(_model(context))
    for number, source in enumerate(context.recipe.sources):
        found += _source(context, source, f"sources.{number}")
    found += [*_benchmarks(context), *_decontaminated(context)]
    return list({(f.level, f.what): f for f in reversed(found)}.values())[::-1]  # three sources of one data set are one finding


def _model(context: Context) -> Iterator[Finding]:
    """The student's tokenizer and weights."""
    recipe, name = context.recipe, context.recipe.student
    folder: Path | None = Path(name)
    if not Path(name).is_dir():
        if is_path(name):
            return  # the student's own family says so
        yield from _on_hub(context, "model", name, recipe.model.revision, "model.path")
        folder = context.hub.cached("model", name, recipe.model.revision)
    if folder is None or not (folder / "config.json").is_file():
        return
    for what in _lacking(folder):
        level: Level = "error" if Path(name).is_dir() else "note"
        yield Finding(level, what, f"model.path {folder}", "Download the checkpoint whole")


def _lacking(folder: Path) -> Iterator[str]:
    """What a checkpoint's folder should have and has not."""
    if not (folder / "tokenizer.json").is_file():
        yield "there is no tokenizer.json"
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        yield "there are no weights (model.safetensors)"
    elif weights.suffix == ".json":
        try:
            parts = set(json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as e:
            yield f"{weights.name} can't be read ({e})"
            return
        if absent := sorted(part for part in parts if not (folder / part).is_file()):
            yield f"{len(absent)} of {len(parts)} files of the weights are not there, {absent[0]} for one"


def _source(context: Context, source: Source, where: str) -> Iterator[Finding]:
    """Logs, their format, and what goes with them."""
    recipe = context.recipe
    for path in source.paths:
        full = recipe.resolve(path)
        if not full.exists():
            yield Finding(
                "error", f"source {source.name!r} names {path}, which is not there", f"{where}.path", "Check the path"
            )
        elif full.is_dir() and not any(p.is_file() for p in full.rglob("*")):
            yield Finding(
                "error", f"source {source.name!r} names {path}, a folder without any file", f"{where}.path", "Check it"
            )
    if source.format != "auto":
        from acc.trajectories.formats import FORMATS

        if source.format not in (names := [f.name for f in FORMATS]):
            mend = f"Take auto or one of {', '.join(names)}"
            yield Finding("error", f"there is no format {source.format!r}", f"{where}.format", mend)
    if source.hub is not None:
        if source.hub.files is not None:
            if not recipe.resolve(source.hub.files).is_dir():
                mend = "Correct the path, or leave it out"
                yield Finding("error", f"there is no folder {source.hub.files}", f"{where}.hub.files", mend)
        elif not source.hub.agentpile and not recipe.resolve(source.hub.dataset).is_dir():
            yield from _streamed(context, source.hub.dataset, source.hub.revision, f"{where}.hub.dataset")
    yield from _joins(context, source, where)
    yield from _resolvers(context, source, where)


def _joins(context: Context, source: Source, where: str) -> Iterator[Finding]:
    """The joined files, and their columns."""
    if source.join:
        from acc.trajectories.join import Joins

        for number, join in enumerate(source.join):
            yield from refusals(Joins, [join], context.recipe.resolve, where=f"{where}.join.{number}")


def _resolvers(context: Context, source: Source, where: str) -> Iterator[Finding]:
    """Repositories, databases and page stores; nothing of them is read but names and columns."""
    settings, resolve = source.resolve, context.recipe.resolve
    if settings.git is not None:
        from acc.compile.resolvers.git import GitFiles

        yield from refusals(GitFiles, settings.git, resolve)
    if settings.sql is not None:
        from acc.compile.resolvers.sql import Tables

        if context.hub.offline and not settings.sql.url.startswith("sqlite"):
            yield Finding("note", "whether its server answers was not asked", f"{where}.resolve.sql.url")
        else:
            yield from refusals(lambda sql=settings.sql: Tables(sql, resolve).close())
    if settings.pages is not None:
        yield from _pages(context, settings.pages, f"{where}.resolve.pages.files")


def _pages(context: Context, pages: Pages, where: str) -> Iterator[Finding]:
    for name in pages.files:
        path = context.recipe.resolve(name)
        if not path.is_file():
            yield Finding("error", f"there is no file {name}", where, "Check the path")
        elif path.suffix == ".parquet":
            yield from _columns(path, (pages.url, pages.text), where)


def _benchmarks(context: Context) -> Iterator[Finding]:
    """Rows of benchmarks: in files of the official layout, or on the hub."""
    for number, entry in enumerate(context.recipe.evaluate.benchmarks):
        where = f"evaluate.benchmarks.{number}"
        if entry.hub is not None:
            yield from _on_hub(context, "dataset", entry.hub.dataset, entry.hub.revision, f"{where}.hub.dataset")
        if entry.rows is not None:
            try:
                files = parquet_files(context.recipe.resolve(entry.rows))
            except UserError as e:
                yield from findings_of(e)
                continue
            needed = BENCHMARKS[entry.name]
            for file in files:
                yield from _columns(file, (*needed.graded, *needed.asked), f"{where}.rows {file}")


def _columns(path: Path, needed: tuple[str, ...], where: str) -> Iterator[Finding]:
    """Whether a Parquet file is there and has the columns."""
    try:
        there = pq.read_schema(path).names
    except FileNotFoundError:
        yield Finding("error", "there is no such file", where, "Check the path")
        return
    except (OSError, pa.ArrowException) as e:
        yield Finding("error", f"this is not a readable Parquet file ({e})", where)
        return
    if lacking := [name for name in needed if name not in there]:
        yield Finding("error", f"the rows have no column {', '.join(lacking)}", where, f"Found here: {', '.join(there)}")


def _decontaminated(context: Context) -> Iterator[Finding]:
    """What must not be trained on: files, and benchmarks that come from the hub unless the recipe has their rows."""
    asked = context.recipe.evaluate.benchmarks
    for number, name in enumerate(context.recipe.quality.decontaminate):
        where = f"quality.decontaminate.{number}"
        if name not in DECONTAMINATED:
            yield from refusals(files_of, name, context.recipe.resolve)
        elif not any(entry.name == name and entry.rows for entry in asked):
            yield from _on_hub(context, "dataset", DECONTAMINATED[name], None, where)


def _streamed(context: Context, name: str, revision: str | None, where: str) -> Iterator[Finding]:
    """A source's data set: compile streams it from the hub, so what is cached does not help."""
    copy = f"or `hf download {name} --repo-type dataset --local-dir FOLDER` elsewhere, and hub.files: FOLDER"
    if context.hub.offline:
        what = f"compile streams {name} from the hub, which was not asked"
        yield Finding("note", what, where, f"Let the machine that compiles reach it, {copy}")
        return
    for finding in _on_hub(context, "dataset", name, revision, where):
        yield replace(finding, mend=f"Compile where it answers, {copy}") if finding.level == "warning" else finding


def _on_hub(context: Context, kind: Kind, name: str, revision: str | None, where: str) -> Iterator[Finding]:
    """What the hub, or its cache here, says of a repository."""
    state = context.hub.state(kind, name, revision)
    at = f"{name}@{revision}" if revision else name
    called = "model" if kind == "model" else "data set"
    download = f"`hf download {name}{' --repo-type dataset' if kind == 'dataset' else ''}` on a machine with a network"
    if state == "absent":
        yield Finding("error", f"the hub has no {called} {at}, or it is private", where, "Correct the name, or `hf auth login`")
    elif state == "gated":
        yield Finding("error", f"the {called} {at} is gated", where, "Accept its terms on the hub, then `hf auth login`")
    elif state == "unreachable":
        mend = f"Run where it answers, or copy its cache here (HF_HOME): {download}"
        yield Finding("warning", f"the hub does not answer from here, and its cache has no {called} {at}", where, mend)
    elif state == "offline":
        yield Finding("note", f"the {called} {at} is not in the hub's cache here, and the hub was not asked", where, download)
    elif state == "cached" and context.hub.offline:
        yield Finding("note", f"the {called} {at} is in the hub's cache here", where)
