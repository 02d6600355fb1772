"""The longest rows of a run as a pack of their own; simulated ones where the run is not packed yet."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from acc.errors import UserError
from acc.recipe import Recipe
from acc.recipe.sources import Source
from acc.recipe.sources import Synth as Simulated
from acc.records.sequences import SequenceStore, SequenceWriter
from acc.stage.manifest import Manifest, read_manifest, stage_key

LEAST, LONGEST = 512, 131_072
"""Tokens of the shortest and the longest context that can be simulated."""


def longest_rows(
    recipe: Recipe, packed: Path, out: Path, *, steps: int, per_step: int, lengthened: int | None = None
) -> list[int]:
    """Write steps × per_step of the longest sequences to `out`, again from the longest where there are fewer.

    Args:
        packed: folder of the run's pack stage.
        lengthened: make of each one document of so many tokens, its first one with its beginning repeated before it; None
            takes sequences as they are.

    Returns:
        Their lengths, tokens, longest first.
    """
    store, found = SequenceStore(packed), read_manifest(packed)
    lengths = [sum(store.document(n).length for n in store.document_numbers(i)) for i in range(len(store))]
    order = sorted(range(len(store)), key=lambda i: (-lengths[i], -int(store.costs[i]), i))[: steps * per_step]
    if not order or found is None:
        raise UserError("there are no sequences to train on", where=str(packed), mend="Look at the pack stage's rejections")
    writer = SequenceWriter(out)
    written = [_copied(store, index, writer, lengthened) for index in order]
    chosen = [written[place % len(order)] for place in range(steps * per_step)]
    writer.close((place // per_step, place % per_step, numbers) for place, numbers in enumerate(chosen))
    copied = [lengthened or lengths[i] for i in order]
    counts = {"sequences": len(chosen), "tokens": sum(copied[place % len(order)] for place in range(len(chosen)))}
    key = stage_key("pack", recipe.seed, {"smoke": [steps, per_step, lengthened]}, {"pack": found.key})
    Manifest("pack", key, recipe.seed, records=len(chosen), written=len(chosen), counts=counts).write(out)
    return copied


def _copied(store: SequenceStore, index: int, writer: SequenceWriter, lengthened: int | None) -> list[int]:
    """Write the documents of a sequence again; return their new numbers."""
    documents = [store.document(n) for n in store.document_numbers(index)]
    more = max(0, lengthened - documents[0].length) if lengthened else 0
    return [
        writer.add(
            np.concatenate([np.resize(store.tokens(d), more), store.tokens(d)]),
            sample_id=d.sample_id,
            source=d.source,
            target=d.target,
            label_spans=[(start + more, end + more) for start, end in d.label_spans],
        )
        for d in (documents[:1] if lengthened else documents)
    ]


def simulated_pack(recipe: Recipe, out: Path, *, sequences: int) -> Path:
    """Simulate, compile and pack trajectories nearly as long as the recipe's longest sample; return the pack's folder.

    Args:
        sequences: how many are needed.
    """
    from acc import compile as compile_room
    from acc import pack as pack_room
    from acc.synth import synthesize

    longest = min(LONGEST, recipe.compile.budget_tokens - recipe.compile.target_reserve_tokens)
    synth = Simulated(
        search=sequences + 4, min_tokens=max(LEAST, longest // 2), max_tokens=max(3 * LEAST // 2, longest * 4 // 5)
    )
    source = Source(name="simulated", synth=synth)
    update = {
        "sources": [source],
        "compile": recipe.compile.model_copy(update={"executor": "local"}),
        "rationale": recipe.rationale.model_copy(update={"kind": "trajectory", "teacher": None}),
        "quality": recipe.quality.model_copy(update={"leakage": "off", "decontaminate": []}),
    }
    simulated = recipe.model_copy(update=update)
    synthesize(out / "synth", **synth.model_dump(), workers=len(os.sched_getaffinity(0)))
    compile_room.run(simulated, {"simulated": [out / "synth"]}, out / "compile")
    pack_room.run(simulated, out / "compile", out / "all")
    return out / "all"
