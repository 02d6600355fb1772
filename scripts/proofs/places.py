"""What proofs on a cluster share: a folder that all nodes see, and what a program says."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def said(*command: str) -> str:
    """What a program prints, whatever its exit code."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def working_folder() -> Iterator[Path]:
    """$ACC_PROVE_FOLDER, which stays; else a temporary folder."""
    if given := os.environ.get("ACC_PROVE_FOLDER"):
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given).resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
