"""An asynchronous client of OpenAI-compatible servers: many requests at once, each asked until it is answered, never twice.

Every response is a line of a journal on disk before it counts, under a hash of its request and the number of the sample. A run
that was killed finds them there, at the same or another address of the model; only what was in flight is asked again, and that
is counted. Memory holds the place of each response in the journal, not the response.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from acc.errors import UserError
from acc.llm.answers import Answers
from acc.llm.journal import Journal, Record
from acc.llm.messages import Completion, Failure, Request, body_of, completions_of, key_of

if TYPE_CHECKING:
    import httpx

RETRIED = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are worth another try."""
BROKEN_OFF = frozenset({"abort", "error"})
"""Finish reasons that say nothing of the model: the server gave up on its own."""
POOL = 16
"""Connections that one httpx client keeps, number. It looks at all of them at every request: 200 in one would take most of a
processor."""
LONGEST_PAUSE_S = 60.0
"""Longest pause of our own choosing, s; a server's Retry-After may ask for a longer one."""


class RequestRefused(UserError):
    """The server refuses this one request for good, as it does a prompt that is too long for it."""


class _Passing(Exception):
    """A failure that may pass; `pause_s` is the server's own wish."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Client:
    """A client of one model on one server. Use it as an asynchronous context manager.

    Args:
        base_url: as "http://host:8000/v1".
        journal: JSONL file of responses; one process at a time.
        concurrency: requests in flight at most, number.
        timeout_s: longest wait for one response, s.
        attempts: how often a request is tried before it is given up, number.
        backoff_s: pause after the first failure, s; it doubles, with jitter. A server's Retry-After is obeyed instead.

    Attributes:
        answers: what the journal holds; found: requests that were answered from it; interrupted: requests that were in flight
        when the run before was killed, number.

    Raises:
        UserError: another process writes the journal, or a line of it is not JSON.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        journal: Path,
        api_key: str = "",
        concurrency: int = 8,
        timeout_s: float = 600.0,
        attempts: int = 6,
        backoff_s: float = 1.0,
    ) -> None:
        import httpx  # it takes long, and most runs ask no server

        self.url, self.model = base_url.rstrip("/") + "/chat/completions", model
        self.concurrency, self.timeout_s, self.attempts, self.backoff_s = concurrency, timeout_s, attempts, backoff_s
        self.found = 0
        self._journal = Journal(journal)
        self.answers = Answers(journal, model)
        self.interrupted = self.answers.open
        self._asking: dict[str, asyncio.Event] = {}
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL)
        context = httpx.create_ssl_context()
        self._pools = [
            httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout_s, verify=context)
            for _ in range(-(-concurrency // POOL))
        ]
        self._slots: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        """A request in flight holds one; the last given back goes first, its connection being warm."""
        for slot in range(concurrency):
            self._slots.put_nowait(self._pools[slot % len(self._pools)])

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            await pool.aclose()
        self._journal.close()

    async def complete_all(self, requests: Iterable[Request]) -> list[Completion | Failure]:
        """Ask many at once; the results are in the order of the requests.

        Raises:
            UserError: as `complete`; the first one ends the others.
        """
        tasks = [asyncio.create_task(self.complete(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def complete(self, request: Request) -> Completion | Failure:
        """Ask one, or find its response in the journal; of several choices the first.

        Raises:
            As `choices`.
        """
        found = await self.choices(request)
        return found[0] if isinstance(found, list) else found

    async def choices(self, request: Request) -> list[Completion] | Failure:
        """As `complete`, with all choices of the response: as many as the server gave, whatever `n` the request has.

        Raises:
            RequestRefused: the request itself is wrong (400 and other statuses that no retry mends).
            UserError: the server refuses all requests: the key is wrong (401, 403), or there is no such model or address (404).
        """
        key = key_of(self.model, request)
        while key in self._asking:  # given twice: it waits for its first asking
            await self._asking[key].wait()
        self._asking[key] = asyncio.Event()
        try:
            http = await self._slots.get()
            try:
                if isinstance(done := self.answers.find_choices(request), list):
                    self.found += 1
                    return done
                return await self._ask(key, request, http)
            finally:
                self._slots.put_nowait(http)
        finally:
            self._asking.pop(key).set()

    async def _ask(self, key: str, request: Request, http: httpx.AsyncClient) -> list[Completion] | Failure:
        self._append({"event": "asked", "key": key}, durable=False)
        try:
            response, seconds, tries = await self._with_retries(http, body_of(self.model, request))
        except (_Passing, UserError) as e:
            self._append({"event": "given_up", "key": key, **request.label, "reason": str(e)})
            if isinstance(e, UserError):
                raise
            return Failure(key, str(e))
        record = {"key": key, **request.label, "seconds": round(seconds, 3), "tries": tries, "response": response}
        self._append(record)
        return completions_of(record)

    def _append(self, record: Record, *, durable: bool = True) -> None:
        self.answers.note(record, self._journal.append(record, durable=durable))

    async def _with_retries(self, http: httpx.AsyncClient, body: dict[str, Any]) -> tuple[dict[str, Any], float, int]:
        """(the response's JSON, seconds that the server took for it, how often it was sent)."""
        for attempt in range(1, self.attempts + 1):
            start = time.monotonic()
            try:
                return await self._post(http, body), time.monotonic() - start, attempt
            except _Passing as e:
                if attempt == self.attempts:
                    raise
                pause = min(self.backoff_s * 2 ** (attempt - 1), LONGEST_PAUSE_S)
                # Half of it at random, so that requests that failed together do not come back together.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0) if e.pause_s is None else e.pause_s)
        raise ValueError("attempts must be 1 or more")

    async def _post(self, http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
        """One attempt: the response's JSON."""
        import httpx

        try:
            # httpx limits each read; a server that drips would hold a slot for ever.
            async with asyncio.timeout(self.timeout_s):
                answer = await http.post(self.url, json=body)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as e:
            raise UserError(f"this is no address of a server ({e})", where=self.url, mend="Write http://host:port/v1") from e
        except TimeoutError as e:
            raise _Passing(f"no response in {self.timeout_s:g} s") from e
        except httpx.RequestError as e:
            raise _Passing(f"{type(e).__name__}: {e}".rstrip(": ")) from e
        if answer.status_code in RETRIED or answer.status_code >= 500:
            raise _Passing(f"status {answer.status_code}: {_excerpt(answer)}", _retry_after(answer))
        if answer.status_code != 200:
            kind = UserError if answer.status_code in (401, 403, 404) else RequestRefused
            raise kind(
                f"the server refuses with status {answer.status_code}: {_excerpt(answer)}",
                where=self.url,
                mend=_MENDS.get(answer.status_code, "Change the request as the server says"),
            )
        try:
            data: dict[str, Any] = answer.json()
            if broken := [c.finish for c in completions_of({"key": "", "response": data}) if c.finish in BROKEN_OFF]:
                raise _Passing(f"the server broke the answer off ({broken[0]})")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as e:
            raise _Passing(f"the response is no chat completion ({type(e).__name__}): {_excerpt(answer)}") from e
        return data


_MENDS = {
    400: "Change the request as the server says; an over-long prompt is a common reason",
    401: "Check the API key",
    403: "Check the API key and what it may do",
    404: "Check the address (it ends in /v1) and the model's name",
}


def _excerpt(answer: httpx.Response) -> str:
    return " ".join(answer.text[:300].split())


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110)."""
    value = answer.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
