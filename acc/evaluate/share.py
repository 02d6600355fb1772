"""How much of a training's time evaluation in the training processes would take, estimated before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from acc.chat import load_chat
from acc.errors import UserError
from acc.evaluate.plan import has_screen
from acc.evaluate.questions import Question
from acc.evaluate.suites import Suite, prepare_rows, suites_of
from acc.recipe.schema import Recipe

STEP_PASSES = 3
"""A training step costs as much as so many forward passes over its tokens; one more where activations are recomputed."""
DECODED = 10
"""A generated token costs as much as so many tokens of a prompt: the weights are read for a batch of a few rows only. Assumed
of small models in process; on the toy and a CPU it is about that."""
MENDS = (
    "Set evaluate.where: watch, ask less (evaluate.screen, limit, max_new_tokens), save less often, "
    "or raise evaluate.inline_share"
)


@dataclass(frozen=True, slots=True)
class Work:
    """What one evaluation asks of the model: tokens of prompts and gold answers read, and generated at most."""

    read: int
    generated: int

    @property
    def forward(self) -> int:
        """The same as tokens of a forward pass."""
        return self.read + DECODED * self.generated


def check_share(recipe: Recipe, compiled: Path, out: Path, *, trained_tokens: int, checkpoints: int) -> float:
    """Estimate evaluation's share of the training's time, and refuse one above `evaluate.inline_share`.

    Counted are tokens: those that are read and generated at the base, at every checkpoint and, with a screen, in full at the
    best and the last one, against those that are trained on. Both are spread over the same processes. Answers count as long as
    they may become. Not counted are loading the checkpoint, which is most of a toy's evaluation, and on both sides attention's
    part, which grows with the length.

    Args:
        compiled: the folder of `acc compile`.
        out: the folder of the evaluation; synthetic rows are generated there.
        trained_tokens: tokens of the whole training, number.
        checkpoints: checkpoints of the whole training, number.

    Returns:
        Seconds of evaluation over seconds of training.

    Raises:
        UserError: the share is above what the recipe allows.
    """
    evaluate = recipe.evaluate
    chat = load_chat(recipe.student, revision=recipe.model.revision)
    prepare_rows(recipe, out, chat)
    suites = suites_of(recipe, compiled, out, chat)
    full, screen = work_of(suites, screen=False), work_of(suites, screen=True)
    in_full = int(evaluate.base)
    if has_screen(evaluate):
        in_full += 1 + bool(recipe.train.best)
    forward = checkpoints * (screen if has_screen(evaluate) else full).forward + in_full * full.forward
    passes = STEP_PASSES + recipe.train.gradient_checkpointing
    share = forward / max(1, passes * trained_tokens)
    if share > evaluate.inline_share:
        raise UserError(
            f"evaluation would take about {share:.0%} of the training's time ({forward:,} tokens read, a generated one counted "
            f"as {DECODED}, against {passes} times {trained_tokens:,} trained): more than evaluate.inline_share, "
            f"{evaluate.inline_share:.0%}",
            where="evaluate.where: inline",
            mend=MENDS,
        )
    return share


def work_of(suites: Iterable[Suite], *, screen: bool) -> Work:
    """What all suites' questions ask of the model; several answers to one prompt read it once."""
    read = generated = 0
    for suite in suites:
        asked = [q for q in suite.questions if not screen or suite.is_screened(q)]
        read += sum(_read(q) for q in asked)
        generated += sum(q.max_new_tokens for q in asked)
    return Work(read, generated)


def _read(question: Question) -> int:
    return len(question.target) + (len(question.prompt) if question.sample == 0 else 0)
