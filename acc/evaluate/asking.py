"""Asking a server: what a question is as a request, and the answers to one prompt, in one request where the server can."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acc.chat import Layout, StudentChat
from acc.evaluate.questions import Answer, Question
from acc.llm import Client, Completion, Failure, Request, RequestRefused, Silence
from acc.recipe.evaluation import Sampling
from acc.stage.seeds import seed_for

Answered = list[tuple[Question, Answer]]


@dataclass(frozen=True)
class Requests:
    """Questions as requests.

    Args:
        seed: of sampling; that of a request is a function of it, the row, the condition and, asked singly, the sample.
        common: parameters of every request.
        last: parameters of every request that come over all others: the user's.
        generation: the model's generation settings, for transformers' server: what it is sent apart from them (a top_k) it
            refuses, and a temperature without do_sample it ignores. None for other servers.
    """

    sampling: Sampling
    seed: int = 0
    common: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] | None = None

    def one(self, question: Question) -> Request:
        """The request for one answer."""
        return self._request(question, question.sample, {}, question.sample)

    def all(self, question: Question) -> Request:
        """The request for all answers to a question's prompt."""
        return self._request(question, 0, {"n": self.sampling.samples}, "all")

    def _request(self, question: Question, sample: int, extra: dict[str, Any], drawn: int | str) -> Request:
        parameters: dict[str, Any] = {"max_tokens": question.max_new_tokens, "temperature": self.sampling.temperature, **extra}
        if self.sampling.temperature:
            seed = seed_for(self.seed, "generate", question.row, question.condition, drawn) % 2**31
            parameters |= {"top_p": self.sampling.top_p, "seed": seed}
            if self.sampling.top_k and self.generation is None:
                parameters["top_k"] = self.sampling.top_k
        if self.generation is not None:
            parameters["generation_config"] = json.dumps({**self.generation, **self._drawn()}, sort_keys=True)
        label = {"row": question.row, "condition": question.condition, "sample": question.sample}
        return Request(question.messages, sample, {**self.common, **parameters, **self.last}, label)

    def _drawn(self) -> dict[str, Any]:
        """The sampling as transformers names it."""
        if not self.sampling.temperature:
            return {"do_sample": False}
        return {"do_sample": True, "top_k": self.sampling.top_k}


def template_arguments(chat: StudentChat, layout: Layout) -> dict[str, Any]:
    """What a request must say so that the server's template makes the layout's prompt; {} where it does by itself."""
    user = [{"role": "user", "content": "x"}]
    switch: dict[str, Any] = dict(chat.switch(layout))
    plain, wanted = (chat.template.render(user, add_generation_prompt=True, **s) for s in ({}, switch))
    return {} if plain == wanted else {"chat_template_kwargs": switch}


class Asking:
    """Asks a client's server for answers.

    Args:
        count: text → tokens of the student, where the server does not count.
        check: raises where the server is known to be gone.

    Attributes:
        singly: answers to one prompt are asked in requests of their own, because the server gives fewer than asked for.
        differing: prompts of another length than the student's template gives; row → (here, on the server), tokens.
    """

    def __init__(
        self,
        client: Client,
        requests: Requests,
        count: Callable[[str], int],
        check: Callable[[], None],
        *,
        singly: bool = False,
    ) -> None:
        self.client, self.requests, self.singly = client, requests, singly
        self.differing: dict[str, tuple[int, int]] = {}
        self._count = count
        self._silence = Silence(client, heard=client.answers.answered > 0, check=check)

    async def group(self, questions: Sequence[Question]) -> Answered:
        """The answers to one prompt.

        Raises:
            UserError: the server refuses the key or the model, or answers nothing any more.
        """
        found: dict[int, Completion | Failure] = {}
        if self.requests.sampling.samples > 1:
            found = await self._together(questions)
        rest = [q for q in questions if q.sample not in found]
        singles = await asyncio.gather(*(self._single(q) for q in rest))
        found |= {q.sample: answer for q, answer in zip(rest, singles, strict=True)}
        return [(q, self._answer(q, found[q.sample])) for q in questions]

    async def _together(self, questions: Sequence[Question]) -> dict[int, Completion | Failure]:
        """Sample → what one request for all samples gave, as far as it gives them."""
        request, samples = self.requests.all(questions[0]), self.requests.sampling.samples
        got = self.client.answers.find_choices(request)
        if not isinstance(got, list):
            known = any(isinstance(self.client.answers.find(self.requests.one(q)), Completion) for q in questions)
            if self.singly or known or len(questions) < samples:
                return {}
            try:
                got = await self.client.choices(request)
            except RequestRefused as e:
                # The number may be what it refuses, or the prompt: one alone tells.
                first = await self._single(questions[0])
                if isinstance(first, Failure):
                    return {q.sample: first for q in questions}
                self._go_singly(f"it refuses n={samples} ({e.what})")
                return {questions[0].sample: first}
        if isinstance(got, Failure):
            self._silence.note(got)
            return {q.sample: got for q in questions}
        self._silence.note(got[0])
        if len(got) < samples:
            self._go_singly(f"it gives {len(got)} of {samples}")
        return dict(enumerate(got))

    async def _single(self, question: Question) -> Completion | Failure:
        try:
            got = await self.client.complete(self.requests.one(question))
        except RequestRefused as e:
            got = Failure("", e.what)
            if self._silence.heard:
                return got
        self._silence.note(got)
        return got

    def _go_singly(self, why: str) -> None:
        if not self.singly:
            print(f"acc eval: the server does not give several answers at once: {why}; they are asked singly", file=sys.stderr)
        self.singly = True

    def end(self) -> None:
        """Raise a UserError where requests failed and the server has never answered one."""
        self._silence.end()

    def _answer(self, question: Question, got: Completion | Failure) -> Answer:
        if isinstance(got, Failure):
            return Answer(got.reason, 0, "failed")
        here, there = len(question.prompt), got.prompt_tokens
        if there and there != here:
            self.differing.setdefault(question.row, (here, there))
        return Answer(
            got.text,
            got.completion_tokens or self._count(got.text) + self._count(got.reasoning),
            "length" if got.finish == "length" else "stop",
            reasoning=got.reasoning,
            seconds=got.seconds,
        )
