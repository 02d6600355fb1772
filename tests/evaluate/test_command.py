"""Users' own benchmarks: a real program that asks a real server."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sums_server import Scripted, said

from acc.errors import UserError
from acc.evaluate.command import read_result, run_commands
from acc.evaluate.general import dry_run_lines
from acc.recipe import Recipe, recipe_from

BASE = Path(__file__).parents[2] / "acc" / "synth" / "tiny_base"
PROGRAM = '''\
"""Asks the capital of three countries and counts right answers."""
import argparse, json, urllib.request

parser = argparse.ArgumentParser()
for name in ("--base-url", "--model", "--out", "--form"):
    parser.add_argument(name)
args = parser.parse_args()

def ask(question):
    body = {"model": args.model, "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(args.base_url + "/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]["content"]

gold = {"France": "Paris", "Peru": "Lima", "Chad": "N'Djamena"}
rows = {c: {"right": ask(f"The capital of {c}?") == g, "length": 0} for c, g in gold.items()}
rows = {c: {name: int(value) for name, value in row.items()} for c, row in rows.items()}
found = {"rows": rows} if args.form == "rows" else {"scores": {"right": sum(r["right"] for r in rows.values()) / 3}}
print("asked", len(rows))
with open(args.out, "w") as file:
    json.dump(found, file)
'''


@pytest.fixture
def server() -> Iterator[Scripted]:
    known = {"The capital of France?": "Paris", "The capital of Peru?": "Lima"}
    found = Scripted(lambda question, seed, turn: said(known.get(question, "I do not know")))
    yield found
    found.close()


def recipe(*run: str, **more: Any) -> Recipe:
    command = {"name": "capitals", "run": list(run), **more}
    sections = {"commands": [command], "server": {"base_url": "http://host:8000/v1", "model": "tiny"}}
    return recipe_from({"sources": [{"name": "logs", "path": "logs"}], "model": {"path": str(BASE)}, "evaluate": sections})


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (out / "responses/4/command_capitals.jsonl").read_text().splitlines()]


def run(asked: Recipe, out: Path, server: tuple[str, str] | None = ("http://127.0.0.1:1/v1", "tiny")) -> None:
    run_commands(asked, checkpoint=str(BASE), server=server, out=out, step=4)


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "capitals.py"
    path.write_text(PROGRAM)
    return str(path)


def test_rows_of_a_program_become_lines_and_it_runs_once(tmp_path: Path, program: str, server: Scripted) -> None:
    asked = recipe(sys.executable, program, "--form", "rows")
    for _ in range(2):
        run(asked, tmp_path, (server.url, "tiny"))
    lines = lines_of(tmp_path)
    assert [(x["row"], x["scores"]) for x in lines] == [
        ("France", {"right": 1, "length": 0}),
        ("Peru", {"right": 1, "length": 0}),
        ("Chad", {"right": 0, "length": 0}),
    ]
    assert len(server.bodies) == 3 and {b["model"] for b in server.bodies} == {"tiny"}
    assert (tmp_path / "responses/4/commands/capitals/log.txt").read_text() == "asked 3\n"


def test_scores_without_rows_are_one_row(tmp_path: Path, program: str, server: Scripted) -> None:
    run(recipe(sys.executable, program), tmp_path, (server.url, "tiny"))
    (line,) = lines_of(tmp_path)
    assert line["row"] == "all" and line["scores"] == {"right": pytest.approx(2 / 3)}


def test_other_weights_are_measured_anew(tmp_path: Path, program: str, server: Scripted) -> None:
    asked, other = recipe(sys.executable, program), tmp_path / "checkpoint-8"
    other.mkdir()
    data = bytearray((BASE / "model.safetensors").read_bytes())
    (other / "model.safetensors").write_bytes(data)
    for change in (0, 0, 1):
        data[-1] ^= change
        (other / "model.safetensors").write_bytes(data)
        run_commands(asked, checkpoint=str(other), server=(server.url, "tiny"), out=tmp_path, step=4)
    assert len(server.bodies) == 6


def test_a_program_that_runs_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    code += "print('child', p.pid, flush=True); time.sleep(600)"
    with pytest.raises(UserError, match=r"(?s)capitals ran longer than 2 s and was ended; it said last:\n  child (\d+)") as e:
        run(recipe(sys.executable, "-c", code, timeout_s=2), tmp_path)
    child = int(str(e.value).split("child ")[1].split(".")[0])
    until = time.monotonic() + 20
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_program_sees_the_environment_but_no_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "MY_BENCHMARK_KEY"):
        monkeypatch.setenv(name, "1")
    code = (
        "import json, os, sys; n = [k for k in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'TORCHELASTIC_RUN_ID', 'MY_BENCHMARK_KEY')"
    )
    code += " if k in os.environ]; json.dump({'scores': {k: 1 for k in n}}, open(sys.argv[-1], 'w'))"
    run(recipe(sys.executable, "-c", code), tmp_path)
    assert lines_of(tmp_path)[0]["scores"] == {"MY_BENCHMARK_KEY": 1}


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (["/no/such/program"], "can't be started"),
        (
            [sys.executable, "-c", "raise SystemExit('no such model')"],
            r"(?s)ended with exit code 1; it said last:\n  no such model",
        ),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "was killed by signal 9"),
        ([sys.executable, "-c", "pass"], "wrote no file of scores"),
    ],
)
def test_what_goes_wrong_with_a_program_is_a_sentence(tmp_path: Path, program: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        run(recipe(*program), tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "exactly one of"),
        ('{"scores": {"a": 1}, "rows": {}}', "exactly one of"),
        ('{"rows": {}}', "at least one row"),
        ('{"rows": []}', "at least one row"),
        ('{"scores": {}}', "at least one number"),
        ('{"scores": 1}', "at least one number"),
        ('{"rows": {"1": null}}', "at least one number"),
        ('{"scores": {"a": "1"}}', "not a finite number"),
        ('{"scores": {"a": true}}', "not a finite number"),
        ('{"scores": {"a": NaN}}', "not a finite number"),
        ('{"rows": {"1": {"a": 1}, "2": {"b": 1}}}', "different scores: a, but '2' has b"),
    ],
)
def test_what_a_program_wrote_is_checked(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_result(path, "capitals")


def test_the_first_row_names_the_headline(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text('{"rows": {"1": {"b": 1, "a": 2}, "2": {"a": 3, "b": 4}}}')
    assert [list(scores.items()) for scores in read_result(path, "x").values()] == [[("b", 1), ("a", 2)], [("b", 4), ("a", 3)]]


def test_a_dry_run_shows_the_command() -> None:
    (line,) = dry_run_lines(recipe("bench", "a b"), "checkpoint-4")
    expected = [
        "bench",
        "a b",
        "--base-url",
        "http://host:8000/v1",
        "--model",
        "tiny",
        "--out",
        "commands/capitals/scores.json",
    ]
    assert shlex.split(line) == expected


def test_without_a_server_the_recipe_is_refused() -> None:
    sections = {"commands": [{"name": "a", "run": ["bench"]}]}
    with pytest.raises(UserError, match=r"evaluate\.commands ask a server: set evaluate\.server"):
        recipe_from({"sources": [{"name": "logs", "path": "logs"}], "evaluate": sections})


def test_no_process_is_left(tmp_path: Path) -> None:
    code = "import json, subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    code += "json.dump({'scores': {'pid': p.pid}}, open(sys.argv[-1], 'w'))"
    run(recipe(sys.executable, "-c", code), tmp_path)
    pid = int(lines_of(tmp_path)[0]["scores"]["pid"])
    until = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(pid)
