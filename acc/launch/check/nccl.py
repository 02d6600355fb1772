"""An all-reduce over NCCL between the GPUs of this node, in processes of its own that find each other as torchrun's do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

TIMEOUT_S = 120.0
PROGRAM = """
import os, sys, torch, torch.distributed as dist
from datetime import timedelta
rank = int(os.environ["RANK"])
torch.cuda.set_device(rank)
dist.init_process_group("nccl", timeout=timedelta(seconds=60))
x = torch.full((1 << 22,), float(rank + 1), device="cuda")
dist.all_reduce(x)
world = dist.get_world_size()
assert x.min().item() == x.max().item() == world * (world + 1) / 2, "the sum is wrong"
dist.destroy_process_group()
"""
"""What each process runs: one all-reduce of 16 MB whose sum is known."""


def all_reduce(count: int) -> str | None:
    """Try it between `count` GPUs.

    Returns:
        None if the sum is right, else why not.
    """
    return run_processes(PROGRAM, count, timeout_s=TIMEOUT_S)


def run_processes(program: str, count: int, *, timeout_s: float) -> str | None:
    """Run a program in `count` processes that find each other as torchrun's do.

    Returns:
        None if all ended well, else the last line of one that did not, or that they took too long.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    env = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**env, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for r in range(count)
    ]
    try:
        for child in children:
            _, said = child.communicate(timeout=timeout_s)
            if child.returncode:
                return (said.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout_s:.0f} s"
    finally:
        for child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    return None
