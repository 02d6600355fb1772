"""What is asked and what came back, and who answers: the records and the interface between suites, backends and the runner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from acc.records.sample import Message

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Question:
    """One answer wanted of the model.

    `prompt` are the token ids up to and with the generation prompt, `messages` the same conversation for a server, which
    renders it by its own template. `sample` tells several answers to one prompt apart, from 0. `max_new_tokens` 0 asks for no
    answer. `target` are the ids of the gold answer as a turn without reasoning, if its likelihood is wanted too, and `scored`
    the half-open range of it whose tokens count: the answer's own. `row`, `condition` and `sample` say what is asked; together
    they are unique in a suite.
    """

    row: str
    condition: str
    prompt: Sequence[int]
    max_new_tokens: int
    target: Sequence[int] = ()
    scored: tuple[int, int] = (0, 0)
    messages: Sequence[Message] = ()
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model gave on one question.

    `text` is what was generated, with its control tokens, without the stop token; `reasoning` is what a server with a reasoning
    parser gives apart from it, else "". `tokens` counts both, as the backend counts. `finish` is stop where the model ended its
    turn, length where it was cut, failed where the server gave none (`text` says why). `nll` is the mean negative log
    likelihood, nats a token, of the gold answer's tokens, or None where none was asked. `seconds` is how long it took.
    """

    text: str
    tokens: int
    finish: Literal["stop", "length", "failed"]
    reasoning: str = ""
    nll: float | None = None
    seconds: float = 0.0


class Backend(Protocol):
    """Who answers. `window` is the longest prompt and answer together, tokens; `fingerprint` names the weights (and who serves
    them): another checkpoint never inherits an answer. `scores_targets` says whether it measures likelihoods."""

    window: int
    fingerprint: str
    scores_targets: bool

    def answer(self, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
        """Answer questions in an order of its own; yields some as soon as they are done. Questions that differ in `sample` only
        share the reading of their prompt where the backend can."""

    def close(self) -> None:
        """Give back what it holds: memory, processes."""


def after_thinking(text: str, *, opened: bool) -> str:
    """The answer in a response: what follows the last `</think>`, less the line breaks between the two.

    Args:
        text: the generated text with its control tokens.
        opened: whether the prompt already opened `<think>`.

    Returns:
        "" where thinking was opened and never closed (cut off, as a rule): there is no answer.
    """
    _, closed, tail = text.rpartition(CLOSE)
    if closed:
        return tail.lstrip("\n")
    return "" if opened or text.lstrip().startswith(OPEN) else text
