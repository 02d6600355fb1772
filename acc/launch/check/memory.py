"""Whether the recipe fits the GPUs of this node, by the arithmetic of `acc plan`."""

from __future__ import annotations

from acc.errors import UserError
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding
from acc.launch.plan import gpus_of, plan_of


def check(context: Context) -> list[Finding]:
    """Plan the recipe on its own nodes and processes, with GPUs of the kind that is here."""
    launch, kind = context.recipe.launch, context.machine.gpu_kind()
    if not context.trains or not kind:
        return []
    try:
        plan = plan_of(context.recipe, gpus_of(f"{launch.processes}x{kind}", launch.nodes), runs=context.runs)
    except UserError as e:
        return [Finding("note", f"whether it fits the GPUs here was not planned ({e.what})")]
    said = (
        f"acc plan says that it needs {plan.memory.peak / 1e9:,.1f} GB of the {plan.gpus.memory / 1e9:,.1f} GB of each {kind}"
    )
    if plan.fits:
        return [Finding("note", said)]
    command = f"acc plan RECIPE --gpus {launch.processes}x{plan.gpus.kind} --nodes {launch.nodes}"
    return [Finding("warning", said, "parallel", f"`{command}` lists settings that fit")]
