"""The run's compiled and packed samples against the recipe: what fits, whose they are, how long training will take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, Level, refusals
from acc.launch.stale import changed_since_compiled, changed_since_packed
from acc.stage.manifest import Manifest, read_manifest
from acc.train.extent import Extent, extent_of

TINY = 0.01
"""Share of labelled tokens below which a source with a weight hardly counts."""
FEW_STEPS = 10
"""Steps under which a warm-up and a schedule mean little."""


def check(context: Context) -> list[Finding]:
    """What the manifests of compile and pack say beside the recipe."""
    if not context.trains:
        return []
    if found := [f for name in ("compile", "pack") for f in refusals(read_manifest, context.folder / name)]:
        return found
    compiled = read_manifest(context.folder / "compile")
    if compiled is None:
        what = f"{context.folder} is not compiled yet: how many samples fit, and how many steps they make, is not known"
        return [Finding("note", what, "", "`acc run RECIPE --until pack` needs no GPU; then check again")]
    found = list(_compiled(context, compiled))
    if context.packed is None:
        return [*found, Finding("note", f"{context.folder} is not packed yet: steps are not known", "", "`acc pack`")]
    return [*found, *_packed(context, context.packed)]


def _compiled(context: Context, manifest: Manifest) -> Iterator[Finding]:
    """Samples of each source, and whether the recipe is still the one that they were made with."""
    recipe, counts = context.recipe, manifest.counts
    if changed := changed_since_compiled(recipe, manifest):
        what = f"the samples in {context.folder / 'compile'} are of another recipe ({', '.join(changed)} changed)"
        yield Finding("note", what, "", "`acc run` compiles again; what follows is of the old ones")
    for source in recipe.sources:
        tally = counts.get("sources", {}).get(source.name, {})
        if tally and not tally["written"]:
            reasons = ", ".join(f"{n} {reason}" for reason, n in tally["rejected"].items()) or "there were none"
            yield Finding(
                "error" if source.split == "train" and source.weight else "warning",
                f"no sample came of the {tally['records']} records of source {source.name!r} ({reasons})",
                "sources",
                f"`acc view {context.folder}` shows what was rejected, and why",
            )
        elif tally and (over := tally["rejected"].get("over_budget", 0)):
            share = over / max(1, tally["records"])
            level: Level = "warning" if share > 0.5 else "note"
            what = f"{over:,} of {tally['records']:,} records of source {source.name!r} are longer than the budget"
            yield Finding(level, what, "compile.budget_tokens", "Raise it; of logs, compile.over_long: window takes parts")


def _packed(context: Context, manifest: Manifest) -> Iterator[Finding]:
    """What training will see."""
    recipe, counts = context.recipe, manifest.counts
    over = manifest.rejected.get("over_length", 0)
    if over:
        yield Finding(
            "warning" if over > manifest.records / 2 else "note",
            f"{over:,} of {manifest.records:,} samples are longer than pack.length ({recipe.pack.length:,}): they are left out",
            "pack.length",
            "Raise it, or lower compile.budget_tokens",
        )
    if changed := changed_since_packed(recipe, manifest):
        what = f"the sequences in {context.folder / 'pack'} are of another recipe ({', '.join(changed)} changed)"
        yield Finding("note", what, "", "`acc run` packs again; what follows is of the old ones")
    yield from _sources(counts)
    yield from _extent(context, counts, extent_of(recipe, context.folder / "pack"))


def _sources(counts: Mapping[str, Any]) -> Iterator[Finding]:
    """Each source's share, and those that hardly count."""
    for name, source in counts["sources"].items():
        share = source["share_of"]
        shares = " and ".join(
            f"{share[unit]:.1%} of the {unit.replace('_', ' ')}" for unit in ("samples", "tokens", "labelled_tokens")
        )
        what = f"source {name!r}: {source['samples']:,} samples, each seen {source['repeats']:.2f} times: {shares}"
        yield Finding("note", what, "sources")
        if 0 < share["labelled_tokens"] < TINY <= share["samples"]:
            few = f"{share['labelled_tokens']:.2%} of the labelled tokens"
            what = f"source {name!r} is {share['samples']:.1%} of the samples and {few}"
            mend = "The loss weighs labelled tokens: set pack.weights_in: labelled_tokens, or train.loss_reduction: sample"
            yield Finding("warning", what, "sources", mend)


def _extent(context: Context, counts: Mapping[str, Any], extent: Extent) -> Iterator[Finding]:
    """Steps, epochs and checkpoints; warm-up and saving against them; the launcher's processes against the packed steps."""
    recipe, train = context.recipe, context.recipe.train
    per_step = counts["sequences_per_step"] or train.global_batch
    samples = train.global_batch if counts["steps"] else counts["drawn"] * per_step // max(1, counts["sequences"])
    yield Finding(
        "note",
        f"{extent.steps:,} steps of {samples:,} samples in {per_step:,} sequences, {extent.checkpoints:,} checkpoints, "
        f"{extent.tokens / 1e6:,.1f} million tokens; the longest document has {counts['longest_document']:,} tokens, and "
        f"sequences are {counts['utilisation']:.0%} full",
        "train",
    )
    if train.warmup_steps >= extent.steps and train.max_steps is None:
        what = f"the warm-up takes {train.warmup_steps} steps and training {extent.steps}: its peak is never reached"
        yield Finding("warning", what, "train.warmup_steps", f"Take fewer, such as {max(1, extent.steps // 20)}")
    if extent.steps < FEW_STEPS:
        what = f"training has {extent.steps} steps in all"
        yield Finding("warning", what, "train.global_batch", "Lower it, add data, or train for more epochs")
    data = max(1, context.world // recipe.parallel.sequence)
    if per_step % data:
        yield Finding(
            "error",
            f"a packed step has {per_step} sequences, which {data} data-parallel ranks ({context.world} processes / "
            f"parallel.sequence {recipe.parallel.sequence}) can't share evenly",
            "train.global_batch",
            f"Take a number of processes whose data-parallel size divides {per_step}, or set launch and pack again",
        )
