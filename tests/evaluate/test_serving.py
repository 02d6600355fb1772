"""A server started on a checkpoint is healthy or explained, and never outlives who started it.

vLLM is no program that runs here: its command line is tested as text, and a small program of that name stands in for its life
and death. transformers' server is the real one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from acc.chat import load_chat
from acc.errors import UserError
from acc.evaluate import run
from acc.evaluate.backends import open_backend
from acc.evaluate.questions import Question
from acc.evaluate.serving import LOG, PROCESS, transformers_command, vllm_command
from acc.evaluate.sessions import end_session, note_session
from acc.llm import read_journal
from acc.recipe.evaluation import Server as Settings
from acc.recipe.loading import recipe_from
from acc.records.sample import write_samples

VLLM = '''#!{python}
"""Stands in for vLLM's life: {{argv}} to a file, health after a while, a child of its own, an early death where told."""
import http.server, json, os, pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
(here / "argv").write_text(json.dumps(sys.argv[1:]))
(here / "rank").write_text(str(os.environ.get("RANK")))
if "--die" in sys.argv:
    print("ValueError: the KV cache needs 99 GiB", flush=True)
    sys.exit(3)
child = subprocess.Popen(["sleep", "600"])
(here / "pids").write_text(f"{{os.getpid()}} {{child.pid}}")
if "--mute" in sys.argv:
    time.sleep(600)

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def send(self, data):
        raw = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def do_GET(self): self.send({{}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["messages"][-1]["content"] == "die":
            os._exit(1)
        choices = [{{"index": i, "message": {{"content": "x"}}, "finish_reason": "stop"}} for i in range(body.get("n", 1))]
        self.send({{"choices": choices}})

time.sleep(0.3)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """The stand-in, first on PATH; the folder that it writes to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "vllm"
    program.write_text(VLLM.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def recipe_for(student, *arguments, model=None, **server):
    server = {"start": "vllm", "arguments": list(arguments), "retries": 0, "startup_timeout_s": 30, **server}
    evaluate = {"server": server, "held_out": None}
    return recipe_from(
        {"sources": [{"name": "s", "path": "x"}], "model": {"path": str(student), **(model or {})}, "evaluate": evaluate}
    )


def opened(student, folder, *arguments, step=10, **options):
    return open_backend(recipe_for(student, *arguments, **options), str(student), load_chat(student), folder, step=step)


def question(text):
    return Question(text, "full", [1, 2, 3], 4, messages=[{"role": "user", "content": text}])


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(vllm):
    return [int(p) for p in (vllm / "pids").read_text().split()]


def wait_for_end(processes):
    deadline = time.monotonic() + 30
    while any(map(lives, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_starts_with_the_first_question_answers_and_ends_with_its_children(student, vllm, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    backend = opened(student, tmp_path / "server")
    assert not (vllm / "pids").exists()
    ((_, answer),) = next(iter(backend.answer([question("hello")])))
    assert answer.text == "x" and backend.model == "student"
    assert all(map(lives, pids(vllm)))
    assert (vllm / "rank").read_text() == "None"  # it is no process of the training
    argv = json.loads((vllm / "argv").read_text())
    assert argv[:2] == ["serve", str(student)]
    assert backend.base_url == f"http://127.0.0.1:{argv[argv.index('--port') + 1]}/v1"
    backend.close()
    assert not any(map(lives, pids(vllm))) and not (tmp_path / "server" / PROCESS).exists()


def test_an_early_death_is_told_with_what_it_said_last(student, vllm, tmp_path):
    backend = opened(student, tmp_path / "server", "--die")
    with pytest.raises(UserError, match=r"(?s)vllm serve ended.*the KV cache needs 99 GiB.*exit code 3") as e:
        list(backend.answer([question("hello")]))
    assert str(tmp_path / "server" / LOG) in str(e.value)


def test_a_server_that_never_gets_healthy_is_ended(student, vllm, tmp_path):
    backend = opened(student, tmp_path / "server", "--mute", startup_timeout_s=1.0)
    with pytest.raises(UserError, match=r"(?s)was not healthy within 1 s.*startup_timeout_s"):
        list(backend.answer([question("hello")]))
    assert not any(map(lives, pids(vllm)))


def test_a_server_that_dies_amid_the_questions_is_told_at_once(student, vllm, tmp_path):
    backend = opened(student, tmp_path / "server", concurrency=1)
    with pytest.raises(UserError, match="vllm serve ended"):
        list(backend.answer([question("hello"), question("die"), *(question(f"q{n}") for n in range(500))]))
    backend.close()
    answered = [r for r in read_journal(next((tmp_path / "server").glob("requests-*"))) if "response" in r]
    assert [r["row"] for r in answered] == ["hello"]


@pytest.fixture
def elsewhere(vllm, tmp_path):
    """Another process with a server that it started; ended at the latest with the test."""
    program = f"""
import time
from pathlib import Path
from acc.evaluate.serving import Started, vllm_command
from acc.recipe.evaluation import Server
command = lambda port: vllm_command("x", Server(start="vllm"), port)
print(Started(command, Path({str(tmp_path / "server")!r}), name="vllm", timeout_s=30).url(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"http://")
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_does_not_outlive_a_kill_of_who_started_it(elsewhere, vllm, number):
    left = pids(vllm)
    assert all(map(lives, left))
    elsewhere.send_signal(number)
    wait_for_end(left)


def test_what_is_left_where_the_keeper_was_killed_too_is_ended_by_the_next_start(elsewhere, student, vllm, tmp_path):
    left = pids(vllm)
    os.kill(json.loads((tmp_path / "server" / PROCESS).read_text())["leader"], signal.SIGKILL)
    elsewhere.kill()
    elsewhere.wait()
    assert all(map(lives, left))
    second = opened(student, tmp_path / "server")
    assert second.base_url
    assert not any(map(lives, left)) and all(map(lives, pids(vllm)))
    second.close()


def test_a_killed_keeper_is_told_and_what_it_kept_is_ended(student, vllm, tmp_path):
    backend = opened(student, tmp_path / "server")
    assert backend.base_url
    leader = json.loads((tmp_path / "server" / PROCESS).read_text())["leader"]
    os.kill(leader, signal.SIGKILL)
    os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
    with pytest.raises(UserError, match="vllm serve ended"):
        assert backend.base_url
    backend.close()
    assert not any(map(lives, pids(vllm)))


def test_a_second_evaluation_leaves_the_server_of_the_first_alone(student, vllm, tmp_path):
    first = opened(student, tmp_path / "server")
    assert first.base_url
    with pytest.raises(UserError, match="another process evaluates here"):
        assert opened(student, tmp_path / "server").base_url
    assert all(map(lives, pids(vllm)))
    first.close()


def test_a_process_that_was_given_the_same_numbers_is_left_alone(tmp_path):
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    path = tmp_path / PROCESS
    note_session(path, other.pid)
    noted = json.loads(path.read_text())
    for changed in ({"processes": [[other.pid, noted["processes"][0][1] - 1]]}, {"machine": ["elsewhere", "x"]}):
        path.write_text(json.dumps({**noted, **changed}))
        end_session(path)
        assert other.poll() is None and not path.exists()
    note_session(path, other.pid)
    end_session(path)
    assert other.wait(10) == -signal.SIGTERM


def test_a_program_that_is_not_there_is_a_sentence_with_a_mend(student, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no program vllm.*evaluate\.server\.base_url"):
        opened(student, tmp_path / "server")


def test_adapters_are_to_be_merged_first(student, vllm, tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"adapters.*acc merge .*checkpoint-5 -o FOLDER"):
        open_backend(recipe_for(student), str(folder), load_chat(student), tmp_path, step=5)


def test_the_command_of_vllm():
    settings = Settings(start="vllm", tensor_parallel=4, arguments=["--max-model-len", "140000"])
    rope = {"max_position_embeddings": 131072, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}}
    command = vllm_command("Qwen/Q", settings, 8123, revision="abc", trust_remote_code=True, overrides=rope, seed=7)
    assert command == [
        "vllm", "serve", "Qwen/Q", "--host", "127.0.0.1", "--port", "8123", "--served-model-name", "student",
        "--tensor-parallel-size", "4", "--generation-config", "vllm", "--seed", "7",
        "--revision", "abc", "--tokenizer-revision", "abc", "--hf-overrides", json.dumps(rope, sort_keys=True),
        "--trust-remote-code", "--max-model-len", "140000",
    ]  # fmt: skip
    plain = vllm_command("runs/x/checkpoint-10", Settings(start="vllm"), 1)
    assert not {"--revision", "--hf-overrides", "--trust-remote-code"} & set(plain)


def test_the_command_of_transformers():
    settings = Settings(start="transformers", arguments=["--device", "cpu"])
    assert transformers_command("folder", settings, 5, trust_remote_code=True) == [
        "transformers", "serve", "folder", "--host", "127.0.0.1", "--port", "5", "--default-seed", "0",
        "--trust-remote-code", "--device", "cpu",
    ]  # fmt: skip


def test_the_base_is_served_with_the_recipes_rope_and_a_checkpoint_with_its_own(student, vllm, tmp_path):
    rope = {"rope": {"kind": "yarn", "factor": 4}}

    def overrides(step, *arguments):
        backend = opened(student, tmp_path / f"server{step}", *arguments, step=step, model=rope)
        assert backend.base_url
        backend.close()
        argv = json.loads((vllm / "argv").read_text())
        given = json.loads(argv[argv.index("--hf-overrides") + 1]) if "--hf-overrides" in argv else None
        return given, backend.window

    given, window = overrides(0)
    assert given["max_position_embeddings"] == window == 4 * 2048
    theta = json.loads((student / "config.json").read_text())["rope_parameters"]["rope_theta"]
    assert given["rope_parameters"] == {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": theta, "original_max_position_embeddings": 2048,
    }  # fmt: skip
    assert overrides(10) == (None, 2048)
    assert overrides(10, "--max-model-len=999") == (None, 999)


@pytest.fixture
def plain_samples(sample, tmp_path):
    """Held-out questions without control tokens in their texts: a server would read those as such."""
    samples = []
    for s in map(sample, range(2)):
        content = s.prompt[0]["content"].replace("<|im_end|>", "~" * len("<|im_end|>"))
        samples.append(replace(s, prompt=[{"role": "user", "content": content}]))
    write_samples(tmp_path / "compile" / "samples.parquet", samples)
    return tmp_path / "compile"


def test_transformers_serve_gives_the_scores_of_the_backend_in_process(plain_samples, tmp_path, monkeypatch, capfd):
    for name in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    benchmarks = [
        {"name": "mrcr", "synthetic": {"rows": 2, "tokens": 500}, "max_new_tokens": 16},
        {"name": "graphwalks", "synthetic": {"rows": 3, "tokens": 300}, "max_new_tokens": 16},
    ]

    def scored(out, **server):
        evaluate = {"benchmarks": benchmarks, "held_out": {"max_new_tokens": 8, "measures": ["exact"]}, **server}
        sources = [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}]
        recipe = recipe_from({"sources": sources, "evaluate": evaluate})
        scores = run(recipe, plain_samples, out, recipe.student, 0)
        files = sorted((out / "responses" / "0").glob("*.jsonl"))
        kept = ("row", "condition", "finish", "tokens", "response", "prompt_tokens")
        lines = {f.name: [[json.loads(line)[k] for k in kept] for line in f.read_text().splitlines()] for f in files}
        return {s.name: s.mean for s in scores if s.metric != "seconds"}, lines

    server = {"start": "transformers", "concurrency": 2, "arguments": ["--device", "cpu"]}
    scores, lines = scored(tmp_path / "served", server=server)
    # The server's own template and tokenizer make the student's prompts of the messages, to the token.
    assert "another number of prompt tokens" not in capfd.readouterr().err
    assert (scores, lines) == scored(tmp_path / "own")
    assert {name: len(found) for name, found in lines.items()} == {
        "held_out.jsonl": 6, "synthetic_graphwalks.jsonl": 3, "synthetic_mrcr.jsonl": 2,
    }  # fmt: skip
