"""The client against a real HTTP server that misbehaves."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from acc.errors import UserError
from acc.llm import Client, Completion, Failure, Journal, Request, RequestRefused, read_journal, scan_journal


def answer(text):
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}


class Server:
    """`behaviours` maps the text of the last message to what its 1st, 2nd… attempt meets; then the text is echoed."""

    def __init__(self, behaviours=None, delay_s=0.0):
        self.seen, self.headers, self.in_flight, self.most_in_flight = Counter(), [], 0, 0
        self.times = []
        lock, outer, behaviours = threading.Lock(), self, behaviours or {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, data, headers=()):
                raw = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                with lock:
                    turn = outer.seen[text]
                    outer.seen[text] += 1
                    outer.headers.append(dict(self.headers))
                    outer.times.append(time.monotonic())
                    outer.in_flight += 1
                    outer.most_in_flight = max(outer.most_in_flight, outer.in_flight)
                time.sleep(delay_s)
                try:
                    todo = behaviours.get(text, [])
                    (todo[turn] if turn < len(todo) else lambda h: h.reply(200, answer(f"echo {text}")))(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with lock:
                        outer.in_flight -= 1

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def status(code, text="no", headers=()):
    return lambda h: h.reply(code, {"error": text}, headers)


def hang(h):
    time.sleep(1.0)


def cut(h):
    h.send_response(200)
    h.send_header("Content-Length", "1000")
    h.end_headers()
    h.wfile.write(b'{"choices": [')
    h.wfile.flush()
    h.close_connection = True


def garbage(h):
    h.reply(200, b"<html>busy</html>")


def zipped(h):
    h.reply(200, answer("x"), [("Content-Encoding", "gzip")])


def in_parts(h):
    h.reply(200, {"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]})


def empty(h):
    h.reply(200, {"choices": []})


def ask(text, sample=0, **parameters):
    return Request([{"role": "user", "content": text}], sample, parameters)


def complete(url, journal, requests, **options):
    async def run():
        options.setdefault("backoff_s", 0.01)
        async with Client(url, "m", journal=journal, **options) as client:
            return await client.complete_all(requests), client

    return asyncio.run(run())


def test_every_passing_failure_is_retried_until_the_answer_comes(tmp_path):
    behaviours = {
        "busy": [status(429), status(503)],
        "broken": [status(500)],
        "slow": [hang],
        "torn": [cut],
        "odd": [garbage, empty, zipped, in_parts],
    }
    with Server(behaviours) as server:
        got, client = complete(server.url, tmp_path / "j", [ask(t) for t in behaviours], timeout_s=0.3)
    assert [c.text for c in got] == [f"echo {t}" for t in behaviours]
    assert server.seen == {"busy": 3, "broken": 2, "slow": 2, "torn": 2, "odd": 5}
    assert client.answers.retries == 9
    assert got[0].finish == "stop" and got[0].completion_tokens == 3


def test_retry_after_is_obeyed(tmp_path):
    with Server({"x": [status(429, headers=[("Retry-After", "1")])]}) as server:
        got, _ = complete(server.url, tmp_path / "j", [ask("x")])
    assert got[0].text == "echo x"
    assert server.times[1] - server.times[0] > 0.95


def test_a_request_that_never_works_is_given_up_alone_and_asked_again_by_the_next_run(tmp_path):
    with Server({"bad": [status(500)] * 3}) as server:
        got, _ = complete(server.url, tmp_path / "j", [ask("bad"), ask("good")], attempts=3)
        assert isinstance(got[0], Failure) and "500" in got[0].reason
        assert isinstance(got[1], Completion)
        again, client = complete(server.url, tmp_path / "j", [ask("bad"), ask("good")], attempts=3)
    assert [c.text for c in again] == ["echo bad", "echo good"]
    assert server.seen == {"bad": 4, "good": 1}
    assert client.found == 1 and client.interrupted == 0


def test_nothing_answered_is_asked_twice_but_another_sample_is(tmp_path):
    with Server() as server:
        complete(server.url, tmp_path / "j", [ask("x"), ask("x"), ask("x", sample=1), ask("x", temperature=1.0)])
        assert server.seen["x"] == 3
        complete(server.url, tmp_path / "j", [ask("x"), ask("x", sample=1)])
    assert server.seen["x"] == 3


def test_no_more_requests_are_in_flight_than_asked_for(tmp_path):
    with Server(delay_s=0.03) as server:
        complete(server.url, tmp_path / "j", [ask(str(i)) for i in range(12)], concurrency=3)
    assert server.most_in_flight == 3


@pytest.mark.parametrize(("code", "word"), [(400, "over-long"), (401, "API key"), (404, "model's name"), (422, "refuses")])
def test_a_refusal_is_a_sentence_and_no_retry(tmp_path, code, word):
    with (
        Server({"x": [status(code, "because of y")]}) as server,
        pytest.raises(UserError, match=word) as e,
    ):
        complete(server.url, tmp_path / "j", [ask("x")])
    assert "because of y" in str(e.value)
    assert server.seen["x"] == 1


def test_the_key_is_sent_and_an_address_without_scheme_is_refused(tmp_path):
    with Server() as server:
        complete(server.url, tmp_path / "j", [ask("x")], api_key="secret")
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in (tmp_path / "j").read_text()
    with pytest.raises(UserError, match="http://host:port/v1"):
        complete("localhost:8000/v1", tmp_path / "k", [ask("x")])


PROGRAM = """
import asyncio, sys
from pathlib import Path
from acc.llm import Client, Request
async def run():
    async with Client(sys.argv[1], "m", journal=Path(sys.argv[2]), concurrency=2) as client:
        await client.complete_all([Request([{"role": "user", "content": str(i)}]) for i in range(20)])
asyncio.run(run())
"""


def test_after_a_kill_only_what_was_in_flight_is_asked_again(tmp_path):
    journal, killed = tmp_path / "j", threading.Event()
    held = {str(i): [lambda h: killed.wait(60)] for i in range(10, 20)}  # the first attempt is never answered
    with Server(held) as server:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, server.url, str(journal)])
        while sum(server.seen.values()) < 12 or sum("response" in r for r in read_journal(journal)) < 10:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed.set()
        with journal.open("ab") as f:
            f.write(b'{"key": "torn')  # what a kill in the middle of a write leaves
        in_flight = {text for text in server.seen if int(text) >= 10}
        held.clear()
        got, client = complete(server.url, journal, [ask(str(i)) for i in range(20)])
    assert [c.text for c in got] == [f"echo {i}" for i in range(20)]
    assert (client.found, client.interrupted, client.answers.repeated) == (10, 2, 2)
    assert {text for text, asked in server.seen.items() if asked == 2} == in_flight
    assert sum(server.seen.values()) == 22
    assert sum("response" in r for r in read_journal(journal)) == 20


def test_a_journal_has_one_writer_and_names_the_line_that_is_broken(tmp_path):
    with Journal(tmp_path / "j") as first:
        first.append({"a": "line separator \u2028 inside"}, {"b": 1})
        with pytest.raises(UserError, match="another process"):
            Journal(tmp_path / "j")
    assert read_journal(tmp_path / "j") == [{"a": "line separator \u2028 inside"}, {"b": 1}]
    (tmp_path / "j").write_text('{"a": 1}\nnonsense\n{"b": 2}\n')
    with pytest.raises(UserError, match=r"j:2: this line is not JSON"):
        read_journal(tmp_path / "j")


def test_a_record_stands_where_append_said_also_behind_a_torn_line(tmp_path):
    path = tmp_path / "j"
    with Journal(path) as journal:
        places = [journal.append({"n": n, "text": "é" * n * 40_000}) for n in range(4)]
    with path.open("ab") as f:
        f.write(b'{"n": "' + b"x" * 200_000)  # longer than a block
    with Journal(path) as journal:
        places.append(journal.append({"n": 4}))
    assert [(place, r["n"]) for place, r in scan_journal(path)] == list(zip(places, range(5), strict=True))


def test_the_answers_of_a_model_are_found_at_its_new_address(tmp_path):
    with Server() as server:
        complete(server.url, tmp_path / "j", [ask("x")])
    with Server() as moved:
        got, client = complete(moved.url, tmp_path / "j", [ask("x")])
        assert (got[0].text, client.found, client.answers.tokens, moved.seen["x"]) == ("echo x", 1, 3, 0)


def test_a_request_that_is_refused_alone_does_not_stop_the_others(tmp_path):
    async def run(url):
        async with Client(url, "m", journal=tmp_path / "j") as client:
            with pytest.raises(RequestRefused, match="too long"):
                await client.complete(ask("long"))
            assert client.answers.find(ask("new")) is None
            assert "too long" in client.answers.find(ask("long")).reason
            return await client.complete(ask("short")), client.answers.find(ask("short"))

    with Server({"long": [status(400, "too long")]}) as server:
        answered, found = asyncio.run(run(server.url))
    assert answered == found and found.text == "echo short"


def test_the_journal_says_whose_answer_it_is_and_how_long_it_took(tmp_path):
    with Server({"x": [status(500)]}) as server:
        complete(server.url, tmp_path / "j", [Request([{"content": "x"}], label={"sample_id": "s", "prompt_tokens": 7})])
    asked, answered = read_journal(tmp_path / "j")
    assert asked["event"] == "asked" and asked["key"] == answered["key"]
    assert (answered["sample_id"], answered["tries"]) == ("s", 2)
    assert 0 <= answered["seconds"] < 60


def several(*choices):
    usage = {"prompt_tokens": 10, "completion_tokens": 7}
    found = [{"index": i, "message": {"content": t, "reasoning": r}, "finish_reason": f} for i, t, r, f in choices]
    return lambda h: h.reply(200, {"choices": found, "usage": usage})


def test_every_choice_of_a_response_is_a_completion_and_the_journal_gives_them_again(tmp_path):
    async def run(url):
        async with Client(url, "m", journal=tmp_path / "j") as client:
            got = await client.choices(ask("x", n=2))
            return got, await client.complete(ask("x", n=2)), client

    with Server({"x": [several((1, "bbbb", "rr", "length"), (0, "a", "", "stop"))]}) as server:
        got, first, client = asyncio.run(run(server.url))
    assert [(c.text, c.reasoning, c.finish) for c in got] == [("a", "", "stop"), ("bbbb", "rr", "length")]
    # 7 tokens over texts of 1 and 6 characters; the prompt was read once.
    assert [(c.prompt_tokens, c.completion_tokens) for c in got] == [(10, 1), (10, 6)]
    assert (first, client.found, client.answers.answered, client.answers.tokens) == (got[0], 1, 1, 17)
    assert client.answers.find_choices(ask("x", n=2)) == got and client.answers.find(ask("x", n=2)) == got[0]
    assert server.seen["x"] == 1


def test_an_answer_that_the_server_broke_off_is_asked_for_again(tmp_path):
    with Server({"x": [several((0, "ha", "", "abort"))]}) as server:
        got, _ = complete(server.url, tmp_path / "j", [ask("x")])
    assert got[0].text == "echo x" and server.seen["x"] == 2
