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

HOLDS = "import os, sys, time; from pathlib import Path; from acc.launch.hold import Hold; hold = Hold(Path('.'))"
STAYS = "print('held', flush=True); time.sleep(60)"


def holder(folder: Path, code: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", f"{HOLDS}; {code}{STAYS}"], cwd=folder, stdout=subprocess.PIPE, text=True)
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
