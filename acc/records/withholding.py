"""A sample's prompt with its evidence withheld: what a model does without it says what the evidence does."""

from __future__ import annotations

import re

from acc.recipe.data import Prompt
from acc.recipe.evaluation import Condition
from acc.records.sample import Message, Piece, Sample
from acc.stage.seeds import random_for


def can_withhold(sample: Sample, condition: Condition) -> bool:
    """Whether the condition asks something else than the sample itself: exchanged needs a distractor."""
    return condition != "exchanged" or any(p.role != "support" for p in sample.pieces)


def remove_pieces(sample: Sample, condition: Condition, prompt: Prompt) -> list[Message]:
    """The sample's prompt without its support pieces (no_support), without as many of the others (exchanged), or without any
    piece (question_only).

    Which of the others go is random, and depends on the sample's id alone; fewer go where there are fewer.

    Where every piece stands in the recipe's own heading, headings go with their pieces and the rest is numbered anew, as if the
    support had never been found; in a prompt of another origin only the pieces' texts are cut.
    """
    if condition == "full" or not sample.pieces:
        return list(sample.prompt)
    pieces = sorted(sample.pieces, key=lambda p: p.start)
    gone = _withheld(sample, condition, pieces)
    kept = [p for p in pieces if p not in gone]
    content = sample.prompt[-1]["content"]
    blocks = _blocks(content, pieces, prompt)
    if blocks:
        renewed = [_block(number, p, content, prompt) for number, p in enumerate(kept, 1)]
        content = content[: blocks[0][0]] + prompt.separator.join(renewed) + content[blocks[-1][1] :]
    else:
        for piece in reversed([p for p in pieces if p in gone]):
            content = content[: piece.start] + content[piece.end :]
    last: Message = {**sample.prompt[-1], "content": content}
    return [*sample.prompt[:-1], last]


def _withheld(sample: Sample, condition: Condition, pieces: list[Piece]) -> list[Piece]:
    if condition == "question_only":
        return pieces
    support, others = ([p for p in pieces if (p.role == "support") == wanted] for wanted in (True, False))
    if condition == "no_support":
        return support
    return random_for(0, "exchanged", sample.sample_id).sample(others, min(len(support), len(others)))


def _blocks(content: str, pieces: list[Piece], prompt: Prompt) -> list[tuple[int, int]]:
    """The [start, end) of each piece with its heading, or [] where one does not stand as the recipe's template puts it."""
    found: list[tuple[int, int]] = []
    for number, piece in enumerate(pieces, 1):
        before, after = _frame(number, piece, prompt)
        start, end = piece.start - len(before), piece.end + len(after)
        if start < 0 or content[start : piece.start] != before or content[piece.end : end] != after:
            return []
        if found and content[found[-1][1] : start] != prompt.separator:
            return []
        found.append((start, end))
    return found


def _block(number: int, piece: Piece, content: str, prompt: Prompt) -> str:
    before, after = _frame(number, piece, prompt)
    return before + content[piece.start : piece.end] + after


def _frame(number: int, piece: Piece, prompt: Prompt) -> tuple[str, str]:
    """What the recipe's template puts before and after a piece's text."""
    before, after = prompt.piece.split("{text}")

    def fill(part: str) -> str:
        names = {"{number}": str(number), "{locator}": piece.locator}
        return re.sub(r"\{number\}|\{locator\}", lambda m: names[m[0]], part)

    return fill(before), fill(after)
