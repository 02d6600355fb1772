"""GPUs of this node: enough of them, and whether they reach each other."""

from __future__ import annotations

from collections.abc import Iterator

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding


def check(context: Context) -> list[Finding]:
    """GPUs here against the processes that the recipe starts on a node, and NCCL between them."""
    if not context.trains:
        return []
    here, wanted = context.machine.gpus(), context.recipe.launch.processes
    if not here:
        plan = f"`acc plan RECIPE --gpus {wanted}xH100 --nodes {context.recipe.launch.nodes}` says whether it would fit those"
        return [Finding("note", "no GPU here: GPUs and NCCL were not tested", "", plan)]
    if context.machine.version("torch") is None:
        return [Finding("note", f"{here} GPUs here, and no torch to test them with")]
    return [*_enough(here, wanted), *_reduce(context, min(here, max(1, wanted)))]


def _enough(here: int, wanted: int) -> Iterator[Finding]:
    if here < wanted:
        what = f"the recipe starts {wanted} processes on a node, one a GPU, and this one has {here}"
        yield Finding("warning", what, "launch.processes", "Set launch.processes, or check on a node that trains")
    elif here > wanted:
        yield Finding("note", f"the recipe starts {wanted} processes on a node, one a GPU: {here - wanted} GPUs here stay idle")


def _reduce(context: Context, count: int) -> Iterator[Finding]:
    failed = context.machine.all_reduce(count)
    if failed is not None:
        what = f"an all-reduce over NCCL between {count} GPUs of this node failed: {failed}"
        mend = "Set NCCL_DEBUG=INFO and check again; nvidia-smi topo -m shows how they are connected"
        yield Finding("error", what, "GPUs", mend)
    else:
        yield Finding("note", f"an all-reduce over NCCL between {count} GPUs of this node gives the right sum")
