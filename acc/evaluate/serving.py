"""A server started on a checkpoint: its command, its health, its end.

It runs in a session of its own under a keeper (`acc.evaluate.keeper`), which ends it and all that it started as soon as this
process is gone, however it went. Where the keeper was killed too, the next start in the same folder finds the server's
processes by number and time of start, and ends those and no others.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from acc.errors import UserError
from acc.evaluate import keeper
from acc.evaluate.program import last_lines, own_environment
from acc.evaluate.sessions import end_session, note_session
from acc.recipe.evaluation import Server as Settings

NAME = "student"
"""What a started vLLM calls the model."""
HOST = "127.0.0.1"
LOG, PROCESS, LOCK = "server.log", "server.json", "server.lock"
POLL_S, SAY_S = 0.2, 60.0
"""Pauses between looks at a server that starts, and between lines about it, s."""


class Started:
    """A server that is started when it is first wanted.

    Args:
        command: port → the command.
        folder: for its log and the numbers of its process; nobody else's.
        name: of the program, for messages.
        timeout_s: longest wait until it is healthy, s.
    """

    def __init__(self, command: Callable[[int], list[str]], folder: Path, *, name: str, timeout_s: float) -> None:
        self.command, self.folder, self.name, self.timeout_s = command, folder, name, timeout_s
        self._keeper: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._port = 0

    def url(self) -> str:
        """Its address, ending in /v1; waits until it is healthy.

        Raises:
            UserError: it ended, or was not healthy in time, or another process has one in the same folder.
        """
        if self._keeper is None:
            self._start()
        self.check()
        return f"http://{HOST}:{self._port}/v1"

    def check(self) -> None:
        """See that it still runs.

        Raises:
            UserError: it does not.
        """
        if self._keeper is None or self._keeper.poll() is None:
            return
        said = last_lines(self.folder / LOG)
        raise UserError(
            f"{self.name} ended; it said last:\n{said}",
            where=str(self.folder / LOG),
            mend="Mend what it says, with evaluate.server.arguments for instance, and run this again: no answer is lost",
        )

    def close(self) -> None:
        """End it and all that it started."""
        if self._keeper is None:
            return
        started, self._keeper = self._keeper, None
        assert started.stdin is not None
        started.stdin.close()
        try:
            started.wait(keeper.GRACE_S + 5)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
        end_session(self.folder / PROCESS)  # nothing is left, unless the keeper was killed
        assert self._lock is not None
        self._lock.close()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / LOCK)
        end_session(self.folder / PROCESS)
        self._port = _free_port()
        with (self.folder / LOG).open("wb") as log:
            self._keeper = _keep(self.command(self._port), log)
        note_session(self.folder / PROCESS, self._keeper.pid)
        begun = said = time.monotonic()
        while not _is_healthy(f"http://{HOST}:{self._port}/health"):
            self.check()
            now = time.monotonic()
            if now - begun > self.timeout_s:
                self.close()
                raise UserError(
                    f"{self.name} was not healthy within {self.timeout_s:g} s; it said last:\n{last_lines(self.folder / LOG)}",
                    where=str(self.folder / LOG),
                    mend="Mend what it says, or raise evaluate.server.startup_timeout_s",
                )
            if now - said > SAY_S:
                said = now
                print(
                    f"acc eval: {self.name} starts, {now - begun:.0f} s so far; its log: {self.folder / LOG}", file=sys.stderr
                )
            time.sleep(POLL_S)
        note_session(self.folder / PROCESS, self._keeper.pid)


def vllm_command(
    checkpoint: str,
    settings: Settings,
    port: int,
    *,
    program: str = "vllm",
    revision: str | None = None,
    trust_remote_code: bool = False,
    overrides: dict[str, Any] | None = None,
    seed: int = 0,
) -> list[str]:
    """The command of vLLM's server.

    Args:
        overrides: of the model's configuration, such as its RoPE scaling.
        seed: of what vLLM draws where a request has no seed of its own.
    """
    # Its own defaults, not those of generation_config.json: what is not asked for is not done in silence (top_k, penalties).
    found = [program, "serve", checkpoint, "--host", HOST, "--port", str(port), "--served-model-name", NAME]
    found += ["--tensor-parallel-size", str(settings.tensor_parallel), "--generation-config", "vllm", "--seed", str(seed)]
    found += ["--revision", revision, "--tokenizer-revision", revision] if revision else []
    found += ["--hf-overrides", json.dumps(overrides, sort_keys=True)] if overrides else []
    return [*found, *(["--trust-remote-code"] if trust_remote_code else []), *settings.arguments]


def transformers_command(
    model: str,
    settings: Settings,
    port: int,
    *,
    program: str = "transformers",
    trust_remote_code: bool = False,
    seed: int = 0,
) -> list[str]:
    """The command of transformers' server; `model` is a folder, or a hub id with its `@revision`."""
    found = [program, "serve", model, "--host", HOST, "--port", str(port), "--default-seed", str(seed)]
    return [*found, *(["--trust-remote-code"] if trust_remote_code else []), *settings.arguments]


def program_of(kind: str) -> str:
    """Path of the program `vllm` or `transformers`: beside this Python, else the first on PATH.

    Raises:
        UserError: it is not installed, or not whole.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which(kind, path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    needs = [name for name in ("fastapi", "uvicorn", "openai") if find_spec(name) is None] if kind == "transformers" else []
    if found is None or needs:
        raise UserError(
            f"{kind} serve needs {', '.join(needs)}" if needs else f"there is no program {kind}",
            where="evaluate.server.start",
            mend=f"Install {'vllm' if kind == 'vllm' else 'transformers[serving]'} beside acc, "
            "or give evaluate.server.base_url of a server that runs already",
        )
    return found


def _keep(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", keeper.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=own_environment(),
        start_new_session=True,
    )


def _locked(path: Path) -> IO[bytes]:
    """A file that no other process holds: what lies beside it is nobody's, then."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        file.close()
        raise UserError("another process evaluates here with a server", where=str(path.parent), mend="Wait for it") from e
    return file


def _free_port() -> int:
    with socket.socket() as s:
        s.bind((HOST, 0))
        return int(s.getsockname()[1])


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
