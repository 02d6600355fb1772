"""Who answers: what the recipe says, opened on a checkpoint."""

from __future__ import annotations

from pathlib import Path

from acc.chat import StudentChat
from acc.evaluate.generation import InProcess
from acc.evaluate.questions import Backend
from acc.recipe.schema import Recipe
from acc.stage.seeds import seed_for


def open_backend(recipe: Recipe, checkpoint: str, chat: StudentChat, folder: Path, *, step: int) -> Backend:
    """Open a checkpoint for questions.

    Args:
        checkpoint: a folder or a hub id.
        folder: where a server's journal and log go.
        step: the checkpoint's global step.
    """
    evaluate, sampling = recipe.evaluate, recipe.evaluate.sampling
    return InProcess(
        checkpoint,
        stop_id=chat.stop_id,
        decode=lambda ids: chat.tokenizer.decode(ids, keep_control=True),
        batch_tokens=evaluate.batch_tokens,
        prefill_tokens=evaluate.prefill_tokens,
        revision=None if Path(checkpoint).is_dir() else recipe.model.revision,
        trust_remote_code=recipe.model.trust_remote_code,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=seed_for(recipe.seed, "evaluate"),
    )
