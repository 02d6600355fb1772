"""MRCR (`openai/mrcr`): find the i-th of several texts written on the same request in a long conversation, and repeat it.

A row of the Parquet files: `prompt` (JSON list of chat messages), `answer`, `random_string_to_prepend`, `n_needles`,
`desired_msg_index` (of the user's request), `total_messages`, `n_chars`.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from typing import Any

from acc.errors import UserError
from acc.records.sample import Message

GRADED = ("answer", "random_string_to_prepend")
"""Columns that grading reads."""
ASKED = ("prompt", "n_needles")
"""Columns that asking reads besides."""
QUOTED = ("official",)
"""Conventions reported for slices too; the first is the headline."""
OTHERS = ("none", "lstrip", "strip")
"""The other conventions."""


def grade(row: dict[str, Any], response: str) -> dict[str, float]:
    """Grade one response, in [0, 1] under every convention.

    - official: 0 unless the response starts with the row's random string; else the similarity of response and answer, both
      without that string. White space before the string fails the response.
    - none, lstrip, strip: the same after this much white space was taken off the response (none is the official rule).
    """
    answer, prefix = row["answer"], row["random_string_to_prepend"]
    variants = {"official": response, "none": response, "lstrip": response.lstrip(), "strip": response.strip()}
    ratios = {text: _similarity(text, answer, prefix) for text in set(variants.values())}
    return {name: ratios[text] for name, text in variants.items()}


def messages(row: dict[str, Any]) -> list[Message]:
    """The conversation that the model is given; its last turn is the question.

    Raises:
        UserError: the prompt is not a JSON list of messages.
    """
    try:
        conversation = json.loads(row["prompt"])
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in conversation]
    except (ValueError, TypeError, KeyError) as e:
        raise UserError(
            f"the prompt is not a JSON list of chat messages ({type(e).__name__}: {e})", mend="Take the official Parquet files"
        ) from e


def group(row: dict[str, Any]) -> str:
    """The slice that a row belongs to: 2needle, 4needle or 8needle."""
    return f"{row['n_needles']}needle"


def _similarity(response: str, answer: str, prefix: str) -> float:
    if not response.startswith(prefix):
        return 0.0
    # The order of the arguments and difflib's autojunk change the number: both are as in the official rule.
    return SequenceMatcher(None, response.removeprefix(prefix), answer.removeprefix(prefix)).ratio()
