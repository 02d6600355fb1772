"""A benchmark's line shows both ends of its prompt, however long the prompt is."""

from __future__ import annotations

import pytest

from acc.evaluate.excerpts import ENDS, excerpts


@pytest.mark.parametrize("length", [0, 10, ENDS, ENDS + 1, 2 * ENDS - 6, 10 * ENDS])
def test_the_ends_never_overlap_and_hold_the_question(length: int) -> None:
    text = "user: " + "".join(chr(97 + i % 26) for i in range(length))
    shown = excerpts([{"role": "user", "content": text.removeprefix("user: ")}], "gold")
    start, end = shown["prompt_start"], shown["prompt_end"]
    assert text.startswith(start) and text.endswith(end)
    assert len(start) + len(end) == min(len(text), 2 * ENDS)


def test_a_list_of_nodes_is_one_text() -> None:
    assert excerpts([], ["a", "b"])["gold"] == "a, b"
    assert excerpts([], [])["gold"] == ""
