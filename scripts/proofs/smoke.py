"""`acc run --smoke` in two processes: ZeRO-3, sequence parallelism, save, resume, one evaluation, each a row that passes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
name: two
sources: [{name: logs, synth: {search: 2, min_tokens: 512, max_tokens: 768}}]
compile: {budget_tokens: 1024, target_reserve_tokens: 128}
pack: {length: 1024}
model: {dtype: float32}
parallel: {sequence: 2}
train: {gradient_checkpointing: false}
launch: {processes: 2, threads: 1}
"""
MUST = {"load", "canary", "witness", "steps", "parity", "save", "resume", "evaluate"}


def prove() -> bool:
    """Print the table; say whether every row that a CPU can try passed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "two.yaml").write_text(RECIPE)
        command = [ROOT / ".venv" / "bin" / "acc", "run", "two.yaml", "--smoke"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        print(done.stdout if done.returncode == 0 else done.stdout + done.stderr, flush=True)
        if done.returncode:
            return False
        rows = json.loads((folder / "runs" / "two-smoke" / "smoke.json").read_text(encoding="utf-8"))
    return {row["name"] for row in rows if row["passed"]} == MUST
