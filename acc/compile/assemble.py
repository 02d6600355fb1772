"""Evidence, question and answer → a sample: shuffled, within the budget, in the words of the recipe's prompt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acc.chat import StudentChat
from acc.compile.evidence import Refused, Taken
from acc.recipe import Recipe
from acc.recipe.data import Prompt
from acc.records.sample import Message, Piece, sample_id
from acc.stage.seeds import random_for

_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Assembled:
    """A prompt within the budget, with its pieces as places and as texts.

    `windowed` says that support was cut; `control` counts the control strings that stand in the prompt as text.
    """

    sample_id: str
    prompt: list[Message]
    pieces: list[Piece]
    taken: list[Taken]
    prompt_tokens: int
    target_tokens: int
    dropped_distractors: int
    windowed: bool
    control: int


Shrink = Callable[[Sequence[Taken], int], Sequence[Taken] | None]
"""(support, tokens) → the support cut to windows within so many tokens, None where it can't be."""


def assemble(
    recipe: Recipe,
    chat: StudentChat,
    *,
    target: str,
    domain: str,
    question: str,
    answer: str,
    rationale: str,
    taken: Sequence[Taken],
    shrink: Shrink | None = None,
) -> Assembled | Refused:
    """Shuffle the pieces and put them into the prompt; drop distractors until prompt and target fit the budget.

    The order of the pieces and the order in which distractors go are functions of the recipe's seed and the sample. Tokens are
    counted on the prompt as the student's template renders it, never estimated. Support is never dropped; where it is too long
    by itself it is cut to windows by `shrink`, and without that the sample is refused.

    Returns:
        The prompt, or a refusal: `over_budget` where the support alone is too long.
    """
    compiling = recipe.compile
    texts = [(p.locator, p.role, p.text) for p in taken]
    name = sample_id(target, domain, question, answer, texts)
    # With and without rationale the context is the same, or the two could not be compared.
    context = name if target == "acc" else sample_id("acc", domain, question, answer, texts)
    pieces = list(taken)
    if compiling.shuffle:
        random_for(recipe.seed, context).shuffle(pieces)
    rendered, _ = chat.target_text(rationale, answer, recipe.pack.layout)
    target_tokens = len(chat.tokenizer.encode(rendered)[1].ids)
    room = compiling.budget_tokens - max(compiling.target_reserve_tokens, target_tokens)
    distractors = [i for i, p in enumerate(pieces) if p.role == "distractor"]
    random_for(recipe.seed, context, "drop").shuffle(distractors)
    dropped = set() if compiling.distractors else set(distractors)
    sizes: dict[int, int] = {}
    windowed, gone = False, 0
    while True:
        kept = [p for i, p in enumerate(pieces) if i not in dropped]
        content, offsets = fill(compiling.prompt, domain, question, kept)
        prompt: list[Message] = [{"role": "user", "content": content}]
        if compiling.prompt.system:
            prompt.insert(0, {"role": "system", "content": compiling.prompt.system})
        encoded = chat.encode_prompt(prompt, recipe.pack.layout)
        over = len(encoded.ids) - room
        if over <= 0:
            tokens, control = len(encoded.ids), encoded.control_in_text
            return Assembled(name, prompt, offsets, kept, tokens, target_tokens, gone + len(dropped), windowed, control)
        left = [i for i in distractors if i not in dropped]
        if not left:
            # What the support may take is what it took, less the excess; the next turn counts the whole prompt again.
            support_room = sum(chat.count(p.text) for p in kept) - over
            cut = shrink(kept, support_room) if shrink is not None and support_room > 0 else None
            if cut is None:
                return Refused("over_budget", f"question and support need {len(encoded.ids)} tokens of {room} for the prompt")
            gone += len(dropped)
            pieces, dropped, distractors, windowed = list(cut), set(), [], True
            continue
        # Enough by the pieces' own counts; the next turn counts the whole prompt again.
        for i in left:
            dropped.add(i)
            over -= sizes.setdefault(i, chat.count(pieces[i].text))
            if over <= 0:
                break


def fill(prompt: Prompt, domain: str, question: str, taken: Sequence[Taken]) -> tuple[str, list[Piece]]:
    """The user message, and the place of each piece's text in it.

    Fields are filled by cutting the template at them, so braces in questions and pieces are left alone.
    """
    parts: list[str] = []
    pieces: list[Piece] = []
    end = 0

    def write(text: str) -> None:
        nonlocal end
        parts.append(text)
        end += len(text)

    def write_pieces() -> None:
        for number, piece in enumerate(taken, 1):
            write(prompt.separator if number > 1 else "")
            for text, field in _cut(prompt.piece):
                write(text)
                if field == "text":
                    pieces.append(Piece(piece.locator, piece.role, end, end + len(piece.text), piece.whole, piece.origin))
                write(
                    {"text": piece.text, "locator": piece.locator, "number": str(number)}.get(
                        field, f"{{{field}}}" if field else ""
                    )
                )

    kind = prompt.kinds.get(domain, prompt.kinds.get("other", "observations"))
    for text, field in _cut(prompt.template):
        write(text)
        if field == "pieces":
            write_pieces()
        else:
            write({"kind": kind, "question": question}.get(field, f"{{{field}}}" if field else ""))
    return "".join(parts), pieces


def _cut(template: str) -> list[tuple[str, str]]:
    """A template as (text, field after it) pairs; the last field is ""."""
    found = _FIELD.split(template)
    return list(zip(found[::2], [*found[1::2], ""], strict=True))


def roles(pieces: Sequence[Piece]) -> Counter[str]:
    """How many pieces are support and distractors, whole and windowed."""
    return Counter(name for p in pieces for name in (p.role, "whole" if p.whole else "window"))
