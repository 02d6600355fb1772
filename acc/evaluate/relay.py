"""A server on this machine that stands between a harness and the model's server.

A harness like lm-eval keeps of a response its text alone, tries a few times, and begins again after a kill. Here every response
is in a journal before it is passed on, failures that may pass are tried again, the thinking is taken off, and why a response
ended and what it cost is kept.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from acc.errors import UserError
from acc.evaluate.questions import Answer, after_thinking
from acc.llm.client import Client
from acc.llm.messages import Completion, Failure, Request
from acc.stage.files import digest

T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]


class Relay:
    """Use it as a context manager; it takes chat completions at `url`.

    Args:
        server: (base URL ending in /v1, model's name).
        journal: JSONL file of responses; one process at a time.
        opened: whether the model's template already opens `<think>`.
        client: more arguments of `acc.llm.Client`: api_key, concurrency, timeout_s, attempts.

    Attributes:
        refused: why the server refuses what it was asked, or None; the harness was then told status 400.
    """

    def __init__(self, server: tuple[str, str], journal: Path, *, opened: bool, **client: Any) -> None:
        base_url, model = server
        self.opened = opened
        self.refused: UserError | None = None
        self._said: dict[str, tuple[Answer, int]] = {}
        self._loop = asyncio.new_event_loop()
        self._client = Client(base_url, model, journal=journal, **client)
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        runs = (self._loop.run_forever, self._http.serve_forever)
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]

    @property
    def url(self) -> str:
        """Base URL, ending in /v1."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def said(self, messages: Messages) -> tuple[Answer, int] | None:
        """(what the model said to these messages, the prompt's tokens as its server counts), or None where it was not asked."""
        return self._said.get(digest(messages))

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, body) for a harness's request: a chat completion whose text is the answer without the thinking.

        A request that was given up gets an empty text; it is asked again in the next run.
        """
        messages, parameters = body["messages"], {k: v for k, v in body.items() if k not in ("messages", "model")}
        try:
            if self.refused is not None:
                raise self.refused
            found = self._wait(self._client.complete(Request(messages, parameters=parameters)))
        except CancelledError:
            return 503, {"error": {"message": "the relay ends"}}
        except UserError as e:
            self.refused = self.refused or e
            return 400, {"error": {"message": str(e)}}
        answer, prompt_tokens = _answer(found)
        self._said[digest(messages)] = answer, prompt_tokens
        failed = answer.finish == "failed"
        text = "" if failed else answer.text if answer.reasoning else after_thinking(answer.text, opened=self.opened)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if failed else answer.finish}
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": answer.tokens}
        return 200, {"object": "chat.completion", "model": self._client.model, "choices": [choice], "usage": usage}

    def __enter__(self) -> Relay:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._wait(_cancel_others())
        self._wait(self._client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A harness that is gone is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, reply = relay.complete(body)
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """The journal is the log."""

    return Handler


def _answer(found: Completion | Failure) -> tuple[Answer, int]:
    if isinstance(found, Failure):
        return Answer(found.reason, 0, "failed"), 0
    answer = Answer(
        found.text,
        found.completion_tokens,
        "length" if found.finish == "length" else "stop",
        reasoning=found.reasoning,
        seconds=found.seconds,
    )
    return answer, found.prompt_tokens


async def _cancel_others() -> None:
    """End what is in flight: the harness is gone."""
    others = asyncio.all_tasks() - {t for t in (asyncio.current_task(),) if t}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
