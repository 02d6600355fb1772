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
from acc.recipe.sources import Hub, Pages, Source

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")

LFS = b"version https://git-lfs"
"""How git-lfs's pointers begin."""


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
    level: Level = "error" if Path(name).is_dir() else "note"
    where, mend = f"model.path {folder}", "Download the checkpoint whole"
    if not (folder / "tokenizer.json").is_file():
        yield Finding(level, "there is no tokenizer.json", where, mend)
    try:
        parts = _weights(folder)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as e:
        yield Finding(level, f"the index of the weights can't be read ({e})", where, mend)
        return
    if not parts:
        yield Finding(level, "there are no weights (model.safetensors)", where, mend)
    if absent := [part for part in parts if not (folder / part).is_file()]:
        what = f"{len(absent)} of {len(parts)} files of the weights are not there, {absent[0]} for one"
        yield Finding(level, what, where, mend)
    for part in parts:
        if (folder / part).is_file() and (wrong := _damage(folder / part)):
            yield Finding("error", f"{part} {wrong}", where, "`git lfs pull` where it was cloned, or download it again")


def _weights(folder: Path) -> list[str]:
    """The names of the files of weights that will be loaded; none where there are none."""
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None or first.suffix != ".json":
        return [] if first is None else [first.name]
    return sorted(set(json.loads(first.read_text(encoding="utf-8"))["weight_map"].values()))


def _damage(path: Path) -> str:
    """What is wrong with a file of weights, by its header and its size; "" if nothing is."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(LFS))
            if start == LFS:
                return "is git-lfs's pointer to the weights, not the weights"
            if path.suffix != ".safetensors":
                return ""
            length = int.from_bytes(start[:8], "little")
            if len(start) < 8 or length > size - 8:
                return f"is cut off or no safetensors file: its {size:,} bytes do not hold its header"
            file.seek(8)
            tensors = json.loads(file.read(length))
        tensors.pop("__metadata__", None)
        whole = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except OSError as e:
        return f"can't be read ({e})"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "is no safetensors file: its header can't be read"
    return "" if whole == size else f"is cut off or damaged: it has {size:,} bytes, and its header says {whole:,}"


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
        yield from _data_set(context, source.hub, f"{where}.hub")
    yield from _joins(context, source, where)
    yield from (replace(found, where=_within(found.where, where)) for found in _resolvers(context, source, where))


def _data_set(context: Context, hub: Hub, where: str) -> Iterator[Finding]:
    """A data set of the hub, its copy here, and its name in agentpile."""
    if hub.agentpile:
        from agentpile.registry import datasets as known

        if hub.dataset not in {n for name, corpus in known.items() for n in (name, getattr(corpus, "repo_id", None))}:
            mend = f"It knows {', '.join(known.names())}; leave agentpile out to read it with acc's own formats"
            yield Finding("error", f"agentpile knows no data set {hub.dataset!r}", f"{where}.dataset", mend)
    if hub.files is not None:
        folder, mend = context.recipe.resolve(hub.files), "Correct the path, or leave it out"
        if not folder.is_dir():
            yield Finding("error", f"there is no folder {hub.files}", f"{where}.files", mend)
        elif not any(path.is_file() for path in folder.rglob("*")):
            yield Finding("error", f"{hub.files} is a folder without any file", f"{where}.files", mend)
    elif not hub.agentpile and not context.recipe.resolve(hub.dataset).is_dir():
        yield from _streamed(context, hub.dataset, hub.revision, f"{where}.dataset")


def _joins(context: Context, source: Source, where: str) -> Iterator[Finding]:
    """The joined files, and their columns."""
    if source.join:
        from acc.trajectories.join import Joins

        for number, join in enumerate(source.join):
            place = f"{where}.join.{number}"
            for found in refusals(Joins, [join], context.recipe.resolve, where=place):
                yield replace(found, where=found.where.replace("sources[].join", place))


def _within(field: str, where: str) -> str:
    """A resolver's field by its whole name, of which it knows only its own part; a file's place stays as it is."""
    return f"{where}.{field}" if field.startswith("resolve.") else field


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
