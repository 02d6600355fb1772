"""Asking a server about all samples: many at once, the attempts of one sample after another, what is known never again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from acc.compile.teacher.attempts import Kind
from acc.compile.teacher.progress import Progress
from acc.llm import Answers, Client, Completion, Failure, Request, RequestRefused, Silence
from acc.llm import api_key as key_of_environment
from acc.recipe.data import Teacher
from acc.records.sample import Sample


def ask(samples: Iterable[Sample], kind: Kind, teacher: Teacher, journal: Path, progress: Progress, spent: int = 0) -> Answers:
    """Ask until every sample has an accepted answer, no attempts left, or the token budget is spent.

    A worker takes a sample and makes its attempts one after another, so the server's prefix cache still holds the prompt.
    At most `teacher.concurrency` samples are in memory.

    Args:
        journal: JSONL file; what it holds is not asked again.
        spent: tokens of the budget that are gone already; those of the journal come on top.

    Returns:
        What the journal holds now.

    Raises:
        UserError: the server refuses the key or the model, or answers nothing any more.
    """
    return asyncio.run(_Asking(kind, teacher, progress, spent).run(samples, journal))


class _Asking:
    def __init__(self, kind: Kind, teacher: Teacher, progress: Progress, spent: int) -> None:
        self.kind, self.teacher, self.progress, self.spent = kind, teacher, progress, spent

    async def run(self, samples: Iterable[Sample], journal: Path) -> Answers:
        teacher = self.teacher
        client = Client(
            teacher.base_url,
            teacher.model,
            journal=journal,
            api_key=api_key(teacher),
            concurrency=teacher.concurrency,
            timeout_s=teacher.timeout_s,
            attempts=teacher.retries + 1,
        )
        silence = Silence(client)
        async with client:
            waiting = (sample for sample in samples if sample.target in self.kind.targets)
            workers = [asyncio.create_task(self._work(waiting, client, silence)) for _ in range(teacher.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        silence.end()
        return client.answers

    async def _work(self, waiting: Iterator[Sample], client: Client, silence: Silence) -> None:
        for sample in waiting:
            accepted = False
            for request in self.kind.requests(sample):
                found = client.answers.find(request)
                if not isinstance(found, Completion):
                    if self._is_spent(client.answers):
                        break
                    found = await _complete(client, request, silence)
                if isinstance(found, Completion) and (accepted := self.kind.verdict(sample, found).accepted):
                    break
            self.progress.end(accepted, client.answers.answered, client.answers.tokens)

    def _is_spent(self, answers: Answers) -> bool:
        limit = self.teacher.budget_tokens
        return limit is not None and self.spent + answers.tokens >= limit


async def _complete(client: Client, request: Request, silence: Silence) -> Completion | Failure:
    try:
        found = await client.complete(request)
    except RequestRefused as e:
        found = Failure("", str(e))
        if silence.heard:
            return found
    silence.note(found)
    return found


def api_key(teacher: Teacher) -> str:
    """The key from the environment, "" where the recipe names none.

    Raises:
        UserError: the variable that it names is not set.
    """
    return key_of_environment(teacher.api_key_env, where="rationale.teacher.api_key_env")
