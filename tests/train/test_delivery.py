"""Scores that another process wrote reach the log and the trackers, once and at the checkpoint's step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_material import make_pack, make_recipe, make_student
from transformers import TrainerCallback

import acc.train
from acc.errors import ExitCode
from acc.records.evaluated import mark_evaluated
from acc.records.markers import checkpoint_folders
from acc.records.scores import SCORES, Score, append_scores
from acc.train.delivery import undelivered

EVALUATE = {"where": "watch", "benchmarks": [{"name": "mrcr", "synthetic": {}}]}


def write(path: Path, step: int, value: float, name: str = "mrcr", n: int = 1) -> None:
    append_scores(path, [Score(step, name, "official", value, (0, 1), n=n)])


def scored(out: Path) -> list[tuple[int, dict[str, float]]]:
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [(line["step"], line["scores"]) for line in lines if "scores" in line]


def tensorboard(out: Path) -> list[tuple[int, float]]:
    (folder,) = (out / "runs").iterdir()
    return [(e.step, e.value) for e in EventAccumulator(str(folder)).Reload().Scalars("train/scores/mrcr/official")]


class Watcher(TrainerCallback):
    """Stands for a watcher: it scores the checkpoint of step 2 while step 4 is trained."""

    def __init__(self, scores: Path) -> None:
        self.scores = scores

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            write(self.scores, 0, 0.25)
            write(self.scores, 2, 0.5)
            write(self.scores, 2, 0.0, name="nobody", n=0)


def test_in_training_and_after_it_each_score_once_at_its_own_step(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student")
    packed = make_pack(tmp_path / "pack", [(s, [(20, [(15, 20)])]) for s in range(6)])
    recipe = make_recipe(student, save_every_steps=2, report_to=["tensorboard"], evaluate=EVALUATE)
    out, scores = tmp_path / "train", tmp_path / "evaluate" / SCORES
    assert acc.train.run(recipe, packed, out, [Watcher(scores)], scores=scores) == ExitCode.OK
    expected = [(0, {"mrcr/official": 0.25}), (2, {"mrcr/official": 0.5})]
    assert scored(out) == expected
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 0, 2, 5, 6], "logged as soon as they are seen"

    write(scores, 6, 0.75)
    acc.train.deliver(recipe, out, scores)
    acc.train.deliver(recipe, out, scores)
    assert scored(out) == [*expected, (6, {"mrcr/official": 0.75})]
    assert tensorboard(out) == [(0, 0.25), (2, 0.5), (6, 0.75)]


def test_scores_of_steps_that_are_to_be_trained_again_wait(tmp_path: Path) -> None:
    for step in (2, 4):
        write(tmp_path / SCORES, step, 0.5)
    (tmp_path / "log.jsonl").write_text('{"step": 2, "scores": {"mrcr/official": 0.5}}\n{"step": 3, "lo')
    assert undelivered(tmp_path, tmp_path / SCORES, upto=3) == {}
    assert undelivered(tmp_path, tmp_path / SCORES) == {4: {"mrcr/official": 0.5}}


def test_beside_a_watcher_a_checkpoint_stays_until_it_was_asked_everything(tmp_path: Path) -> None:
    student = make_student(tmp_path / "student")
    packed = make_pack(tmp_path / "pack", [(s, [(20, [(15, 20)])]) for s in range(4)])
    best = {"score": "mrcr/official"}
    recipe = make_recipe(student, save_every_steps=1, keep_weights=1, keep_checkpoints=1, best=best, evaluate=EVALUATE)
    out, scores = tmp_path / "train", tmp_path / "evaluate" / SCORES
    # Likelihoods measured in training are scores too, but not the ones that a checkpoint is kept for.
    for step in range(5):
        append_scores(scores, [Score(step, "held_out", "nll", 1.0, (0, 1), n=1)])
    assert acc.train.run(recipe, packed, out, scores=scores) == ExitCode.OK
    assert [f.name for f in checkpoint_folders(out)] == [f"checkpoint-{step}" for step in (1, 2, 3, 4)]
    for step, value in ((1, 0.5), (3, 0.25)):
        write(scores, step, value)
        mark_evaluated(scores.parent, step, "full", "key")
    acc.train.keep(recipe, out, scores)
    assert [f.name for f in checkpoint_folders(out)] == [f"checkpoint-{step}" for step in (1, 2, 4)]
    assert json.loads((out / "best.json").read_text())["step"] == 1
