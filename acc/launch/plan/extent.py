"""How much there is to train on: counted in the pack where there is one, else what the recipe says and what is assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from acc.launch.plan.figures import Tag
from acc.recipe import Recipe
from acc.recipe.sources import Source
from acc.stage.manifest import read_manifest
from acc.train.sampler import is_saved

RELEASED = {"search_agent": (3_369, 89_000), "swe_agent": (4_368, 50_000), "sql_agent": (3_065, 43_000)}
"""groundhogLLM/ACC-dataset: configuration → rows, and tokens of the middle one, as published. Rows are never cut."""
MEAN_SHARE = 0.5
"""Mean length of a sample as a share of compile.budget_tokens, where nothing is known of the samples."""
SPREAD = 1.3
"""Mean of the squared lengths over the square of their mean."""
FILLED = 0.9
"""Share of a sequence that is filled."""
LABELLED = 1_024
"""Labelled tokens of a sample: a rationale and an answer."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A training's size. `tag` says of all of it whether it was counted; `why` from what.

    Args:
        samples: of one pass; None where the recipe's inputs would have to be read to know.
        steps: optimizer steps of the whole training; None likewise.
        per_step: sequences of a step.
        shares: into how many parts a step can be cut: samples, or sequences where steps are not packed one by one.
        tokens, squares, labelled: of a sequence's documents on average, their squared lengths, and their labels.
        longest: tokens of the longest document.
        most_labelled: labelled tokens of the sequence that has most, at most.
    """

    tag: Tag
    why: str
    samples: int | None
    steps: int | None
    checkpoints: int | None
    per_step: int
    shares: int
    tokens: float
    squares: float
    labelled: float
    longest: int
    most_labelled: int

    @property
    def step_tokens(self) -> float:
        """Of one optimizer step."""
        return self.per_step * self.tokens

    def busiest(self, data: int) -> float:
        """Sequences' worth of a step's work that the busiest of so many data-parallel ranks does."""
        return self.per_step / min(data, self.shares)


def extent_of(recipe: Recipe, run: Path, data: int, *, samples: int | None = None) -> Extent:
    """The size of a recipe's training.

    Args:
        run: runs/<name>, where there may be a pack.
        data: sequences in work at once; a step has a multiple of them.
        samples: given by the user, instead of a guess.
    """
    packed = run / "pack"
    manifest = read_manifest(packed)
    if manifest is not None and samples is None:
        return _counted(recipe, packed, manifest.counts, data)
    return _assumed(recipe, run, data, samples)


def _counted(recipe: Recipe, packed: Path, counts: dict[str, int], data: int) -> Extent:
    from acc.records.sequences import SequenceStore
    from acc.train.extent import extent_of as trained

    store = SequenceStore(packed)
    whole, sequences = trained(recipe, packed), max(1, len(store))
    packed_for, batch = counts.get("sequences_per_step"), recipe.train.global_batch
    per_step = -(-packed_for // data) * data if packed_for else batch
    # Packed again for these ranks a step has the same samples, in more sequences.
    part = packed_for / per_step if packed_for else 1.0
    sample_labels = counts.get("labelled_tokens", 0) / max(1, counts.get("drawn", 1))
    held = counts.get("drawn", sequences) / sequences
    return Extent(
        tag="measured",
        why=f"counted in {packed}",
        samples=store.num_documents,
        steps=whole.steps,
        checkpoints=whole.checkpoints,
        per_step=per_step,
        shares=batch,
        tokens=part * counts.get("tokens", 0) / sequences,
        squares=part * float(store.costs.mean()),
        labelled=part * counts.get("labelled_tokens", 0) / sequences,
        longest=store.longest_document,
        most_labelled=math.ceil(4 * sample_labels * max(1.0, held)),
    )


def _assumed(recipe: Recipe, run: Path, data: int, given: int | None) -> Extent:
    longest = recipe.compile.budget_tokens  # the recipe holds it to pack.length at most
    known = [_known(s, longest) for s in recipe.sources if s.split == "train" and s.weight > 0]
    sized = [(n, mean) for n, mean, _ in known if n is not None]
    compiled = read_manifest(run / "compile")
    samples = sum(n for n, _ in sized) if sized and len(sized) == len(known) else None
    why = "rows and middle lengths as the recipe or the publisher says"
    if halved := sum(rows for _, _, rows in known):
        why += f"; at most half of {halved:,} rows fit {longest:,} tokens, so no more than this"
    if compiled is not None:
        samples, why = compiled.written, f"samples counted in {run / 'compile'}, lengths assumed"
    if given is not None:
        samples, why = given, "samples as --samples says, lengths assumed"
    if samples is None:
        why = "the sources must be read to count their samples (`acc compile`, or --samples)"
    weighted = sum(n * mean for n, mean in sized)
    mean = weighted / n if sized and (n := sum(n for n, _ in sized)) else MEAN_SHARE * recipe.compile.budget_tokens
    mean = min(mean, float(longest))
    train, room = recipe.train, FILLED * recipe.pack.length
    held = max(1.0, room / mean)
    labelled = min(LABELLED, recipe.compile.target_reserve_tokens or LABELLED)
    if recipe.pack.scope == "step":
        per_step = -(-math.ceil(train.global_batch / held) // data) * data
        in_step = float(train.global_batch)
        steps = math.ceil(train.epochs * samples / train.global_batch) if samples is not None else None
    else:
        per_step, in_step = train.global_batch, held * train.global_batch
        steps = math.ceil(train.epochs * samples / held / train.global_batch) if samples is not None else None
    steps = train.max_steps or steps
    each = in_step / per_step
    return Extent(
        tag="assumed",
        why=why,
        samples=samples,
        steps=steps,
        checkpoints=_checkpoints(recipe, steps),
        per_step=per_step,
        shares=train.global_batch,
        tokens=each * mean,
        squares=each * mean * min(SPREAD * mean, longest),
        labelled=each * labelled,
        longest=longest,
        most_labelled=math.ceil(held) * max(labelled, recipe.compile.target_reserve_tokens),
    )


def _checkpoints(recipe: Recipe, steps: int | None) -> int | None:
    if steps is None:
        return None
    every = recipe.train.save_every_steps or steps / (1.0 if recipe.train.max_steps else recipe.train.epochs)
    return sum(is_saved(step, every=every, steps=steps) for step in range(1, steps + 1))


def _known(source: Source, longest: int) -> tuple[int | None, float, int]:
    """Samples of a source and their mean length, where the recipe or the publisher says them.

    Returns:
        Samples and tokens, and the published rows of which at most half can be among the samples: their middle one is over
        `longest`. 0 where there are none such.
    """
    if source.synth is not None:
        asked = source.synth
        rows = asked.search + asked.software + asked.database
        return round(rows * (1 - asked.failed_share)), (asked.min_tokens + asked.max_tokens) / 2, 0
    if source.hub is not None and source.hub.config in RELEASED and source.hub.dataset == "groundhogLLM/ACC-dataset":
        rows, middle = RELEASED[source.hub.config]
        read = source.max_records or rows
        if middle > longest:
            return min(rows // 2, read), float(longest), rows
        return min(rows, read), float(middle), 0
    return None, 0.0, 0
