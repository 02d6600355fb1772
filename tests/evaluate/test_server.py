"""A server as who answers: what it says is scored as it stands, and no answer is lost or asked for twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scripted import Scripted, choice, drop, refuse, reply_of

from acc.chat import load_chat
from acc.errors import UserError
from acc.evaluate import run
from acc.evaluate.backends import open_backend
from acc.evaluate.questions import Question
from acc.llm import read_journal
from acc.recipe.loading import recipe_from


def recipe_for(student, url, benchmarks=(), *, sampling=None, **server):
    server = {"base_url": url, "timeout_s": 20, "concurrency": 8, **server}
    evaluate = {"benchmarks": list(benchmarks), "server": server, "sampling": sampling or {}}
    return recipe_from({"sources": [{"name": "s", "path": "x"}], "model": {"path": str(student)}, "evaluate": evaluate})


def ask(student, url, folder, questions, *, sampling=None, **server):
    """What a server of these settings answers: (row, sample) → Answer; and the backend."""
    recipe = recipe_for(student, url, sampling=sampling, **server)
    backend = open_backend(recipe, str(student), load_chat(student), folder, step=0)
    return {(q.row, q.sample): a for batch in backend.answer(questions) for q, a in batch}, backend


def question(number, samples=1, text=None):
    prompt, message = [1, 2, 3], {"role": "user", "content": text or f"question {number}"}
    return [Question(str(number), "full", prompt, 16, messages=[message], sample=s) for s in range(samples)]


def many(count, samples=1):
    return [q for number in range(count) for q in question(number, samples)]


def asked(body):
    return body["messages"][-1]["content"]


def echo(body):
    return reply_of(choice(f"echo {asked(body)}"), prompt_tokens=3, completion_tokens=5)


def journal_of(folder):
    (path,) = folder.glob("requests-*.jsonl")
    return read_journal(path)


# The similarity of "abcdxyz" and "abcd": twice the four letters that match, by the seven and four there are.
MRCR = [("gold", "Qabcd", 1.0), ("near", "Qabcdxyz", 2 * 4 / (7 + 4)), ("no prefix", "abcd", 0.0), ("empty", "", 0.0)]
# Of the gold nodes a, b: (f1, precision).
WALKS = [
    ("all", "so\nFinal Answer: [a, b]", (1.0, 1.0)),
    ("half", "Final Answer: [a]", (2 / 3, 1.0)),
    ("too many", "Final Answer: [a, b, c, d]", (2 / 3, 0.5)),
    ("thought", "<think>\nFinal Answer: [c]\n</think>\n\nFinal Answer: [b, c]", (0.5, 0.5)),
    ("wrong", "Final Answer: [z]", (0.0, 0.0)),
]
TROUBLES = [refuse(429, Retry_After="0"), drop, refuse(500), refuse(503, Retry_After="0")]


@pytest.fixture
def rows(tmp_path):
    """Official layout: the prompt names the case."""
    folder = tmp_path / "rows"
    folder.mkdir()
    conversations = [json.dumps([{"role": "user", "content": f"mrcr {name}"}]) for name, *_ in MRCR]
    mrcr = {"prompt": conversations, "answer": ["Qabcd"] * 4, "random_string_to_prepend": ["Q"] * 4, "n_needles": [2, 2, 4, 4]}
    walks = {"prompt": [f"walks {name}" for name, *_ in WALKS], "answer_nodes": [["a", "b"]] * 5, "problem_type": ["bfs"] * 5}
    pq.write_table(pa.table(mrcr), folder / "mrcr.parquet")
    pq.write_table(pa.table(walks), folder / "graphwalks.parquet")
    return [{"name": name, "rows": str(folder / f"{name}.parquet"), "max_new_tokens": 64} for name in ("mrcr", "graphwalks")]


def test_scores_are_those_computed_by_hand_whatever_the_server_does_at_first(student, compiled, rows, tmp_path):
    said = {f"{kind} {name}": text for kind, cases in (("mrcr", MRCR), ("walks", WALKS)) for name, text, _ in cases}

    def trouble(body, turn):
        place = list(said).index(asked(body))
        return TROUBLES[place % len(TROUBLES)] if turn == 0 else None

    with Scripted(
        lambda body: reply_of(choice(said[asked(body)])), trouble, delay_s=lambda body: 0.01 * len(asked(body))
    ) as server:
        scores = run(recipe_for(student, server.url, rows), compiled, tmp_path / "out", str(student), 0)
    assert max(server.seen.values()) == 2 and len(server.seen) == 9
    found = {s.name: s.mean for s in scores}
    assert found["mrcr/official"] == pytest.approx((1 + 8 / 11 + 0 + 0) / 4)
    assert found["mrcr/official/2needle"] == pytest.approx((1 + 8 / 11) / 2)
    assert found["mrcr/official/4needle"] == 0
    assert found["graphwalks/f1"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 0.5 + 0) / 5)
    assert found["graphwalks/precision"] == pytest.approx((1 + 1 + 0.5 + 0.5 + 0) / 5)
    assert found["graphwalks/exact"] == pytest.approx(1 / 5)
    assert found["mrcr/cut"] == 0


def test_two_hundred_requests_are_in_flight_at_once(student, tmp_path):
    with Scripted(echo, delay_s=1.5) as server:
        got, _ = ask(student, server.url, tmp_path, many(250), concurrency=200)
    assert server.most == 200
    assert {row: a.text for (row, _), a in got.items()} == {str(n): f"echo question {n}" for n in range(250)}


def test_prompts_beyond_the_window_of_work_are_not_touched_while_nobody_fetches(student, tmp_path):
    with Scripted(echo) as server:
        recipe = recipe_for(student, server.url, concurrency=2)
        backend = open_backend(recipe, str(student), load_chat(student), tmp_path, step=0)
        answers = backend.answer(many(100))
        next(answers)
        time.sleep(0.5)
        assert len(server.bodies) <= 2 * 4 + 1
        answers.close()
    assert threading.active_count() < 20


def test_several_answers_to_a_prompt_come_in_one_request(student, tmp_path):
    def answer(body):
        choices = [choice(f"{asked(body)} {i} " + "x" * 10 * i, i) for i in reversed(range(body["n"]))]
        return reply_of(*choices, prompt_tokens=3, completion_tokens=100)

    with Scripted(answer) as server:
        got, backend = ask(student, server.url, tmp_path, many(4, 3), sampling={"temperature": 0.7, "samples": 3, "top_k": 20})
        assert len(server.bodies) == 4 and not backend.singly
        body = server.bodies[0]
        assert {k: body[k] for k in ("n", "temperature", "top_p", "top_k", "max_tokens", "model")} == {
            "n": 3, "temperature": 0.7, "top_p": 1.0, "top_k": 20, "max_tokens": 16, "model": "student",
        }  # fmt: skip
        assert len({b["seed"] for b in server.bodies}) == 4
        assert all(a.text.startswith(f"question {row} {sample} ") for (row, sample), a in got.items())
        assert [sum(got[row, s].tokens for s in range(3)) for row in "0123"] == [100] * 4
        assert got["0", 0].tokens < got["0", 1].tokens < got["0", 2].tokens
        again, _ = ask(student, server.url, tmp_path, many(4, 3), sampling={"temperature": 0.7, "samples": 3, "top_k": 20})
    assert again == got and len(server.bodies) == 4


@pytest.mark.parametrize("refuses", [True, False])
def test_a_server_that_gives_fewer_is_asked_for_the_rest_singly_and_nothing_is_asked_again(student, tmp_path, capsys, refuses):
    def trouble(body, turn):
        return refuse(400, "n must be 1") if refuses and "n" in body else None

    counted = Counter()

    def answer(body):
        counted[asked(body)] += 1
        return reply_of(choice(f"{asked(body)} {counted[asked(body)]}"))

    sampling = {"temperature": 1.0, "samples": 3}
    with Scripted(answer, trouble) as server:
        got, backend = ask(student, server.url, tmp_path, many(6, 3), sampling=sampling, concurrency=2)
        assert backend.singly
        said = capsys.readouterr().err
        assert said.count("asked singly") == 1 and ("refuses n=3" in said if refuses else "gives 1 of 3" in said)
        assert set(counted.values()) == {3}  # each answer was generated once
        assert len({a.text for a in got.values()}) == 18
        assert sum("n" in body for body in server.bodies) <= 2
        before = len(server.bodies)
        again, _ = ask(student, server.url, tmp_path, many(6, 3), sampling=sampling, concurrency=2)
    assert again == got
    assert len(server.bodies) - before <= (2 if refuses else 0) and set(counted.values()) == {3}


def test_greedy_requests_draw_nothing_and_the_users_parameters_come_over_all(student, tmp_path):
    with Scripted(echo) as server:
        ask(student, server.url, tmp_path, many(1), parameters={"max_tokens": 7, "min_p": 0.1})
    (body,) = server.bodies
    assert body == {
        "model": "student", "messages": [{"role": "user", "content": "question 0"}],
        "max_tokens": 7, "temperature": 0.0, "min_p": 0.1,
    }  # fmt: skip


def test_what_is_refused_or_given_up_fails_alone_and_is_asked_again_by_the_next_run(student, tmp_path):
    ill = {"question 2": refuse(400, "too long: 99 tokens"), "question 5": refuse(500, "out of order")}
    with Scripted(echo, lambda body, turn: ill.get(asked(body))) as server:
        got, _ = ask(student, server.url, tmp_path, many(12), retries=0)
        failed = {row: a for (row, _), a in got.items() if a.finish == "failed"}
        assert set(failed) == {"2", "5"} and failed["2"].tokens == 0
        assert "too long: 99 tokens" in failed["2"].text and "out of order" in failed["5"].text
        ill.clear()
        again, _ = ask(student, server.url, tmp_path, many(12), retries=0)
    assert {a.finish for a in again.values()} == {"stop"} and len(server.bodies) == 14


def test_how_an_answer_ended_its_reasoning_and_its_tokens_are_kept(student, tmp_path, capsys):
    replies = {
        "question 0": reply_of(choice("cut", finish="length"), prompt_tokens=3, completion_tokens=16),
        "question 1": reply_of(choice("said", reasoning="thought"), prompt_tokens=3, completion_tokens=9),
        "question 2": {"choices": [choice("abc")]},
        "question 3": reply_of(choice("x"), prompt_tokens=8, completion_tokens=1),
    }
    turns = Counter()

    def answer(body):
        turns[asked(body)] += 1
        if asked(body) == "question 4" and turns[asked(body)] == 1:
            return reply_of(choice("half", finish="abort"))
        return replies.get(asked(body), echo(body))

    with Scripted(answer, delay_s=0.05) as server:
        got, _ = ask(student, server.url, tmp_path, many(5))
    assert (got["0", 0].finish, got["0", 0].tokens) == ("length", 16)
    assert (got["1", 0].text, got["1", 0].reasoning, got["1", 0].tokens) == ("said", "thought", 9)
    assert got["2", 0].tokens == load_chat(student).count("abc")
    assert got["4", 0].text == "echo question 4"  # the server broke the first one off
    assert all(0.04 < a.seconds < 5 for a in got.values())
    assert "1 rows have another number of prompt tokens on the server (row 3: 8) than by the student's template (3)" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("trouble", "word"),
    [(refuse(401), "API key"), (refuse(404), "model's name"), (refuse(422, "odd"), "odd"), (refuse(500, "broken"), "broken")],
)
def test_a_server_that_answers_nothing_ends_it_with_a_sentence(student, tmp_path, trouble, word):
    with Scripted(echo, lambda body, turn: trouble) as server, pytest.raises(UserError, match=word):
        ask(student, server.url, tmp_path, many(300), concurrency=2, retries=0)
    assert len(server.bodies) < 30


def test_a_few_rows_that_are_all_refused_are_no_result(student, tmp_path):
    with (
        Scripted(echo, lambda body, turn: refuse(400, "no such field")) as server,
        pytest.raises(UserError, match=r"no answer to 2 requests in a row; the last one: .*no such field"),
    ):
        ask(student, server.url, tmp_path, many(2))


def test_the_model_and_its_window_are_what_the_server_lists(student, tmp_path):
    def opened(models, **server):
        with Scripted(echo, models=models) as scripted:
            recipe = recipe_for(student, scripted.url, sampling={"temperature": 1.0}, **server)
            backend = open_backend(recipe, str(student), load_chat(student), tmp_path, step=0)
            next(iter(backend.answer(many(1))))
            return backend, scripted.bodies[0]

    backend, body = opened([{"id": "m", "max_model_len": 777, "owned_by": "vllm"}])
    assert (backend.model, backend.window, body["top_k"]) == ("m", 777, -1)
    backend, body = opened([{"id": "a"}, {"id": "b"}], model="b")
    assert (backend.model, backend.window) == ("b", 2048) and "top_k" not in body
    with pytest.raises(UserError, match=r"lists 2 models.*evaluate\.server\.model"):
        opened([{"id": "a"}, {"id": "b"}])
    with pytest.raises(UserError, match="no server lists its models there"):
        ask(student, "http://127.0.0.1:9/v1", tmp_path, many(1))


def test_another_checkpoint_never_inherits_an_answer(student, trained, tmp_path):
    with Scripted(echo) as server:
        ask(student, server.url, tmp_path, many(2))
        ask(trained, server.url, tmp_path, many(2))
    assert len(server.bodies) == 4 and len(list(tmp_path.glob("requests-*.jsonl"))) == 2


def test_a_template_that_thinks_by_a_switch_is_told_the_layout(checkpoint, tmp_path):
    folder = tmp_path / "hybrid"
    folder.mkdir()
    for file in checkpoint("hybrid").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text('{"max_position_embeddings": 100}')
    with Scripted(echo) as server:
        for layout in ("think", "plain"):
            recipe = recipe_for(folder, server.url)
            recipe = recipe.model_copy(update={"pack": recipe.pack.model_copy(update={"layout": layout})})
            backend = open_backend(recipe, str(folder), load_chat(folder), tmp_path / layout, step=0)
            list(backend.answer(many(1)))
    assert [body.get("chat_template_kwargs") for body in server.bodies] == [None, {"enable_thinking": False}]


def test_a_key_comes_from_the_environment(student, tmp_path, monkeypatch):
    with Scripted(echo) as server:
        with pytest.raises(UserError, match="NO_SUCH_KEY is not set"):
            ask(student, server.url, tmp_path, many(1), api_key_env="NO_SUCH_KEY")
        monkeypatch.setenv("NO_SUCH_KEY", "secret")
        ask(student, server.url, tmp_path, many(1), api_key_env="NO_SUCH_KEY")
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())


PROGRAM = """
import os, sys
sys.path.insert(0, {tests!r})
from acc.evaluate import runner
from test_server import killed
for _ in sys.stdin:  # this process imports once and has no threads; each of its children is an evaluation of its own
    if (child := os.fork()) == 0:
        killed(*sys.argv[1:])
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
KILLED, CONCURRENCY = 60, 4


def killed(student, url, rows, out):
    """An evaluation, to be killed."""
    benchmark = {"name": "mrcr", "rows": rows, "max_new_tokens": 16}
    return run(recipe_for(student, url, [benchmark], concurrency=CONCURRENCY), Path(out), Path(out), str(student), 0)


def test_three_kills_lose_no_answer_and_repeat_only_what_was_in_flight(student, tmp_path):
    names = [f"row {n}" for n in range(KILLED)]
    rows = tmp_path / "rows.parquet"
    table = {
        "prompt": [json.dumps([{"role": "user", "content": name}]) for name in names],
        "answer": [f"Q{name}" for name in names],
        "random_string_to_prepend": ["Q"] * KILLED,
        "n_needles": [2] * KILLED,
    }
    pq.write_table(pa.table(table), rows)
    gate, held, lock = threading.Event(), Counter(), threading.Lock()
    quota = [0]

    def trouble(body, turn):
        with lock:
            quota[0] -= 1
            if quota[0] >= 0:
                return None
            held[asked(body)] += 1
        gate.wait(60)  # the process that asked is dead by then
        return drop

    out = tmp_path / "out"
    command = [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent)), str(student)]
    kept = []
    with (
        Scripted(lambda body: reply_of(choice(f"Q{asked(body)}")), trouble) as server,
        subprocess.Popen(
            [*command, server.url, str(rows), str(out)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as parent,
    ):
        for _ in range(3):
            gate.clear()
            held_before, quota[0] = sum(held.values()), 13
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            while sum(held.values()) - held_before < CONCURRENCY:
                assert parent.poll() is None
                time.sleep(0.01)
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "ended\n"
            gate.set()
            kept.append({r["row"] for r in journal_of(out / "server" / "0") if "response" in r})
        parent.stdin.close()
        quota[0] = 10**9
        scores = killed(student, server.url, str(rows), out)
    # The server sent each answer once; whatever came in is in the journal, once, and was never asked for again.
    assert [len(rows) for rows in kept] == [13, 26, 39]
    assert kept[0] < kept[1] < kept[2]
    assert set(server.answered.values()) == {1} and len(server.answered) == KILLED
    assert Counter(asked(body) for body in server.bodies) == Counter(names) + held
    assert sum(held.values()) == 3 * CONCURRENCY
    records = journal_of(out / "server" / "0")
    assert sum(r.get("event") == "asked" for r in records) == KILLED + 3 * CONCURRENCY
    assert Counter(r["row"] for r in records if "response" in r) == {f"0-{n}": 1 for n in range(KILLED)}
    lines = [json.loads(line) for line in (out / "responses" / "0" / "mrcr.jsonl").read_text().splitlines()]
    assert [line["response"] for line in lines] == [f"Q{name}" for name in names]
    assert {s.name: s.mean for s in scores}["mrcr/official"] == 1.0
