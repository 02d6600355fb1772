"""scripts/gpu_check runs through without a GPU, and with no more than a bare image has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "gpu_check"
BARE = """
import runpy, sys
sys.modules["pydantic"] = sys.modules["pyarrow"] = None
sys.argv = [sys.argv[1], "--tiny", "--quick", "--documents", "8", "--out", sys.argv[2]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    """The finished process, and the lines that it wrote."""
    out = tmp_path_factory.mktemp("gpu") / "lines.jsonl"
    done = subprocess.run([sys.executable, "-c", BARE, str(SCRIPT), str(out)], capture_output=True, text=True, check=False)
    return done, [json.loads(line) for line in out.read_text().splitlines()] if out.is_file() else []


def test_it_runs_through_on_a_cpu_without_pydantic_and_arrow(
    ran: tuple[subprocess.CompletedProcess[str], list[dict[str, object]]],
) -> None:
    done, lines = ran
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    cases = {(x["train"], x["attention"], x["experts"]) for x in lines if x["kind"] == "speed" and x["fits"]}
    assert {("full", "documents_sdpa", e) for e in ("grouped_mm", "batched_mm", "eager")} <= cases
    assert {("lora", "documents_sdpa", "grouped_mm"), ("full", "sdpa, all logits", "grouped_mm")} <= cases
    assert "what it costs on a GPU is open" in done.stdout


def test_every_step_has_the_loss_of_the_plain_one(
    ran: tuple[subprocess.CompletedProcess[str], list[dict[str, object]]],
) -> None:
    losses = [x["loss"] for x in ran[1] if x["kind"] == "speed"]
    assert losses == [pytest.approx(losses[0], rel=1e-3)] * len(losses)


def test_packing_is_right_in_bfloat16_and_crossing_borders_would_be_seen(
    ran: tuple[subprocess.CompletedProcess[str], list[dict[str, object]]],
) -> None:
    (line,) = [x for x in ran[1] if x["kind"] == "parity"]
    packed, crossed, tolerance = (line[name] for name in ("packed", "crossed", "tolerance"))
    assert all(packed[name] <= tolerance[name] for name in tolerance)
    assert crossed["hidden"] > 3 * tolerance["hidden"]
