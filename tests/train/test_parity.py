"""A few cells of `scripts/parity` that cover every pair of its factors: however it is split, it is the same training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "parity"


@pytest.mark.processes
@pytest.mark.timeout(900)
def test_however_it_is_split_it_is_the_same_training() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--cells", "pairwise"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
