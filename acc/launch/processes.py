"""The processes of one launch: who am I, and starting several where no launcher did."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast
from uuid import uuid4

from acc.errors import UserError
from acc.stage.files import digest

T = TypeVar("T")
STORE_S = 900
"""How long processes wait until global rank 0 begins, s."""


def is_launched() -> bool:
    """Whether a launcher (torchrun, accelerate) started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def global_rank() -> int:
    """This process's rank over all nodes; 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Processes of this launch, number; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launch_id() -> str:
    """A name that all ranks of one launch share and that two launches do not.

    A job of `acc submit` names it. Else within a node the launcher's process id says it, and across nodes a word that global
    rank 0 leaves in the launcher's store; without one the batch job and its restart count do.

    Raises:
        UserError: global rank 0 left no word in time.
    """
    if given := os.environ.get("ACC_LAUNCH"):
        return digest(["given", given])
    names = (
        "TORCHELASTIC_RUN_ID",
        "TORCHELASTIC_RESTART_COUNT",
        "SLURM_JOB_ID",
        "SLURM_RESTART_COUNT",
        "MASTER_ADDR",
        "MASTER_PORT",
    )
    parts = [os.environ.get(n, "") for n in names]
    if os.environ.get("LOCAL_WORLD_SIZE", "1") == os.environ.get("WORLD_SIZE", "1"):
        parts.append(str(os.getppid()))
    elif os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        parts.append(_word_of_rank_0(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), restart))
    return digest(parts)


@lru_cache(maxsize=1)
def _word_of_rank_0(host: str, port: int, restart: str) -> str:
    """A word that no other launch has, by way of the store that torchrun and accelerate keep on the first machine."""
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

    key = f"acc/launch/{restart}"
    try:
        store = TCPStore(host, port, is_master=False, timeout=timedelta(seconds=STORE_S))
        if global_rank() == 0:
            store.set(key, uuid4().hex)
        return str(store.get(key).decode())
    except DistError as e:
        raise UserError(
            f"global rank 0 was not heard of in {STORE_S} s ({str(e).splitlines()[0]})",
            where=f"{host}:{port}",
            mend="Start all machines of a launch together, and see what the first one's log says",
        ) from e


def start(processes: int, threads: int | None, arguments: Sequence[str], *, log: Path | None = None) -> int:
    """Start `python -m acc <arguments>` in several processes of this machine and wait for them.

    torchrun would do it too, but it turns every exit code into 1 (a batch system then can't tell "requeue me" from a crash)
    and kills 30 s after a SIGTERM, while a checkpoint is being saved.

    Args:
        log: file for what they print; None leaves it to this process's own output.

    Returns:
        0 if every process ended well, else the exit code of the first that did not; the others are then told to stop.
    """
    env = {
        **os.environ,
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(threads or max(1, len(os.sched_getaffinity(0)) // processes)),
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, "-m", "acc", *arguments]
    with log.open("ab") if log else nullcontext() as out:
        children = [
            subprocess.Popen(command, env={**env, "RANK": str(r), "LOCAL_RANK": str(r)}, stdout=out, stderr=out)
            for r in range(processes)
        ]

    def hand_on(number: int, frame: object) -> None:
        for child in children:
            child.send_signal(number)

    previous = {s: signal.signal(s, hand_on) for s in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        while True:
            codes = [child.poll() for child in children]
            if failed := [c for c in codes if c]:
                return failed[0]
            if all(c == 0 for c in codes):
                return 0
            time.sleep(0.2)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _stop(children)


def _stop(children: list[subprocess.Popen[bytes]], patience_s: float = 30.0) -> None:
    """End what still runs: SIGTERM, and after `patience_s` seconds SIGKILL."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    end = time.monotonic() + patience_s
    for child in children:
        try:
            child.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def agreed(make: Callable[[], T]) -> T:
    """What rank 0 makes, in every process of the group; without a group what this process makes."""
    if "torch" in sys.modules:
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            made = [make() if dist.get_rank() == 0 else None]
            dist.broadcast_object_list(made)
            return cast(T, made[0])
    return make()


def leave() -> None:
    """Leave the process group, if there is one: NCCL warns of leaks otherwise."""
    if "torch" in sys.modules:
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
