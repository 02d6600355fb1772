"""`acc status`: where each stage stands by its files, and why an attempt ended by Slurm's word, exit codes and logs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from acc.cli import main
from acc.launch.attempt import noted
from acc.launch.endings import attempts, ending
from acc.launch.submit.queue import JobState, states
from acc.recipe import load_recipe
from acc.records.evaluated import evaluation_key, mark_evaluated
from acc.stage.files import write_json
from acc.stage.manifest import Manifest
from acc.train import train_key

RECIPE = """\
name: small
sources: [{name: logs, path: logs}]
evaluate: {where: job, benchmarks: [{name: mrcr, synthetic: {rows: 2}}]}
"""
TORCH = "Traceback (most recent call last):\n  File x\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
SENTENCE = "acc run: train: the gradient is not a number at step 3. Lower train.learning_rate."
REQUEUED = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-02T03:04:05 DUE TO JOB REQUEUE ***"


def attempt(folder: Path, log: str = "", codes: tuple[int, ...] = (), script: str = "") -> Path:
    out = folder / "train" / "7-0"
    out.mkdir(parents=True)
    (out / "0.log").write_text(log)
    (out / "batch.log").write_text(script)
    for rank, code in enumerate(codes):
        (out / f"ended-{rank}").write_text(f"{code}\n")
    return out


@pytest.mark.parametrize(
    ("log", "codes", "state", "why"),
    [
        ("acc run: report: x\n", (0, 0), "COMPLETED", ""),
        ("watchdog: rank 0 of 2 on n1: step 3\nstep 4\n", (0,), "COMPLETED", ""),
        ("stopped after step 5 of 9", (75, 75), "PENDING", "told to stop before its time was over; saved, and goes on"),
        (SENTENCE + "\n", (2,), "FAILED", SENTENCE),
        (TORCH, (1,), "FAILED", "out of GPU memory: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
        ("step 3", (), "OUT_OF_MEMORY", "out of memory on a node"),
        ("step 3", (), "TIMEOUT", "its time limit ended it"),
        ("step 3", (), "NODE_FAIL", "a node failed"),
        ("watchdog: rank 0 of 2 on n1: step 3 has taken longer than 9 s\n", (), "FAILED", "a step hung"),
        ("OSError: [Errno 28] No space left on device\n", (1,), "FAILED", "the disk is full"),
        ("Traceback\n  File x\nValueError: odd\nsrun: error: n1\n", (1,), "FAILED", "exit code 1: ValueError: odd"),
        ("step 3", (), "CANCELLED", "it was cancelled"),
    ],
)  # fmt: skip
def test_why_an_attempt_ended(tmp_path: Path, log: str, codes: tuple[int, ...], state: str, why: str) -> None:
    said = ending(attempt(tmp_path, log, codes), JobState("7", state, exit_code="1:0"))
    assert said == why if not why else said.startswith(why)


def test_processes_that_were_killed_are_known_by_the_scripts_word(tmp_path: Path) -> None:
    killed = "srun: error: n1: task 0: Killed\nexit code 137: queued again\n"
    said = ending(attempt(tmp_path, "step 3\n", script=killed), JobState("7", "PENDING", "BeginTime"))
    assert said == "exit code 137: srun: error: n1: task 0: Killed"


def test_what_slurm_wrote_counts_for_its_attempt_and_not_where_the_script_asked_for_it(tmp_path: Path) -> None:
    first = attempt(tmp_path, script="exit code 75: queued again\n", codes=(75,))
    second, third = (first.with_name(f"7-{n}") for n in (1, 2))
    for folder in (second, third):
        folder.mkdir()
        (folder / "0.log").write_text("step 3\nslurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026 ***\n")
    timed_out = REQUEUED.replace("JOB REQUEUE", "TIME LIMIT")
    (tmp_path / "train-7.out").write_text("\n".join([REQUEUED, REQUEUED, timed_out]))
    assert ending(first).startswith("told to stop")
    assert ending(second) == "it was queued again (scontrol requeue)"
    assert ending(third).startswith("its time limit ended it")


def test_the_attempts_of_a_job_are_in_order_and_another_jobs_are_not_among_them(tmp_path: Path) -> None:
    for name in ("7-10", "7-2", "7-0", "77-0"):
        (tmp_path / name).mkdir()
    assert [path.name for path in attempts(tmp_path, "7")] == ["7-0", "7-2", "7-10"]


def test_a_process_notes_its_exit_code_however_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACC_ATTEMPT", str(tmp_path))
    monkeypatch.setenv("RANK", "3")
    note = tmp_path / "ended-3"

    def crash() -> int:
        raise ValueError

    def usage() -> int:
        raise SystemExit(2)

    assert noted(lambda: 75) == 75 and note.read_text() == "75\n"
    with pytest.raises(ValueError):
        noted(crash)
    assert note.read_text() == "1\n"
    with pytest.raises(SystemExit):
        noted(usage)
    assert note.read_text() == "2\n"
    monkeypatch.delenv("ACC_ATTEMPT")
    note.unlink()
    assert noted(lambda: 0) == 0 and not note.exists()


def test_what_the_controller_has_forgotten_the_accounts_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (("scontrol", ""), ("sacct", "OUT_OF_MEMORY|None|0:125")):
        (tmp_path / name).write_text(f"#!/bin/bash\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert states(["7"]) == {"7": JobState("7", "OUT_OF_MEMORY", "", "0:125")}
    (tmp_path / "scontrol").write_text("#!/bin/bash\necho JobId=7 JobState=PENDING Reason=BeginTime Restarts=2 ExitCode=0:0\n")
    assert states(["7"]) == {"7": JobState("7", "PENDING", "BeginTime", "0:0", 2)}
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert states(["7"]) == {}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was compiled and is in training, whose job was told to stop once; no Slurm is here."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    (tmp_path / "small.yaml").write_text(RECIPE)
    recipe, folder = load_recipe(tmp_path / "small.yaml"), tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    (folder / "ready.json").write_text('{"recipe_folder": "../.."}')
    Manifest("compile", "k", 0, records=9, written=7, rejected={"over_long": 2}).write(folder / "compile")
    Manifest("pack", "k", 0, records=7, written=7, counts={"sequences": 4}).write(folder / "pack")
    for step, scheduled in ((5, True), (6, False)):
        sizes = {"seed": 0, "world": 1, "sequence": 1, "state": False, "files": {}}
        marker = {"step": step, "key": train_key(recipe, folder / "pack"), **sizes, "scheduled": scheduled}
        write_json(folder / "train" / f"checkpoint-{step}" / "acc_checkpoint.json", marker)
    lines = [{"step": s, "loss": 2.0, "tokens_per_second": 1000.0} for s in range(1, 7)]
    (folder / "train" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 7, "lo')
    mark_evaluated(folder / "evaluate", 0, "full", evaluation_key(recipe))
    (folder / "jobs" / "ids").mkdir(parents=True)
    (folder / "jobs" / "ids" / "train").write_text("7\n")
    attempt(folder / "jobs" / "logs", codes=(75,), script="exit code 75: queued again\n")
    return folder


def test_where_a_run_stands(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    stages = {stage.pop("stage"): stage for stage in found["stages"]}
    assert stages["compile"] == {"state": "done", "said": "7 samples of 9 records, 2 rejected"}
    assert stages["pack"]["state"] == "done"
    assert stages["train"]["state"] == "begun"
    assert stages["train"]["said"] == "step 6 of ?, loss 2.0000, 1,000 tokens/s, checkpoint-6 the last whole one"
    assert stages["evaluate"] == {"state": "begun", "said": "1 of 2 that are there; not yet: step 5"}
    assert stages["report"]["state"] == "not begun"
    assert [job["endings"] for job in found["jobs"]] == [["told to stop before its time was over; saved, and goes on"]]

    assert main(["status", str(run)]) == 0
    assert "attempt 1: told to stop" in capsys.readouterr().out


def test_a_job_that_slurm_has_forgotten_is_known_by_its_log(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "jobs" / "logs" / "train" / "7-0" / "batch.log").write_text("exit code 0\n")
    main(["status", str(run)])
    assert "job 7  completed" in capsys.readouterr().out


def test_no_run_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "nowhere")]) == 2
    assert "holds no run" in capsys.readouterr().err
