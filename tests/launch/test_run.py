"""`acc run` from simulated logs to a report: what is done is not done again, what changed is, and nothing trained is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """\
name: small
sources:
  - {name: simulated, synth: {search: 8, database: 4, seed: 3, min_tokens: 512, max_tokens: 768}}
  - {name: kept, split: held_out, synth: {search: 2, seed: 4, min_tokens: 512, max_tokens: 768}}
compile: {budget_tokens: 2048, target_reserve_tokens: 128}
pack: {length: 2048}
model: {dtype: float32}
train: {global_batch: 4, max_steps: 2, save_every_steps: 1, gradient_checkpointing: false}
evaluate: {inline_share: 10.0, held_out: {limit: 2, max_new_tokens: 4}}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "acc", "run", "small.yaml", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.processes
def test_a_recipe_runs_to_its_report_and_only_what_changed_runs_again(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    folder = tmp_path / "runs" / "small"

    prepared = run(tmp_path, "--until", "pack")
    assert prepared.returncode == 0, prepared.stderr
    assert (folder / "pack" / "manifest.json").is_file() and not (folder / "train").exists()

    first = run(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "Traceback" not in first.stderr
    weights = folder / "train" / "checkpoint-2" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert {p.name for p in (folder / "evaluate" / "responses").iterdir()} == {"0", "1", "2"}
    assert "<html" in (folder / "report.html").read_text()

    again = run(tmp_path)
    assert again.returncode == 0 and "step " not in again.stderr
    assert weights.stat().st_mtime_ns == written

    asked = run(tmp_path, "--set", "evaluate.held_out.limit=1")
    assert asked.returncode == 0 and weights.stat().st_mtime_ns == written, "another evaluation trains nothing"

    changed = run(tmp_path, "--set", "train.max_steps=1")
    assert changed.returncode == 0, changed.stderr
    assert "the earlier training is kept in" in changed.stderr
    assert not weights.exists() and (folder / "train" / "checkpoint-1").is_dir()
    assert len(list(folder.glob("train-*/checkpoint-2/model.safetensors"))) == 1


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    (tmp_path / "runs").write_text("a file")
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == "acc run: runs/small: the run's folder cannot be made (Not a directory). Give --runs DIR.\n"


def test_a_source_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("sources: [{name: a, path: gone}]\n")
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == "acc run: source 'a' names gone, which is not there. Check the path in the recipe.\n"
