"""An OpenAI-compatible server as who answers: many requests at once, no response generated twice, none lost."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from acc.evaluate.asking import Answered, Asking, Requests
from acc.evaluate.questions import Question
from acc.llm import Client
from acc.recipe.evaluation import Server as Settings

WINDOW = 4
"""Prompts asked about, or answered and not fetched yet, at most, as a multiple of the concurrency."""


class Host(Protocol):
    """Where a server is."""

    def url(self) -> str:
        """Its address, ending in /v1; starts it, and waits for it, where it is ours to start."""

    def check(self) -> None:
        """Raise a UserError where it is known to be gone."""

    def close(self) -> None:
        """End it, where it is ours."""


class Server:
    """A server that answers questions (a `Backend`).

    It renders the messages by its own template. Where that gives another number of tokens than the student's template here, a
    line says so: the templates differ, or texts hold control tokens, which a server reads as such and `StudentChat` does not.

    Args:
        host: where it is.
        model: the model's name on it.
        requests: how questions are asked.
        window: longest prompt and answer together, tokens.
        fingerprint: of the weights and who serves them.
        journal: JSONL file of responses, of this fingerprint only; one process at a time.
        count: text → tokens, where the server does not count.
        api_key: "" for none.

    Attributes:
        base_url, model: for others who ask the same server.
        singly: whether several answers to one prompt are asked in requests of their own: in one it gives fewer than asked for.
    """

    scores_targets = False

    def __init__(
        self,
        host: Host,
        model: str,
        *,
        requests: Requests,
        window: int,
        fingerprint: str,
        journal: Path,
        count: Callable[[str], int],
        settings: Settings,
        api_key: str = "",
    ) -> None:
        self.model, self.window, self.fingerprint = model, window, fingerprint
        self.singly = False
        self._host, self._requests, self._journal, self._count = host, requests, journal, count
        self._settings, self._api_key = settings, api_key

    @property
    def base_url(self) -> str:
        """Address, ending in /v1; the server is started where it does not run yet."""
        return self._host.url()

    def answer(self, questions: Sequence[Question]) -> Iterator[Answered]:
        """Answer questions; yields those of one prompt as soon as all are there.

        A request that was given up or refused is an answer whose finish is failed and whose text says why.

        Raises:
            UserError: the server refuses the key or the model, or answers nothing any more. What it answered is in the journal.
        """
        groups = (list(group) for _, group in groupby(questions, lambda q: (q.row, q.condition)))
        if not questions:
            return
        url = self.base_url
        run = _Run(lambda run: self._ask_all(run, url), groups, WINDOW * self._settings.concurrency)
        try:
            yield from run.answered()
        finally:
            run.stop()

    def close(self) -> None:
        """End the server, where it was started here."""
        self._host.close()

    async def _ask_all(self, run: _Run, url: str) -> None:
        settings = self._settings
        client = Client(
            url,
            self.model,
            journal=self._journal,
            api_key=self._api_key,
            concurrency=settings.concurrency,
            timeout_s=settings.timeout_s,
            attempts=settings.retries + 1,
        )
        async with client:
            asking = Asking(client, self._requests, self._count, self._host.check, singly=self.singly)
            before = client.answers.repeated
            workers = [asyncio.create_task(_work(run, asking)) for _ in range(settings.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
            asking.end()
            self.singly = asking.singly
            if repeated := client.answers.repeated - before:
                _say(f"{repeated} requests that were in flight when a run before was killed were asked again")
            if asking.differing:
                row, (here, there) = next(iter(asking.differing.items()))
                _say(
                    f"{len(asking.differing)} rows have another number of prompt tokens on the server (row {row}: {there}) "
                    f"than by the student's template ({here}): its template differs, or the texts hold control tokens"
                )


async def _work(run: _Run, asking: Asking) -> None:
    for group in run.groups:
        await run.room.acquire()
        run.put(await asking.group(group))


class _Run:
    """An event loop in a thread of its own, and what it answers; the caller may take its time over each answer.

    Args:
        ask: asks about `groups`, holding a place of `room` for each, and puts the answers.
        room: groups asked about, or answered and not fetched yet, at most.
    """

    def __init__(self, ask: Callable[[_Run], Coroutine[None, None, None]], groups: Iterator[list[Question]], room: int) -> None:
        self.groups, self.room = groups, asyncio.Semaphore(room)
        self._out: SimpleQueue[Answered | None] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(ask(self))
        self._thread = threading.Thread(target=self._serve, name="acc-server", daemon=True)
        self._thread.start()

    def put(self, answered: Answered) -> None:
        """Hand answers over."""
        self._out.put(answered)

    def answered(self) -> Iterator[Answered]:
        """The answers as they come; raises what the asking raised, after the last."""
        while (got := self._out.get()) is not None:
            yield got
            self._loop.call_soon_threadsafe(self.room.release)
        self._task.result()

    def stop(self) -> None:
        """End it, whether all is answered or not."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        self._loop.run_until_complete(asyncio.wait([self._task]))
        self._out.put(None)


def _say(line: str) -> None:
    print(f"acc eval: {line}", file=sys.stderr, flush=True)
