"""`acc run` from simulated logs to a report: what is done is not done again, what changed is, and nothing trained is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from acc.cli import main
from acc.launch.runs import recipe_of

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

    back = run(tmp_path)
    assert back.returncode == 0 and "is taken up again" in back.stderr and "step " not in back.stderr
    assert weights.stat().st_mtime_ns == written, "what was trained once is not trained again"
    assert [p.name for p in folder.glob("train-*/checkpoint-*")] == ["checkpoint-1"]


def test_a_second_start_is_refused_and_changes_nothing_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("alice", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "small.yaml").write_text(RECIPE)
    runs = str(tmp_path / "runs")
    assert main(["run", str(tmp_path / "alice" / "small.yaml"), "--runs", runs, "--until", "compile"]) == 0
    code = "import time, pathlib; from acc.launch.hold import Hold; h = Hold(pathlib.Path('runs/small')); print(1, flush=True)"
    at_work = subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert at_work.stdout is not None and at_work.stdout.readline()
    before = {p: p.read_bytes() for p in (tmp_path / "runs" / "small").glob("*.json")}
    monkeypatch.setattr("acc.launch.hold.HERE_S", 0.0)
    assert main(["run", str(tmp_path / "bob" / "small.yaml"), "--runs", runs]) == 2
    at_work.kill()
    at_work.wait()
    assert "another `acc run` of this run is at work" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in before} == before
    assert recipe_of(tmp_path / "runs" / "small").resolve("logs") == tmp_path / "alice" / "logs"


def test_paths_of_a_run_are_found_though_its_folder_lies_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    (tmp_path / "scratch" / "deep").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "scratch" / "deep")
    assert main(["run", str(tmp_path / "small.yaml"), "--runs", str(tmp_path / "runs"), "--until", "compile"]) == 0
    assert recipe_of(tmp_path / "runs" / "small").resolve("logs") == tmp_path / "logs"


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
