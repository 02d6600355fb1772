"""What is asked of a server, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acc.stage.files import digest


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion to ask for.

    `sample` tells several answers to the same messages apart. `parameters` go into the body as they are (temperature,
    max_tokens, seed…). `label` goes into the journal beside the response, for its reader; `prompt_tokens` in it counts where
    the server does not count.
    """

    messages: Sequence[Mapping[str, Any]]
    sample: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """A response. `reasoning` is what a server with a reasoning parser gives apart from the text, else "".

    Of a response with several choices each is one of these; `completion_tokens` is then its part of what the server counted for
    all, by the length of its text. `seconds` is how long the server took for the response, and `tries` how often it was sent
    until then.
    """

    key: str
    text: str
    reasoning: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float = 0.0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was given up. It is not in the journal, so the next run asks it again."""

    key: str
    reason: str


def body_of(model: str, request: Request) -> dict[str, Any]:
    """The request as its server takes it."""
    return {"model": model, "messages": request.messages, **request.parameters}


def key_of(model: str, request: Request) -> str:
    """The name of a request in a journal, 32 hex digits: not of its address, for a model may move."""
    return digest({"body": body_of(model, request), "sample": request.sample})


def completions_of(record: Mapping[str, Any]) -> list[Completion]:
    """The choices of the response in a record of the journal, one or more, in the order of their indices.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: it is no chat completion.
    """
    choices, usage = record["response"]["choices"], record["response"].get("usage") or {}
    if len(choices) > 1:  # servers may give them in the order in which they ended
        choices = sorted(choices, key=lambda choice: choice.get("index") or 0)
    said = [_said(choice["message"]) for choice in choices]
    if not said:
        raise IndexError("it has no choice")
    counted = _parts(int(usage.get("completion_tokens") or 0), [len(text) + len(reasoning) for text, reasoning in said])
    return [
        Completion(
            record["key"],
            text=text,
            reasoning=reasoning,
            finish=choice.get("finish_reason") or "",
            prompt_tokens=int(usage.get("prompt_tokens") or record.get("prompt_tokens", 0)),
            completion_tokens=tokens,
            seconds=record.get("seconds", 0.0),
            tries=record.get("tries", 1),
        )
        for choice, (text, reasoning), tokens in zip(choices, said, counted, strict=True)
    ]


def _said(message: Mapping[str, Any]) -> tuple[str, str]:
    """(text, reasoning) of a message; vLLM and SGLang have called the second by two names."""
    text, reasoning = message.get("content") or "", message.get("reasoning_content") or message.get("reasoning") or ""
    if not isinstance(text, str) or not isinstance(reasoning, str):
        raise TypeError("its content is no text")
    return text, reasoning


def _parts(total: int, weights: list[int]) -> list[int]:
    """Whole numbers that add up to `total`, in proportion to the weights (evenly where all are 0)."""
    if not any(weights):
        weights = [1] * len(weights)
    ends = [total * sum(weights[: i + 1]) // sum(weights) for i in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
