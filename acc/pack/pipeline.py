"""The stage: samples.parquet → tokens.bin, documents.arrow, sequences.arrow, rejections.parquet, manifest.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from acc.chat import StudentChat, load_chat
from acc.errors import UserError
from acc.pack.account import Account
from acc.pack.encode import Rules, SetAside, encode_all
from acc.pack.plan import plan
from acc.recipe import Recipe
from acc.records.sequences import SequenceWriter
from acc.stage.files import file_digest
from acc.stage.manifest import MANIFEST, Manifest, read_manifest, stage_key
from acc.stage.rejections import Rejection, write_rejections

SAMPLES = "samples.parquet"


def run(recipe: Recipe, compiled: Path, out: Path, *, workers: int | None = None) -> Manifest:
    """Pack the training samples of `compiled` into `out`; do nothing where that is done already.

    Args:
        compiled: folder with samples.parquet, in the order of sample_id.
        out: folder to write.
        workers: processes; None takes `compile.workers`, else the cores there are. The output does not depend on it.

    Returns:
        The manifest. `records` are the training samples of sources with a weight; held-out samples and those of sources with
        weight 0 are counted under `counts["set_aside"]`.

    Raises:
        UserError: the recipe has no sources, there are no samples, they are not in order, or the mixture asks for what they
            cannot give.
    """
    recipe.check_sources()
    samples = compiled / SAMPLES
    if not samples.is_file():
        raise UserError(f"there is no {SAMPLES}", where=str(compiled), mend="Run `acc compile` first")
    chat = load_chat(recipe.student, revision=recipe.model.revision)
    settings, inputs = _settings(recipe, chat), {SAMPLES: file_digest(samples)}
    key = stage_key("pack", recipe.seed, settings, inputs)
    done = read_manifest(out)
    if done is not None and done.key == key:
        return done
    _check(samples, [s.name for s in recipe.sources])
    # The old manifest must not speak for files that are about to change.
    (out / MANIFEST).unlink(missing_ok=True)
    writer = SequenceWriter(out)
    account = _encode(recipe, chat, samples, writer, workers or recipe.compile.workers or len(os.sched_getaffinity(0)))
    write_rejections(out / "rejections.parquet", account.rejections)
    # A filler is an empty turn of the user, without labels.
    filler = chat.encode_prompt([{"role": "user", "content": ""}], "think").ids
    number = writer.add(filler, sample_id="", source="", target="", label_spans=[])
    lengths, labelled = [*account.lengths, len(filler)], [*account.labelled, 0]
    order, sequences = plan(recipe, account.by_source(), lengths, labelled, number, data_parallel(recipe))
    writer.close(sequences.sequences)
    manifest = Manifest("pack", key, recipe.seed, settings, inputs)
    account.into(manifest, order, sequences, capacity=recipe.pack.length)
    manifest.counts |= {"data_parallel": data_parallel(recipe), "chat": chat.hash, "stop": chat.stop}
    manifest.write(out)
    return manifest


def data_parallel(recipe: Recipe) -> int:
    """Ranks that see different sequences, as far as the recipe says: it never depends on who runs the stage."""
    return max(1, recipe.launch.nodes * recipe.launch.processes // recipe.parallel.sequence)


def _settings(recipe: Recipe, chat: StudentChat) -> dict[str, Any]:
    """All of the recipe that the output depends on. The student is its tokenizer and template, wherever they lie."""
    return {
        "pack": recipe.pack.model_dump(),
        "sources": {s.name: {"weight": s.weight, "split": s.split} for s in recipe.sources},
        "train": recipe.train.model_dump(include={"epochs", "max_steps", "global_batch"}),
        "data_parallel": data_parallel(recipe),
        "chat": chat.hash,
    }


def _check(samples: Path, sources: list[str]) -> None:
    """Refuse samples out of order and of sources that the recipe does not name, before anything is encoded."""
    last = ""
    for batch in pq.ParquetFile(samples).iter_batches(65_536, columns=["sample_id", "source"]):
        ids = batch.column("sample_id").to_pylist()
        if [last, *ids] != sorted([last, *ids]):
            raise UserError("the samples are not in the order of sample_id", where=str(samples), mend="Compile them again")
        last = ids[-1]
        if unknown := sorted(set(batch.column("source").unique().to_pylist()) - set(sources)):
            raise UserError(
                f"samples of {unknown[0]!r} are there, which is no source of the recipe",
                where=str(samples),
                mend="Compile again with this recipe",
            )


def _encode(recipe: Recipe, chat: StudentChat, samples: Path, writer: SequenceWriter, workers: int) -> Account:
    """Write every document; what is kept of it in memory is a few integers."""
    trained = [s.name for s in recipe.sources if s.split == "train" and s.weight > 0]
    pack = recipe.pack
    rules = Rules(recipe.student, recipe.model.revision, pack.layout, pack.length, pack.control_text, frozenset(trained))
    account = Account(trained)
    last = ""
    for sample_id, outcome in encode_all(samples, rules, chat, workers):
        repeated, last = sample_id == last, sample_id
        if isinstance(outcome, SetAside):
            account.set_aside[outcome.reason] += 1
        elif isinstance(outcome, Rejection):
            account.rejections.append(outcome)
        elif repeated:
            account.merged += 1
        else:
            writer.add(
                outcome.ids,
                sample_id=sample_id,
                source=outcome.source,
                target=outcome.target,
                label_spans=outcome.label_spans,
                piece_spans=outcome.piece_spans,
            )
            labelled = sum(end - start for start, end in outcome.label_spans)
            account.add(outcome.source, len(outcome.ids), labelled, outcome.control_in_text)
    return account
