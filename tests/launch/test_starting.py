"""Several processes are started, signalled and ended together, and their exit code is the command's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from torch.distributed import TCPStore

from acc.errors import ExitCode
from acc.launch.processes import launch_id, start

WORLD = """\
import sys
from acc.launch.processes import start
import acc.launch.processes as p
p.sys = type("S", (), {"executable": sys.argv[1]})
sys.exit(start(2, 1, []))
"""


def script(folder: Path, body: str) -> Path:
    """A stand-in for the interpreter that runs `body` instead of `python -m acc`, so that each rank does what the test says."""
    path = folder / "rank"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\nrank = int(os.environ['RANK'])\n{body}\n")
    path.chmod(0o755)
    return path


def launch(folder: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORLD, str(script(folder, body))], stdout=subprocess.PIPE, text=True)


def test_a_users_mistake_keeps_its_exit_code_through_the_launch() -> None:
    assert start(2, 1, ["check", "nowhere.yaml"]) == ExitCode.USER


def test_all_ranks_share_a_world(tmp_path: Path) -> None:
    body = "line = f'{rank} {os.environ[\"WORLD_SIZE\"]} {os.environ[\"MASTER_PORT\"]}'\nos.write(1, line.encode() + b'\\n')"
    child = launch(tmp_path, body)
    lines = sorted((child.communicate()[0]).split("\n"))[1:]
    assert [line.split()[:2] for line in lines] == [["0", "2"], ["1", "2"]]
    assert len({line.split()[2] for line in lines}) == 1


def test_when_one_rank_fails_the_others_are_ended(tmp_path: Path) -> None:
    begin = time.monotonic()
    child = launch(tmp_path, "sys.exit(3) if rank else time.sleep(60)")
    assert child.wait() == 3
    assert time.monotonic() - begin < 20


def test_sigterm_reaches_every_rank_and_requeue_comes_back(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\nos.write(1, b'up\\n')\ntime.sleep(60)"
    child = launch(tmp_path, body)
    assert child.stdout is not None
    assert [child.stdout.readline(), child.stdout.readline()] == ["up\n", "up\n"]
    child.send_signal(signal.SIGTERM)
    assert child.wait() == ExitCode.REQUEUE


def test_two_launches_have_two_names() -> None:
    code = "from acc.launch.processes import launch_id; print(launch_id())"
    shell = f"{sys.executable} -c '{code}'; {sys.executable} -c '{code}'; true"
    same = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.split()
    other = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.split()
    assert same[0] == same[1] != other[0]
    assert launch_id() not in (same[0], other[0]) or os.getppid() == 0


def test_two_launches_on_several_machines_have_two_names_though_their_addresses_are_one() -> None:
    """As `accelerate launch --num_machines 2`, twice: a process on each node, and the store of the first one's launcher."""
    names, port = [], 0
    for _ in range(2):
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
        port = store.port
        world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        agent = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"}
        command = [sys.executable, "-c", "from acc.launch.processes import launch_id; print(launch_id())"]
        environments = [{**os.environ, **world, **agent, "RANK": rank} for rank in ("1", "0")]
        ranks = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for env in environments]
        said = [rank.communicate(timeout=60)[0] for rank in ranks]
        assert said[0] == said[1] != ""
        names.append(said[0])
        del store
    assert names[0] != names[1]
