"""What can be evaluated in the training processes, and what by a watcher."""

from __future__ import annotations

from acc.errors import UserError
from acc.recipe.schema import Recipe


def check_inline(recipe: Recipe) -> None:
    """Refuse a training that would evaluate inline what only a watcher can: one that asks a server, or whose cost nobody knows.

    Raises:
        UserError: evaluate.where is inline, and a server, general tasks or a command would have to be asked.
    """
    evaluate = recipe.evaluate
    if evaluate.where != "inline":
        return
    generates = bool(evaluate.benchmarks or (evaluate.held_out and "exact" in evaluate.held_out.measures))
    if evaluate.general or evaluate.commands:
        what = "evaluate.general and evaluate.commands take a time that cannot be told before, while the training's GPUs wait"
    elif evaluate.server and evaluate.server.start and generates:
        what = f"{evaluate.server.start} cannot be started on a checkpoint while the training holds the GPUs"
    elif evaluate.server and generates:
        what = "a server that runs already does not answer as the checkpoint that was just saved"
    else:
        return
    raise UserError(what, where="evaluate.where: inline", mend="Set evaluate.where: watch (or job), and run acc eval --watch")


def check_watch(recipe: Recipe) -> None:
    """Refuse to watch a run with a server that answers as one model, whatever checkpoint it is.

    Raises:
        UserError: a server is given by its address, and no name by which it knows each checkpoint.
    """
    server = recipe.evaluate.server
    if server is None or server.base_url is None or any(name in (server.model or "") for name in ("{checkpoint}", "{step}")):
        return
    raise UserError(
        f"{server.base_url} would answer as one model for every checkpoint",
        where="evaluate.server",
        mend="Let `start` serve each checkpoint, or put {checkpoint} or {step} into evaluate.server.model",
    )
