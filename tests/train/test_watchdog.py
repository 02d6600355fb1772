"""A step that hangs in one process: every process prints its stacks, and all end with the exit code that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_material import launch, make_pack, make_student

from acc.errors import ExitCode

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


def test_a_step_that_hangs_shows_every_stack_and_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    packed = make_pack(tmp_path / "pack", [(s, [(12, [(6, 12)])]) for s in range(4) for _ in range(2)])
    case = {
        "student": str(make_student(tmp_path / "student")),
        "packed": str(packed),
        "out": str(tmp_path / "out"),
        "recipe": {"launch": {"watchdog": {"factor": 3.0, "least_s": 4.0}}},
        "stall_at": 4,
    }
    assert launch(2, [case], tmp_path, timeout=100) == [ExitCode.WATCHDOG] * 2
    waiting, asleep = ((tmp_path / "out" / f"stacks-{rank}.txt").read_text() for rank in range(2))
    assert "on_step_begin" in asleep and "rank 1 of 2 on " in asleep
    assert "training_step" in waiting and "on_step_begin" not in waiting
    printed = capfd.readouterr().err
    assert waiting in printed and asleep in printed
