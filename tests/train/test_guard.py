"""A step that goes wrong is left out, by all processes and in all that it would have changed, or ends training."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_material import make_pack, make_recipe, make_student, weights
from transformers import TrainerCallback

import acc.train
from acc.errors import ExitCode, UserError
from acc.recipe.training import Guard as Settings
from acc.stage.manifest import read_manifest
from acc.train.guard import Guard

STEPS = [(s, d) for s in range(4) for d in ([(20, [(15, 20)]), (31 + s, [(25, 31)])], [(12, [(6, 12)])])]
SCHEDULE = {"schedule": "linear", "global_batch": 2}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"), STEPS)


class At(TrainerCallback):
    """In one step, either something happens to the embeddings of its first micro-batch, or its gradients are taken away."""

    def __init__(self, step: int, embeddings: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        self.step, self.change = step, embeddings

    def once(self, output: torch.Tensor) -> torch.Tensor:
        self.hook.remove()
        assert self.change is not None
        return self.change(output)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self.step and self.change:
            embeddings = kwargs["model"].get_input_embeddings()
            self.hook = embeddings.register_forward_hook(lambda module, inputs, output: self.once(output))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self.step and not self.change:
            for parameter in kwargs["model"].parameters():
                parameter.grad = None


def broken(output: torch.Tensor) -> torch.Tensor:
    return output * torch.nan


def steep(output: torch.Tensor) -> torch.Tensor:
    """The same numbers, but a gradient ten thousand times as large."""
    output.register_hook(lambda gradient: gradient * 1e4)
    return output


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("wrong", "guard"),
    [(broken, {"not_a_number": "skip"}), (steep, {"spike": "skip", "window": 2})],
    ids=["not-a-number", "spike"],
)
def test_a_skipped_step_changes_nothing_but_the_step(
    student: Path, packed: Path, tmp_path: Path, wrong: Callable[[torch.Tensor], torch.Tensor], guard: dict[str, Any]
) -> None:
    skipping, without = tmp_path / "skipping", tmp_path / "without"
    assert acc.train.run(make_recipe(student, guard=guard, **SCHEDULE), packed, skipping, [At(3, wrong)]) == ExitCode.OK
    assert acc.train.run(make_recipe(student, **SCHEDULE), packed, without, [At(3)]) == ExitCode.OK
    a, b = weights(skipping / "checkpoint-4"), weights(without / "checkpoint-4")
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert any(not torch.equal(b[name], old) for name, old in weights(student).items())
    log = lines(skipping)
    assert [line["skipped"] for line in log] == [0, 0, 1, 1]
    assert [line["learning_rate"] for line in log] == [line["learning_rate"] for line in lines(without)]
    assert log[3]["loss"] == lines(without)[3]["loss"]
    manifest = read_manifest(skipping)
    assert manifest is not None and manifest.counts["skipped_steps"] == 1


def test_what_is_not_a_number_is_null_in_the_log(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, guard={"not_a_number": "skip"})
    acc.train.run(recipe, packed, tmp_path, [At(2, broken)])
    assert [line["loss"] is None for line in lines(tmp_path)] == [False, True, False, False]
    assert [line["grad_norm"] is None for line in lines(tmp_path)] == [False, True, False, False]


def test_a_line_over_several_steps_has_the_mean_loss_of_those_that_have_one(
    student: Path, packed: Path, tmp_path: Path
) -> None:
    each, pairs = tmp_path / "each", tmp_path / "pairs"
    guard = {"not_a_number": "skip"}
    acc.train.run(make_recipe(student, guard=guard), packed, each, [At(3, broken)])
    acc.train.run(make_recipe(student, guard=guard, log_every_steps=2), packed, pairs, [At(3, broken)])
    losses = {line["step"]: line["loss"] for line in lines(each)}
    last = lines(pairs)[-1]
    assert (last["step"], last["skipped"]) == (4, 1)
    assert last["loss"] == pytest.approx(losses[4])


def test_a_spike_stops_training_where_the_recipe_says_so(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, guard={"spike": "stop", "window": 2}, save_every_steps=2)
    with pytest.raises(UserError, match=r"grad_norm is .*, \d+.\d times its median at step 3.*last checkpoint"):
        acc.train.run(recipe, packed, tmp_path, [At(3, steep)])
    assert (tmp_path / "checkpoint-2" / "acc_checkpoint.json").is_file()


def test_a_run_that_stopped_goes_on_with_another_guard(student: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="loss is nan at step 3"):
        acc.train.run(make_recipe(student, save_every_steps=2), packed, tmp_path, [At(3, broken)])
    recipe = make_recipe(student, save_every_steps=2, guard={"not_a_number": "skip"})
    assert acc.train.run(recipe, packed, tmp_path, [At(4, broken)]) == ExitCode.OK
    assert [line["skipped"] for line in lines(tmp_path)] == [0, 0, 0, 1]


def test_too_many_skipped_steps_end_training_also_over_a_restart(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, guard={"not_a_number": "skip", "max_skipped": 1})

    def broken_and_told_to_stop(output: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return broken(output)

    asked = At(2, broken_and_told_to_stop)
    assert acc.train.run(recipe, packed, tmp_path, [asked]) == ExitCode.REQUEUE
    with pytest.raises(UserError, match=r"loss is nan at step 4, after 1 steps were skipped already"):
        acc.train.run(recipe, packed, tmp_path, [At(4, broken)])


def test_the_median_is_of_the_steps_taken_and_known_after_a_window(tmp_path: Path) -> None:
    settings = Settings(spike="skip", spike_factor=2.0, window=3)
    device = torch.device("cpu")
    guard = Guard(settings, world=1, device=device, resumed=None)
    assert [guard.decide(norm, i) for i, norm in enumerate([1.0, 9.0, 1.5])] == [True] * 3
    assert [guard.decide(norm, 3) for norm in (3.1, 2.9, 100.0)] == [False, True, False]
    guard.save(tmp_path)
    again = Guard(settings, world=1, device=device, resumed=tmp_path)
    assert again.skipped == 2
    assert [again.decide(norm, 4) for norm in (5.9, 5.7, 11.5)] == [False, True, False]
