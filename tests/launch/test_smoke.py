"""`acc run --smoke` tries a machine from the longest rows to an answer, and says in a table what passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acc.launch.smoke.rows import longest_rows
from acc.launch.smoke.table import Row, table
from acc.recipe import Recipe, load_recipe
from acc.records.sequences import SequenceStore, SequenceWriter
from acc.stage.manifest import Manifest

RECIPE = """\
name: tiny
sources: [{name: logs, synth: {search: 2, min_tokens: 512, max_tokens: 768}}]
compile: {budget_tokens: 1024, target_reserve_tokens: 128}
pack: {length: 1024}
model: {dtype: float32}
train: {gradient_checkpointing: false}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "tiny.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "acc", "run", "tiny.yaml", "--smoke", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def packed(folder: Path) -> Path:
    writer = SequenceWriter(folder)
    lengths = [[30], [10, 10], [80], [5], [40, 20]]
    documents = [
        [writer.add(range(n), sample_id=f"s{n}", source="a", target="t", label_spans=[(n - 2, n)]) for n in row]
        for row in lengths
    ]
    writer.close((0, slot, row) for slot, row in enumerate(documents))
    Manifest("pack", "key", 0, records=7, written=7, counts={"sequences": 5, "tokens": 195}).write(folder)
    return folder


def test_it_passes_from_the_longest_rows_to_an_answer(tmp_path: Path) -> None:
    """In one process; `scripts/prove smoke` does it in two."""
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "runs" / "tiny-smoke" / "smoke.json").read_text())}
    passed = [name for name, row in rows.items() if row["passed"]]
    assert passed == ["load", "canary", "witness", "steps", "save", "resume", "evaluate"]
    assert {name for name, row in rows.items() if row["passed"] is None} <= {"rows", "speed", "memory", "parity"}
    assert rows["rows"]["said"].startswith("5 rows of 1,024 to 1,024 tokens (simulated")
    assert done.stdout.splitlines()[-1] == "everything that was tried passed"


@pytest.mark.processes
def test_a_training_that_fails_is_a_row_with_its_reason_and_an_exit_code(tmp_path: Path) -> None:
    done = run(tmp_path, "--set", "train.max_grad_norm=0", "--set", "train.learning_rate=1e30")
    assert done.returncode == 3, done.stdout + done.stderr
    failed = next(line for line in done.stdout.splitlines() if "FAIL" in line)
    assert failed.startswith("load and train FAIL  exit code 2: acc train: ") and "at step" in failed
    assert done.stdout.splitlines()[-1] == "load and train failed"
    assert "resume" not in done.stdout


def test_processes_that_cannot_share_a_sequence_are_a_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "--set", "parallel.sequence=2")
    assert done.returncode == 2 and "cannot share a sequence among 2" in done.stderr


def test_the_longest_rows_come_first_and_again_where_there_are_too_few(tmp_path: Path) -> None:
    pack = packed(tmp_path / "pack")
    assert longest_rows(_recipe(tmp_path), pack, tmp_path / "two", steps=2, per_step=1) == [80, 60]
    assert longest_rows(_recipe(tmp_path), pack, tmp_path / "all", steps=5, per_step=2) == [80, 60, 30, 20, 5]
    store = SequenceStore(tmp_path / "all")
    assert store.steps.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [len(store[i].input_ids) for i in range(len(store))] == [80, 60, 30, 20, 5] * 2
    original, copied = SequenceStore(pack)[4], store[1]
    assert copied.labels.tolist() == original.labels.tolist()


def test_rows_are_lengthened_before_what_is_labelled(tmp_path: Path) -> None:
    pack = packed(tmp_path / "pack")
    assert longest_rows(_recipe(tmp_path), pack, tmp_path / "long", steps=2, per_step=1, lengthened=100) == [100, 100]
    row = SequenceStore(tmp_path / "long")[0]
    assert row.input_ids.tolist() == [*range(20), *range(80)] and row.position_ids.tolist() == list(range(100))
    assert [i for i, label in enumerate(row.labels.tolist()) if label >= 0] == [98, 99]


def test_one_failure_fails_the_table() -> None:
    said = table([Row("load", True, "x"), Row("speed", None, "y"), Row("resume", False, "z")])
    assert said.splitlines()[2].split()[:2] == ["resume", "FAIL"] and said.endswith("resume failed\n")
    assert table([Row("load", True, "x")]).endswith("passed\n")


def _recipe(folder: Path) -> Recipe:
    (folder / "tiny.yaml").write_text(RECIPE)
    return load_recipe(folder / "tiny.yaml")
