"""The relay between a harness and the model's server."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sums_server import Reply, Scripted, said

from acc.evaluate.relay import Relay


@pytest.fixture
def server() -> Iterator[Scripted]:
    found = Scripted(lambda question, seed, turn: said(f"<think>hm</think>\n\n{question.upper()}"))
    yield found
    found.close()


def relay(server: Scripted, folder: Path, *, opened: bool = False, attempts: int = 3) -> Relay:
    address = (server.url, "tiny")
    return Relay(
        address, folder / "journal.jsonl", opened=opened, concurrency=8, attempts=attempts, timeout_s=20, backoff_s=0.01
    )


def asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def post(url: str, question: str, seed: int = 0) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"model": "anything", "messages": asked(question), "seed": seed, "temperature": 0.5}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", body), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def text(url: str, question: str, seed: int = 0) -> str:
    status, body = post(url, question, seed)
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"])


def test_many_requests_at_once_are_each_asked_once_over_two_runs(server: Scripted, tmp_path: Path) -> None:
    questions = [f"question {n}" for n in range(60)]
    for part in (questions[:25], questions):
        with relay(server, tmp_path) as between, ThreadPoolExecutor(30) as pool:
            assert list(pool.map(lambda q: text(between.url, q), part)) == [q.upper() for q in part]
            heard = between.said(asked("question 3"))
            assert heard is not None and heard[0].text == "<think>hm</think>\n\nQUESTION 3" and heard[1] == 11
            assert between.said(asked("another")) is None
    assert len(server.bodies) == 60
    assert {(b["model"], b["temperature"]) for b in server.bodies} == {("tiny", 0.5)}


def test_failures_that_pass_are_tried_again(server: Scripted, tmp_path: Path) -> None:
    troubles: list[Reply] = [(429, {}), None, (503, {}), (200, {"choices": []})]
    server.reply = lambda question, seed, turn: said("ok") if turn else troubles[seed]
    with relay(server, tmp_path) as between:
        assert [text(between.url, "q", seed) for seed in range(4)] == ["ok"] * 4


@pytest.mark.parametrize(
    ("reply", "opened", "answer"),
    [
        (said("<think>a</think>\n\nb"), False, "b"),
        (said("a</think>\nb"), True, "b"),
        (said("still thinking", "length"), True, ""),
        (said("<think>still thinking", "length"), False, ""),
        (said("b", reasoning="a"), True, "b"),
        (said("", "length", reasoning="a"), True, ""),
        (said("half an ans", "length"), False, "half an ans"),
    ],
)
def test_the_harness_is_given_the_answer_without_the_thinking(
    server: Scripted, tmp_path: Path, reply: Reply, opened: bool, answer: str
) -> None:
    server.reply = lambda *_: reply
    with relay(server, tmp_path, opened=opened) as between:
        assert text(between.url, "q") == answer
        heard = between.said(asked("q"))
    assert reply is not None and heard is not None
    assert heard[0].finish == reply[1]["choices"][0]["finish_reason"]


def test_a_request_that_is_given_up_is_an_empty_text_and_is_asked_again_in_the_next_run(
    server: Scripted, tmp_path: Path
) -> None:
    server.reply = lambda *_: (503, {"error": "busy"})
    with relay(server, tmp_path) as between:
        assert text(between.url, "q") == ""
        heard = between.said(asked("q"))
        assert heard is not None and heard[0].finish == "failed" and "503" in heard[0].text
    server.reply = lambda *_: said("here")
    with relay(server, tmp_path) as between:
        assert text(between.url, "q") == "here"


def test_what_the_server_refuses_ends_the_harness(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda *_: (400, {"error": "max_tokens is too large"})
    with relay(server, tmp_path) as between:
        assert post(between.url, "q")[0] == post(between.url, "another")[0] == 400
        assert between.refused is not None and "max_tokens is too large" in str(between.refused)
    assert len(server.bodies) == 1


def test_it_ends_while_requests_are_in_flight(server: Scripted, tmp_path: Path) -> None:
    gate, came = threading.Event(), threading.Event()

    def hang(*_: Any) -> Reply:
        came.set()
        gate.wait(20)
        return None

    server.reply = hang
    with relay(server, tmp_path) as between:
        got: list[int] = []
        harness = threading.Thread(target=lambda: got.append(post(between.url, "q")[0]))
        harness.start()
        assert came.wait(20)
    harness.join(20)
    assert got == [503]
    gate.set()
    server.reply = lambda *_: said("now")
    with relay(server, tmp_path) as between:
        assert text(between.url, "q") == "now"
