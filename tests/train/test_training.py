"""Training as a user meets it: in one process, started, killed, told to stop, started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_material import (
    VOCABULARY,
    documents_of_step,
    launch,
    make_pack,
    make_recipe,
    make_student,
    read_log,
    reference,
    weights,
)
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback

import acc.train
from acc.errors import ExitCode, UserError
from acc.records.markers import checkpoint_folders, read_marker
from acc.stage.manifest import read_manifest
from acc.train import speed

STEPS = [(s, d) for s in range(4) for d in ([(20, [(15, 20)]), (31 + s, [(25, 31)])], [(12, [])])]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"), STEPS)


@pytest.fixture(scope="module")
def done(student: Path, packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with a checkpoint every other step, state kept for the newest."""
    out = tmp_path_factory.mktemp("done")
    assert acc.train.run(make_recipe(student, save_every_steps=2, keep_checkpoints=1), packed, out) == ExitCode.OK
    return out


class At(TrainerCallback):
    """Does something when a step begins, and notes what it sees."""

    def __init__(self, step: int = 0, do: Any = None) -> None:
        self.step, self.do, self.saved, self.log = step, do, list[Path](), None

    def attach(self, log: Any, likelihood: Any) -> None:
        self.log = log

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step + 1 == self.step:
            self.do()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        assert read_marker(folder) is not None
        self.saved.append(folder)
        self.log({"mrcr/official": 0.25})


def test_the_log_has_a_line_a_step_with_counts_by_source(done: Path, student: Path, packed: Path) -> None:
    lines = read_log(done)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [line["tokens"] for line in lines] == [63, 64, 65, 66]
    assert {(line["labelled_tokens"], line["samples"]) for line in lines} == {(11, 2)}
    assert all(sum(line["labelled_by_source"].values()) == 11 for line in lines)
    mean = sum(lines[0]["loss_by_source"][s] * n for s, n in lines[0]["labelled_by_source"].items()) / 11
    assert mean == pytest.approx(lines[0]["loss"], rel=1e-5)
    loss, norm = reference(student, documents_of_step(packed, 0))
    assert (lines[0]["loss"], lines[0]["grad_norm"]) == (pytest.approx(loss, rel=1e-5), pytest.approx(norm, rel=1e-4))
    whole = json.loads((done / "log.jsonl").read_text().splitlines()[0])
    assert whole["tokens_per_second"] > whole["labelled_tokens_per_second"] > 0
    assert whole["peak_rss_gb"] > 0.1


def test_a_checkpoint_loads_alone_with_tokenizer_and_template(done: Path, student: Path) -> None:
    folder = done / "checkpoint-4"
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.vocab_size == VOCABULARY
    message = [{"role": "user", "content": "w1 w2"}]
    assert AutoTokenizer.from_pretrained(folder).apply_chat_template(message, tokenize=False) == "w1 w2 <|im_end|>"
    assert (folder / "tokenizer.json").read_bytes() == (student / "tokenizer.json").read_bytes()


def test_old_checkpoints_keep_their_weights_and_lose_their_state(done: Path) -> None:
    old, new = (read_marker(f) for f in checkpoint_folders(done))
    assert old is not None and new is not None
    assert (old.step, old.state, new.step, new.state) == (2, False, 4, True)
    assert "model.safetensors" in old.files
    assert "optimizer.pt" not in old.files and not (done / "checkpoint-2" / "optimizer.pt").exists()
    assert "optimizer.pt" in new.files


def test_a_run_that_is_done_is_not_run_again(done: Path, student: Path, packed: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*")}
    assert acc.train.run(make_recipe(student, save_every_steps=2, keep_checkpoints=1), packed, done) == ExitCode.OK
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*")} == before
    manifest = read_manifest(done)
    assert manifest is not None and (manifest.records, manifest.counts["steps"]) == (8, 4)


@pytest.mark.processes
def test_killed_run_goes_on_as_if_it_had_not_been(student: Path, packed: Path, done: Path, tmp_path: Path) -> None:
    recipe = {"save_every_steps": 2, "keep_checkpoints": 1}
    out = tmp_path / "killed"
    case = {"student": str(student), "packed": str(packed), "out": str(out), "recipe": recipe, "kill_at": 4}
    assert launch(1, [case], tmp_path) == [-signal.SIGKILL]
    # Killed again while it wrote a checkpoint: a folder without its marker.
    shutil.copytree(out / "checkpoint-2", out / "checkpoint-3")
    (out / "checkpoint-3" / "acc_checkpoint.json").unlink()
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "lo')
    assert acc.train.run(make_recipe(student, **recipe), packed, out) == ExitCode.OK
    assert [f.name for f in checkpoint_folders(out)] == ["checkpoint-2", "checkpoint-4"]
    assert read_log(out) == read_log(done)
    a, b = weights(out / "checkpoint-4"), weights(done / "checkpoint-4")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_sigterm_saves_and_asks_to_be_started_again(student: Path, packed: Path, done: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, save_every_steps=2, keep_checkpoints=1)
    handler = signal.getsignal(signal.SIGTERM)
    asked = At(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert acc.train.run(recipe, packed, tmp_path, [asked]) == ExitCode.REQUEUE
    assert signal.getsignal(signal.SIGTERM) is handler
    assert [p.name for p in asked.saved] == ["checkpoint-2", "checkpoint-3"]
    assert acc.train.run(recipe, packed, tmp_path) == ExitCode.OK
    steps = [line for line in read_log(tmp_path) if "scores" not in line]
    assert steps == read_log(done)
    assert {"step": 2, "scores": {"mrcr/official": 0.25}} in read_log(tmp_path)


def test_state_for_other_processes_gives_weights_and_the_right_step(
    student: Path, packed: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(student, save_every_steps=2, keep_checkpoints=1)
    shutil.copytree(done / "checkpoint-2", tmp_path / "checkpoint-2")
    assert acc.train.run(recipe, packed, tmp_path) == ExitCode.OK
    assert "going on after step 2, from its weights alone" in capsys.readouterr().out
    lines = read_log(tmp_path)
    assert [line["step"] for line in lines] == [3, 4]
    assert lines[0] == read_log(done)[2]


def test_checkpoints_of_another_recipe_are_refused_and_left_alone(
    student: Path, packed: Path, done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done / "checkpoint-4", tmp_path / "checkpoint-4")
    with pytest.raises(UserError, match="checkpoint-4 was trained with another recipe"):
        acc.train.run(make_recipe(student, learning_rate=1e-4), packed, tmp_path)
    assert read_marker(tmp_path / "checkpoint-4") is not None


def test_without_save_every_steps_each_epoch_is_saved(student: Path, tmp_path: Path) -> None:
    packed = make_pack(tmp_path / "pack", [(-1, [(8, [(4, 8)])]) for _ in range(3)])
    assert acc.train.run(make_recipe(student, global_batch=2, epochs=2.0), packed, tmp_path / "out") == ExitCode.OK
    assert [f.name for f in checkpoint_folders(tmp_path / "out")] == ["checkpoint-2", "checkpoint-3"]
    assert [line["epoch"] for line in read_log(tmp_path / "out")] == pytest.approx([2 / 3, 4 / 3, 2])


def test_a_step_of_fillers_alone_changes_nothing(student: Path, tmp_path: Path) -> None:
    packed = make_pack(tmp_path / "pack", [(0, [(9, [])])])
    assert acc.train.run(make_recipe(student), packed, tmp_path / "out") == ExitCode.OK
    assert read_log(tmp_path / "out")[0]["loss"] == 0
    before, after = weights(student), weights(tmp_path / "out" / "checkpoint-1")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_that_is_not_a_number_ends_training_before_it_is_saved(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, learning_rate=1e30, max_grad_norm=0.0, log_every_steps=100)
    with pytest.raises(UserError, match=r"train: (loss|grad_norm) is nan at step 2"):
        acc.train.run(recipe, packed, tmp_path)
    assert checkpoint_folders(tmp_path) == []


def test_a_frozen_router_stays_and_the_rest_moves(student: Path, packed: Path, tmp_path: Path) -> None:
    assert acc.train.run(make_recipe(student, moe={"router": "frozen"}, max_steps=1), packed, tmp_path) == ExitCode.OK
    before, after = weights(student), weights(tmp_path / "checkpoint-1")
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if "mlp.gate." in name} <= stayed
    # An expert that no token of the step was routed to stays too.
    assert all("mlp" in name for name in stayed)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.counts["parameters"] - manifest.counts["trainable_parameters"] == 2 * 4 * 32
    assert manifest.rejected == {"after_max_steps": 6}


def test_adapters_on_attention_and_experts_train_and_go_on(student: Path, packed: Path, tmp_path: Path) -> None:
    lora = {"rank": 2, "targets": ["attention", "experts", "router"]}
    recipe = make_recipe(student, lora=lora, save_every_steps=2)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert acc.train.run(recipe, packed, whole) == ExitCode.OK
    asked = At(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert acc.train.run(recipe, packed, stopped, [asked]) == ExitCode.REQUEUE
    assert acc.train.run(recipe, packed, stopped) == ExitCode.OK
    assert [line for line in read_log(stopped) if "scores" not in line] == read_log(whole)
    loaded = AutoModelForCausalLM.from_pretrained(whole / "checkpoint-4")
    assert any("lora" in name for name, _ in loaded.named_parameters())


def test_half_precision_follows_full_precision(student: Path, packed: Path, done: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, model={"path": str(student), "dtype": "bfloat16"}, gradient_checkpointing=True)
    assert acc.train.run(recipe, packed, tmp_path) == ExitCode.OK
    for half, full in zip(read_log(tmp_path), read_log(done), strict=True):
        assert half["loss"] == pytest.approx(full["loss"], rel=2e-2)


def test_too_little_disk_is_said_before_anything_is_written(
    student: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match=r"a checkpoint needs about .* GB and the disk has"):
        acc.train.run(make_recipe(student), packed, tmp_path)
    assert checkpoint_folders(tmp_path) == []


def test_a_pack_that_has_not_ended_is_refused(student: Path, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "pack")
    (tmp_path / "pack" / "manifest.json").unlink()
    with pytest.raises(UserError, match="the pack stage has not ended here"):
        acc.train.run(make_recipe(student), tmp_path / "pack", tmp_path / "out")


def test_a_tracker_gets_the_log_and_a_known_device_its_utilisation(
    student: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(speed.PEAKS, "cpu", 1e-3)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    recipe = make_recipe(student, max_steps=1, report_to=["tensorboard"])
    assert acc.train.run(recipe, packed, tmp_path / "out") == ExitCode.OK
    line = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[0])
    config = AutoConfig.from_pretrained(student)
    work = speed.model_flops(config, [20, 31, 12], labelled=line["labelled_tokens"])
    assert line["mfu"] == pytest.approx(work / (line["tokens"] / line["tokens_per_second"]) / 1e9, rel=1e-3)
    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    assert board.Scalars("train/mfu")[0].value == pytest.approx(line["mfu"], rel=1e-3)
    assert board.Scalars("train/loss_by_source/source0")[0].step == 1


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_loaded(student: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the tracker trackio is not installed"):
        acc.train.run(make_recipe(student, report_to=["trackio"]), packed, tmp_path)
