"""What a line shows of its question: both ends of the prompt and the gold answer, for whoever reads the answer later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acc.evaluate.lines import Line
from acc.records.sample import Message

ENDS = 1_500
"""Characters kept of each end of a prompt: prompts reach megabytes."""
GOLD = 4_000
"""Characters kept of a gold answer."""


def excerpts(messages: Sequence[Message], gold: Any) -> Line:
    """`prompt_start`, `prompt_end` and `gold` of a question.

    Args:
        messages: the conversation; roles stand before their texts.
        gold: a text, or a list of names.

    Returns:
        `prompt_end` never repeats what `prompt_start` holds: it is shorter than ENDS only where nothing lies between the two.
    """
    text = "\n\n".join(f"{m['role']}: {m.get('content') or ''}" for m in messages)
    answer = gold if isinstance(gold, str) else ", ".join(map(str, gold or []))
    return {"prompt_start": text[:ENDS], "prompt_end": text[ENDS:][-ENDS:], "gold": answer[:GOLD]}
