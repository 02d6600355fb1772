"""One `acc run` at a time writes a run's folder, and whoever died holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import acc.launch.hold
from acc.errors import UserError
from acc.launch.hold import Hold

IMPORTS = "import os, sys, time; from pathlib import Path; from acc.launch.hold import Hold"
STAYS = "print('held', flush=True); time.sleep(60)"


def holder(folder: Path, code: str = "", before: str = "") -> subprocess.Popen[str]:
    program = f"{IMPORTS}; {before}hold = Hold(Path('.')); {code}{STAYS}"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_told_who_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(acc.launch.hold, "HERE_S", 0.0)
    first = holder(tmp_path)
    with pytest.raises(UserError, match=f"another `acc run` of this run is at work .process {first.pid} on "):
        Hold(tmp_path)
    assert capsys.readouterr().err == "", "who is refused at once did not wait"
    first.kill()
    first.wait()


def test_an_earlier_attempt_of_the_job_on_another_machine_is_over_though_its_lock_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HERE_S", "ELSEWHERE_S"):
        monkeypatch.setattr(acc.launch.hold, name, 0.0)
    elsewhere = "import socket; socket.gethostname = lambda: 'node7'; os.environ['ACC_LAUNCH'] = '2345-0'; "
    first = holder(tmp_path, before=elsewhere)
    for launch, refused in (("2345-1", False), ("2346-0", True)):
        monkeypatch.setenv("ACC_LAUNCH", launch)
        if refused:
            with pytest.raises(UserError, match="on node7, job 2345"):
                Hold(tmp_path)
        else:
            Hold(tmp_path)
    first.kill()
    first.wait()


def test_one_that_ends_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = holder(tmp_path, "import threading; threading.Timer(1, lambda: os._exit(0)).start(); ")
    Hold(tmp_path).release()
    assert f"process {first.pid} on " in capsys.readouterr().err
    assert first.wait() == 0


def test_who_was_killed_holds_nothing_though_its_child_lives_on(tmp_path: Path) -> None:
    first = holder(tmp_path, "child = os.fork(); child or time.sleep(60); print(child, file=open('child', 'w'), flush=True); ")
    first.kill()
    first.wait()
    Hold(tmp_path).release()
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_what_was_released_is_free(tmp_path: Path) -> None:
    Hold(tmp_path).release()
    process = holder(tmp_path)
    process.kill()
    process.wait()
