"""Checkpoints: usable in the recipe's type, the best one named and kept, old ones dropped, none taken for whole that is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_material import make_pack, make_recipe, make_student, read_log, weights
from transformers import AutoModelForCausalLM, TrainerCallback

import acc.train
from acc.errors import ExitCode, UserError
from acc.recipe import Recipe
from acc.records.markers import checkpoint_folders, read_marker
from acc.records.scores import Score, append_scores
from acc.train.disk import check_disk
from acc.train.half_weights import MASTER, WEIGHTS

STEPS = [(s, d) for s in range(4) for d in ([(20, [(15, 20)]), (31 + s, [(25, 31)])], [(12, [])])]
EVALUATE = {"benchmarks": [{"name": "mrcr", "synthetic": {}}]}


class Scored(TrainerCallback):
    """An evaluation in training: gives each checkpoint, and the base, the scores of a table."""

    def __init__(self, table: dict[int, dict[str, float]]) -> None:
        self.table = table

    def attach(self, log: Any, likelihood: Any) -> None:
        self.log = log

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.on_save(args, state, control)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step in self.table:
            self.log(self.table[state.global_step])


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"), STEPS)


@pytest.fixture(scope="module")
def whole(student: Path, packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps with all its checkpoints, to copy."""
    out = tmp_path_factory.mktemp("whole")
    assert acc.train.run(make_recipe(student, save_every_steps=1), packed, out) == ExitCode.OK
    return out


def recipe_of(student: Path, evaluate: bool = True, **train: Any) -> Recipe:
    sections = {"evaluate": EVALUATE} if evaluate else {}
    return make_recipe(student, save_every_steps=1, keep_checkpoints=1, **sections, **train)


def kept(out: Path) -> list[int]:
    assert all(read_marker(f) for f in checkpoint_folders(out))
    return [int(f.name.partition("-")[2]) for f in checkpoint_folders(out)]


def score_file(path: Path, values: dict[int, float], name: str = "held_out") -> Path:
    append_scores(path, [Score(step, name, "exact", value, (0, 1), n=1) for step, value in values.items()])
    return path


def test_half_precision_is_saved_to_use_and_goes_on_exactly(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, model={"dtype": "bfloat16"}, save_every_steps=2, keep_checkpoints=1)

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert acc.train.run(recipe, packed, whole) == ExitCode.OK
    assert acc.train.run(recipe, packed, stopped, [Stop()]) == ExitCode.REQUEUE
    assert acc.train.run(recipe, packed, stopped) == ExitCode.OK
    assert read_log(stopped) == read_log(whole)
    last = whole / "checkpoint-4"
    masters = load_file(last / MASTER / WEIGHTS), load_file(stopped / "checkpoint-4" / MASTER / WEIGHTS)
    assert all(torch.equal(masters[0][name], masters[1][name]) for name in masters[0])
    assert {t.dtype for t in weights(last).values()} == {torch.bfloat16}
    assert json.loads((last / "config.json").read_text())["dtype"] == "bfloat16"
    model, info = AutoModelForCausalLM.from_pretrained(last, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert all(torch.equal(p, masters[0][n].bfloat16()) for n, p in model.named_parameters())
    assert set(weights(last)) == set(weights(student))
    # vLLM loads all of them.
    assert [p.name for p in last.glob("*.safetensors")] == ["model.safetensors"]
    assert {"generation_config.json", "tokenizer.json", "chat_template.jinja"} <= {p.name for p in last.iterdir()}
    # What has no state to go on from has no float32 weights either.
    assert not (whole / "checkpoint-2" / MASTER).exists() and weights(whole / "checkpoint-2")


def test_the_best_checkpoint_is_named_and_stays(student: Path, packed: Path, tmp_path: Path) -> None:
    best = {"score": "mrcr/official"}
    table = {step: {"mrcr/official": value} for step, value in enumerate((0.9, 0.2, 0.5, 0.5, 0.1))}
    recipe = recipe_of(student, best=best, keep_weights=1)
    assert acc.train.run(recipe, packed, tmp_path, [Scored(table)]) == ExitCode.OK
    assert json.loads((tmp_path / "best.json").read_text()) == {"step": 2, "score": "mrcr/official", "value": 0.5}
    assert kept(tmp_path) == [2, 4]
    assert weights(tmp_path / "checkpoint-2") and not (tmp_path / "checkpoint-2" / "optimizer.pt").exists()


def test_lower_may_be_better_and_later_scores_choose_anew(student: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    recipe = recipe_of(student, best={"score": "held_out/exact", "better": "lower"}, keep_weights=2)
    scores = score_file(tmp_path / "scores.jsonl", {0: 0.1, 1: 0.3, 2: 0.4, 4: 0.5})
    acc.train.keep(recipe, tmp_path, scores)
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 1
    assert kept(tmp_path) == [1, 3, 4]
    acc.train.keep(recipe, tmp_path, score_file(scores, {3: 0.2}))
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 3
    assert kept(tmp_path) == [3, 4]


def test_what_is_not_evaluated_stays_where_the_recipe_evaluates(student: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "a")
    scores = score_file(tmp_path / "scores.jsonl", {1: 0.3, 3: 0.4})
    acc.train.keep(recipe_of(student, keep_weights=1), tmp_path / "a", scores)
    assert kept(tmp_path / "a") == [2, 4]
    shutil.copytree(whole, tmp_path / "b")
    acc.train.keep(recipe_of(student, evaluate=False, keep_weights=1), tmp_path / "b", scores)
    assert kept(tmp_path / "b") == [4]


def test_without_a_bound_all_weights_stay(student: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    acc.train.keep(recipe_of(student), tmp_path, score_file(tmp_path / "scores.jsonl", {1: 1, 2: 1, 3: 1, 4: 1}))
    assert kept(tmp_path) == [1, 2, 3, 4]


def test_an_unknown_score_is_refused_at_the_first_evaluation(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = recipe_of(student, best={"score": "mrcr/oficial"})
    with pytest.raises(UserError, match=r"no evaluation gives the score 'mrcr/oficial'\. Take one of mrcr/official"):
        acc.train.run(recipe, packed, tmp_path, [Scored({0: {"mrcr/official": 0.1}})])
    assert kept(tmp_path) == []


def test_a_step_without_the_score_is_never_the_best(student: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    scores = score_file(tmp_path / "scores.jsonl", {0: 9.0, 2: float("nan"), 3: 0.1})
    score_file(scores, {1: 5.0}, name="other")
    acc.train.keep(recipe_of(student, best={"score": "held_out/exact"}), tmp_path, scores)
    assert json.loads((tmp_path / "best.json").read_text()) == {"step": 3, "score": "held_out/exact", "value": 0.1}


def test_a_difference_to_the_base_is_no_unknown_score_at_the_base(student: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    recipe = recipe_of(student, best={"score": "held_out/exact_minus_base"})
    acc.train.keep(recipe, tmp_path, score_file(tmp_path / "scores.jsonl", {0: 0.3}))
    assert not (tmp_path / "best.json").exists()
    with pytest.raises(UserError, match="no evaluation gives the score 'held_out/exact_minus_base'"):
        acc.train.keep(recipe, tmp_path, score_file(tmp_path / "scores.jsonl", {1: 0.3}))


def test_killed_while_it_writes_or_drops_leaves_nothing_that_looks_whole(
    student: Path, whole: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    recipe = recipe_of(student, best={"score": "held_out/exact"}, keep_weights=1)
    scores = score_file(tmp_path / "scores.jsonl", {1: 0.3, 2: 0.4})
    acc.train.keep(recipe, tmp_path, scores)
    before = (tmp_path / "best.json").read_text()

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as m, pytest.raises(Killed):
        m.setattr(Path, "replace", killed)
        acc.train.keep(recipe, tmp_path, score_file(scores, {3: 0.5}))
    assert (tmp_path / "best.json").read_text() == before
    with monkeypatch.context() as m, pytest.raises(Killed):
        m.setattr(shutil, "rmtree", killed)
        acc.train.keep(recipe, tmp_path, scores)
    # best.json names the newer one, whose weights are there; the folder that was being dropped is no checkpoint.
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 3
    assert [f.name for f in checkpoint_folders(tmp_path) if read_marker(f) is None] == ["checkpoint-2"]


def test_less_may_be_kept_by_a_run_that_goes_on(student: Path, packed: Path) -> None:
    less = recipe_of(student, keep_weights=1, report_to=["trackio"])
    assert acc.train.train_key(less, packed) == acc.train.train_key(recipe_of(student, evaluate=False), packed)
    assert acc.train.train_key(recipe_of(student, learning_rate=0.5), packed) != acc.train.train_key(less, packed)


@pytest.mark.parametrize(
    "train, weights_of, states_of",
    [({}, 10, 2), ({"keep_weights": 3}, 4, 2), ({"keep_weights": 3, "best": {"score": "x"}}, 5, 2)],
)
def test_room_is_asked_for_the_whole_run(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Any, weights_of: int, states_of: int
) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    need = weights_of * 4_000_000 + states_of * 12_000_000
    for free in (need, need - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: shutil._ntuple_diskusage(1, 1, free))
        if free == need:
            check_disk(recipe_of(student, **train), model, tmp_path, saves=10)
        else:
            with pytest.raises(UserError, match=r"the run's 10 checkpoints need about 0\.\d GB .* train\.keep_weights"):
                check_disk(recipe_of(student, **train), model, tmp_path, saves=10)


def test_recipes_that_can_not_be_kept_are_refused(student: Path) -> None:
    with pytest.raises(UserError, match=r"train\.keep_weights \(1\) is below train\.keep_checkpoints \(2\)"):
        make_recipe(student, keep_weights=1)
    with pytest.raises(UserError, match=r"train\.best chooses by an evaluation's score"):
        make_recipe(student, best={"score": "x"})
