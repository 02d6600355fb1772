"""This machine, as far as a check asks about it: programs, packages, GPUs, disk. Nothing here imports torch."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from acc.launch.check.nccl import all_reduce


@dataclass(frozen=True, slots=True)
class Machine:
    """What can be asked; a test answers for itself."""

    environment: Mapping[str, str]
    version: Callable[[str], str | None]
    """Distribution → its version, None where it is not installed."""
    program: Callable[[str], str | None]
    """Name of a program → its path, None where there is none."""
    gpus: Callable[[], int]
    """NVIDIA GPUs, number."""
    gpu_kind: Callable[[], str]
    """Kind of the GPUs, as the driver calls it; "" without one."""
    free: Callable[[Path], int]
    """Free bytes of the disk that a path is on, or will be."""
    connect: Callable[[str, int], str | None]
    """Why nothing can be connected to at a host and port; None where something listens."""
    all_reduce: Callable[[int], str | None]
    """Why an all-reduce between so many GPUs fails; None if it does not."""


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(os.environ, installed_version, found_program, count_gpus, gpu_kind, free_bytes, try_connection, all_reduce)


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def found_program(name: str) -> str | None:
    """Where a program is: beside this Python, else the first on PATH."""
    return shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))


def count_gpus() -> int:
    """NVIDIA GPUs that the driver shows here and CUDA_VISIBLE_DEVICES leaves, number."""
    found = sum(p.name.removeprefix("nvidia").isdigit() for p in Path("/dev").glob("nvidia*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return min(found, len([name for name in visible.split(",") if name.strip() not in ("", "-1")]))


def gpu_kind() -> str:
    """What the driver calls the first GPU ("NVIDIA H100 80GB HBM3"); "" where none can be used or it does not say."""
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")) if count_gpus() else ():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return ""


def free_bytes(path: Path) -> int:
    """Free bytes of the disk below the nearest folder that there is."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free


def try_connection(host: str, port: int, *, timeout_s: float = 3.0) -> str | None:
    """Why nothing can be connected to; None where something listens."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as e:
        return e.strerror or str(e) or type(e).__name__
    return None


def folder_is_writable(path: Path) -> bool:
    """Whether a folder can be made, or written to."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return there.is_dir() and os.access(there, os.W_OK)
