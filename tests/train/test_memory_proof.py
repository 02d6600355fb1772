"""What scripts/prove memory calls linear."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PROOF = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "proofs" / "memory.py"))


@pytest.mark.parametrize(("a_pair", "linear"), [(0.0, True), (1.0, False), (16.0, False)])
def test_a_mask_or_scores_would_be_seen(a_pair: float, linear: bool) -> None:
    peaks = {n: int(50e6 + 24_000 * n + a_pair * n * n) for n in PROOF["LENGTHS"]}
    assert PROOF["grows_linearly"](8, peaks) is linear


def test_memory_that_grows_by_fits_and_starts_is_linear_still() -> None:
    assert PROOF["grows_linearly"](8, dict(zip(PROOF["LENGTHS"], (161e6, 269e6, 526e6, 927e6), strict=True)))
