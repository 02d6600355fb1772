"""The likelihood of answers by the model in training is that of the plain model; `test_training_processes` says so of several
processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from training_material import ASKED, Asking, make_pack, make_recipe, make_student, plain_likelihoods, read_log, weights
from transformers import AutoModelForCausalLM

import acc.train
from acc.train.likelihood import likelihoods
from acc.train.loss import prepare_head
from acc.train.parallel import Sizes

STEPS = [(s, [(20, [(15, 20)]), (31 + s, [(25, 31)])]) for s in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likelihood")
    make_student(folder / "student")
    make_pack(folder / "packed", STEPS)
    return folder


def measured(out: Path) -> list[list[float | None]]:
    return [json.loads(line) for line in out.with_suffix(".likelihood0.jsonl").read_text().splitlines()]


def test_it_is_the_plain_models_before_training_and_at_each_checkpoint(folder: Path) -> None:
    recipe, out = make_recipe(folder / "student", save_every_steps=2), folder / "asked"
    acc.train.run(recipe, folder / "packed", out, [Asking(out)])
    found = measured(out)
    assert len(found) == 3
    for values, checkpoint in zip(found, [folder / "student", out / "checkpoint-2", out / "checkpoint-3"], strict=True):
        expected = plain_likelihoods(AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval())
        assert values[-1] is None is expected[-1]
        assert values[:-1] == pytest.approx(expected[:-1], rel=1e-5)
    acc.train.run(recipe, folder / "packed", folder / "not-asked")
    assert read_log(out) == read_log(folder / "not-asked")
    a, b = (weights(path / "checkpoint-3") for path in (out, folder / "not-asked"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_adapters_dropout_is_off_and_draws_nothing(folder: Path) -> None:
    adapters = {"rank": 2, "dropout": 0.5, "targets": ["attention"]}
    recipe, out = make_recipe(folder / "student", lora=adapters, gradient_checkpointing=True), folder / "adapters"
    acc.train.run(recipe, folder / "packed", out, [Asking(out)])
    plain = AutoModelForCausalLM.from_pretrained(folder / "student", dtype=torch.float32)
    expected = plain_likelihoods(PeftModel.from_pretrained(plain, out / "checkpoint-3").eval())
    assert measured(out)[-1][:-1] == pytest.approx(expected[:-1], rel=1e-5)
    acc.train.run(recipe, folder / "packed", folder / "adapters-not-asked")
    assert read_log(out) == read_log(folder / "adapters-not-asked")


def test_the_head_runs_on_scored_positions_only(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder / "student", dtype=torch.float32, attn_implementation="eager")
    head = model.get_output_embeddings()
    prepare_head(head)
    seen: list[int] = []
    head.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    alone = Sizes(world=1, rank=0, local_rank=0, local_world=1, sequence=1)
    # One position is kept where nothing is scored.
    likelihoods(model, head, ASKED, alone, device=torch.device("cpu"))
    assert seen == [max(1, end - start) for _, _, (start, end) in ASKED]
    assert likelihoods(model, head, [], alone, device=torch.device("cpu")) == []
