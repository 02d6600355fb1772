"""A watcher gives the scores that the training itself would, at their steps, whoever else watches, is stopped or is killed."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from test_run import RECIPE

from acc.errors import ExitCode, UserError
from acc.evaluate import claims
from acc.evaluate import cli as eval_cli
from acc.evaluate.claims import claim
from acc.launch import cli as run_cli
from acc.launch import watch as watching
from acc.launch.run import run as launch
from acc.launch.watch import Watcher, watch
from acc.recipe import load_recipe, recipe_from
from acc.records.evaluated import evaluation_key, mark_evaluated
from acc.records.scores import SCORES, Score, append_scores, read_scores
from acc.stage.files import write_json
from acc.stage.manifest import Manifest
from acc.train import train_key

FORK = multiprocessing.get_context("fork")
DATA: dict[str, Any] = {
    "name": "fake",
    "sources": [{"name": "s", "path": "x"}],
    "train": {"best": {"score": "mrcr/official"}},
    "evaluate": {"where": "watch", "benchmarks": [{"name": "mrcr", "synthetic": {}}]},
}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.05)
    monkeypatch.setattr(claims, "STALE_S", 1.0)
    monkeypatch.setattr(claims, "BEAT_S", 0.1)


def parsed(verb: Any, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args(arguments)


class FakeRun:
    """A run's folder with checkpoints of no weights, and an evaluation that writes down what it is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **evaluate: Any) -> None:
        self.folder, self.seconds, self.ended = folder, 0.0, 0
        data = {**DATA, "evaluate": {**DATA["evaluate"], **evaluate}}
        if "screen" in evaluate:
            data["train"] = {"best": {"score": "screen_mrcr/official"}}
        self.recipe = recipe_from(data)
        (folder / "compile").mkdir(parents=True)
        (folder / "recipe.json").write_text(self.recipe.model_dump_json())
        write_json(folder / "ready.json", {"launch": "", "error": "", "recipe_folder": "."})
        Manifest("pack", "packed", 0).write(folder / "pack")
        self.key = train_key(self.recipe, folder / "pack")
        self.unanswered = 0
        monkeypatch.setattr(Watcher, "_asked", lambda *_: self)
        monkeypatch.setattr(Watcher, "_report", lambda *_: None)

    def save(self, *steps: int, over: bool = False, key: str = "", scheduled: bool = True) -> None:
        for step in steps:
            folder = self.folder / "train" / f"checkpoint-{step}"
            folder.mkdir(parents=True)
            marker = {"key": key or self.key, "seed": 0, "world": 1, "sequence": 1, "state": False, "files": {}}
            write_json(folder / "acc_checkpoint.json", {"step": step, **marker, "scheduled": scheduled})
        if over:
            Manifest("train", self.key, 0).write(self.folder / "train")

    def run(self, checkpoint: str, step: int, *, rows: str) -> list[Score]:
        """The evaluation: a score that is higher in the middle."""
        self.note(f"{step} {rows}")
        time.sleep(self.seconds)
        if step and not Path(checkpoint).is_dir():
            raise OSError("no such file")
        found = [Score(step, "mrcr", "official", float(step % 30), (0, 1), n=3, screen=rows == "screen")]
        append_scores(self.folder / "evaluate" / SCORES, found)
        self.note(f"{step} {rows} done")
        return found

    def note(self, line: str) -> None:
        with (self.folder / "calls").open("a") as f:
            f.write(line + "\n")

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.is_file() else []

    def begun(self) -> list[str]:
        return [line for line in self.calls() if not line.endswith("done")]

    def watch(self, *, once: bool = False, step: int | None = None) -> ExitCode:
        asked = [*(["--once"] if once else []), *(["--step", str(step)] if step is not None else [])]
        return watch(parsed(eval_cli, "--watch", str(self.folder), *asked))

    def log(self) -> list[tuple[int, str]]:
        lines = (self.folder / "train" / "log.jsonl").read_text().splitlines()
        return [(line["step"], name) for line in map(json.loads, lines) for name in line.get("scores", {})]

    def start(self) -> Any:
        """A watcher in a process of its own."""
        process = FORK.Process(target=lambda: os._exit(self.watch()), daemon=True)
        process.start()
        return process


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    return FakeRun(tmp_path / "fake", monkeypatch)


def until(true: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_once_evaluates_what_is_there_and_another_time_only_what_is_new(fake: FakeRun) -> None:
    fake.save(10)
    assert fake.watch(once=True) == ExitCode.OK
    assert fake.begun() == ["0 full", "10 full"]
    assert not (fake.folder / "train" / "log.jsonl").exists(), "while it lasts the training logs the scores itself"
    fake.save(20)
    fake.save(99, key="another training")
    fake.save(23, scheduled=False)
    (fake.folder / "train" / "checkpoint-30").mkdir()
    fake.watch(once=True)
    assert fake.begun() == ["0 full", "10 full", "20 full"], "neither half-written ones nor what a stop left behind"


def test_a_job_of_one_checkpoint_evaluates_it_alone_and_before_it_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRun(tmp_path / "fake", monkeypatch, screen=2)
    fake.save(10, 20, over=True)
    for step in (10, 0, 20, 10):
        assert fake.watch(once=True, step=step) == ExitCode.OK
    assert fake.begun() == ["0 screen", "10 screen", "0 full", "20 screen", "20 full"]


def test_a_job_of_one_checkpoint_waits_for_the_base_that_another_evaluates(fake: FakeRun) -> None:
    fake.save(10)
    held = claim(fake.folder / "evaluate" / "claims", 0)
    assert held is not None
    with held:
        job = FORK.Process(target=lambda: os._exit(fake.watch(once=True, step=10)), daemon=True)
        job.start()
        job.join(0.5)
        assert job.is_alive() and fake.begun() == []
        mark_evaluated(fake.folder / "evaluate", 0, "full", evaluation_key(fake.recipe))
    job.join(20)
    assert job.exitcode == 0 and fake.begun() == ["10 full"]


def test_questions_that_the_server_failed_on_are_asked_again_but_not_for_ever(
    fake: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.save(10)
    fake.unanswered = 2
    fake.watch(once=True)
    assert fake.begun() == ["0 full"] * 3 + ["10 full"] * 3
    said = capsys.readouterr().err
    assert said.count("they are asked again") == 4 and said.count("2 questions have no answer, and count as 0") == 2


def test_it_waits_for_checkpoints_and_ends_with_the_training(fake: FakeRun) -> None:
    watcher = fake.start()
    until(lambda: "0 full done" in fake.calls())
    fake.save(10)
    until(lambda: "10 full done" in fake.calls())
    fake.save(20, 30, over=True)
    watcher.join(20)
    assert watcher.exitcode == ExitCode.OK
    assert sorted(fake.begun()) == ["0 full", "10 full", "20 full", "30 full"]
    assert sorted(fake.log()) == [(step, "mrcr/official") for step in (0, 10, 20, 30)], "each once, at its own step"
    assert json.loads((fake.folder / "train" / "best.json").read_text())["step"] == 20
    assert json.loads((fake.folder / "evaluate" / "manifest.json").read_text())["records"] == 4
    fake.watch()
    assert len(fake.log()) == 4


def test_all_rows_are_asked_of_base_best_and_last_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRun(tmp_path / "fake", monkeypatch, screen=2)
    fake.save(10, 20, 30, over=True)
    fake.watch()
    assert fake.begun() == ["0 screen", "30 screen", "20 screen", "10 screen", "0 full", "30 full", "20 full"]


def test_two_share_the_work_and_when_one_is_killed_nothing_is_lost_or_done_twice(fake: FakeRun) -> None:
    fake.seconds = 0.3
    steps = range(10, 90, 10)
    fake.save(*steps)
    watchers = [fake.start(), fake.start()]
    until(lambda: len(fake.begun()) >= 4)
    watchers[0].kill()
    watchers[0].join()
    fake.save(over=True)
    watchers[1].join(30)
    assert watchers[1].exitcode == ExitCode.OK
    done = [line for line in fake.calls() if line.endswith("done")]
    assert sorted(done) == sorted([f"{step} full done" for step in (0, *steps)])
    assert len(fake.begun()) - len(done) <= 1, "what was in work at the kill is begun again, nothing else"
    assert sorted(fake.log()) == [(step, "mrcr/official") for step in (0, *steps)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_told_to_stop_it_asks_to_be_started_again_and_frees_its_checkpoint(fake: FakeRun, number: int) -> None:
    fake.seconds = 60.0
    watcher = fake.start()
    until(fake.begun)
    os.kill(watcher.pid, number)
    watcher.join(10)
    assert watcher.exitcode == ExitCode.REQUEUE
    assert claims.claim(fake.folder / "evaluate" / "claims", 0) is not None


def test_a_checkpoint_that_is_dropped_meanwhile_is_skipped_with_a_line(
    fake: FakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.save(10, 20)
    ask = FakeRun.run

    def dropping(self: FakeRun, checkpoint: str, step: int, *, rows: str) -> list[Score]:
        if step == 20:
            shutil.rmtree(checkpoint)
        return ask(self, checkpoint, step, rows=rows)

    monkeypatch.setattr(FakeRun, "run", dropping)
    assert fake.watch(once=True) == ExitCode.OK
    assert "checkpoint-20 is gone: skipped" in capsys.readouterr().err
    assert [line for line in fake.calls() if line.endswith("done")] == ["0 full done", "10 full done"]
    monkeypatch.setattr(FakeRun, "run", lambda *_, **__: 1 / 0)
    fake.save(30)
    with pytest.raises(ZeroDivisionError):
        fake.watch(once=True)


def test_what_cannot_be_watched_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="holds no run"):
        watch(parsed(eval_cli, "--watch", str(tmp_path), "--once"))
    with pytest.raises(UserError, match="this training evaluates its checkpoints itself"):
        FakeRun(tmp_path / "a", monkeypatch, where="inline").watch(once=True)
    server = {"base_url": "http://127.0.0.1:1/v1"}
    with pytest.raises(UserError, match="would answer as one model for every checkpoint"):
        FakeRun(tmp_path / "b", monkeypatch, server=server).watch(once=True)
    assert FakeRun(tmp_path / "c", monkeypatch, server={**server, "model": "{checkpoint}"}).watch(once=True) == ExitCode.OK


def is_score(name: str) -> bool:
    """How long an answer took differs from run to run."""
    return "/" in name and "/seconds" not in name


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Name → step → value, of every event file below a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (one,) = {p.parent for p in folder.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(one)).Reload()
    found = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag.startswith("train/scores/") and is_score(tag)
    }
    assert all(len(dict(values)) == len(values) for values in found.values()), "no score twice"
    return {tag: dict(values) for tag, values in found.items()}


def logged(folder: Path) -> dict[int, dict[str, float]]:
    lines = map(json.loads, (folder / "train" / "log.jsonl").read_text().splitlines())
    found: dict[int, dict[str, float]] = {}
    for line in lines:
        scores = {name: value for name, value in line.get("scores", {}).items() if is_score(name)}
        assert not scores.keys() & found.setdefault(line["step"], {}).keys(), "no score twice"
        found[line["step"]] |= scores
    return found


def train(recipe: Path, *overrides: str, until: str | None = None) -> None:
    asked = [str(recipe), "--runs", str(recipe.parent / "runs"), *(["--until", until] if until else [])]
    arguments = parsed(run_cli, *asked)
    assert launch(load_recipe(recipe, ["train.report_to=[tensorboard]", *overrides]), arguments) == ExitCode.OK


@pytest.mark.processes
def test_inline_and_watch_give_the_same_numbers_at_the_same_steps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "small.yaml"
    benchmark = "benchmarks: [{name: mrcr, synthetic: {rows: 4, tokens: 300}, max_new_tokens: 8}]"
    recipe.write_text(RECIPE.replace("evaluate: {", f"launch: {{threads: 1}}\nevaluate: {{{benchmark}, screen: 2, "))
    torch.set_num_threads(1)  # or a forked process that computes would wait for ever
    train(recipe)
    assert "evaluation took" in capfd.readouterr().err

    beside = ("name=beside", "evaluate.where=watch")
    train(recipe, *beside, until="compile")
    asked = parsed(eval_cli, "--watch", str(tmp_path / "runs" / "beside"))
    watcher = FORK.Process(target=lambda: os._exit(watch(asked)), daemon=True)
    watcher.start()
    train(recipe, *beside)
    watcher.join(100)
    assert watcher.exitcode == ExitCode.OK, capfd.readouterr().err

    folders = [tmp_path / "runs" / name for name in ("small", "beside")]
    numbers = [
        {(s.step, s.name): (s.mean, s.n) for s in read_scores(f / "evaluate" / SCORES) if s.metric != "seconds"}
        for f in folders
    ]
    assert numbers[0] == numbers[1] and {step for step, _ in numbers[0]} == {0, 1, 2}
    assert numbers[0][1, "screen_synthetic_mrcr/official"][1] == 2
    assert [(step, "synthetic_mrcr/official") in numbers[0] for step in (0, 1, 2)] == [True, False, True]
    assert logged(folders[0]) == logged(folders[1]), "in the log too"
    assert scalars(folders[0] / "train") == scalars(folders[1] / "train") != {}
