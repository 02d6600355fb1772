"""The expert load of the log is the routing that the plain model does."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training_material import documents_of_step, make_pack, make_recipe, make_student, read_log
from transformers import AutoModelForCausalLM, TrainerCallback

import acc.train
from acc.errors import ExitCode
from acc.train.expert_load import load

STEPS = [(s, d) for s in range(4) for d in ([(20, [(15, 20)]), (31 + s, [(25, 31)])], [(12, []), (9, [(3, 5)])])]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pack"), STEPS)


def routed(student: Path, packed: Path, step: int) -> list[list[int]]:
    """(token, expert) pairs [layers][experts] of a step's samples, from the plain model's router logits."""
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32, attn_implementation="eager")
    counts = torch.zeros(2, 4, dtype=torch.int64)
    for ids, spans in documents_of_step(packed, step):
        if spans:
            found = model(input_ids=torch.from_numpy(ids)[None], use_cache=False, output_router_logits=True).router_logits
            for layer, logits in enumerate(found):
                counts[layer] += torch.bincount(logits.topk(2).indices.flatten(), minlength=4)
    return [list(map(int, row)) for row in counts.tolist()]


def read_counts(out: Path) -> dict[int, list[list[int]]]:
    return {line["step"]: line["counts"] for line in map(json.loads, (out / "experts.jsonl").read_text().splitlines())}


@pytest.mark.parametrize("more", [{}, {"gradient_checkpointing": True}, {"lora": {"targets": ["experts", "router"]}}])
def test_counts_are_the_routing_of_the_plain_model(student: Path, packed: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    assert acc.train.run(make_recipe(student, max_steps=1, **more), packed, tmp_path) == ExitCode.OK
    counts = routed(student, packed, 0)
    assert read_counts(tmp_path) == {1: counts}
    line = read_log(tmp_path)[0]["experts"]
    for layer, row in enumerate(counts):
        shares = [n / sum(row) for n in row]
        assert line[f"{layer}/max_share"] == pytest.approx(max(shares))
        assert line[f"{layer}/entropy"] == pytest.approx(-sum(p * math.log(p, 4) for p in shares if p))
        assert line[f"{layer}/dead"] == row.count(0)


def test_the_first_each_nth_and_the_last_step_are_counted(student: Path, packed: Path, tmp_path: Path) -> None:
    recipe = make_recipe(student, moe={"log_every_steps": 3}, log_every_steps=100)
    assert acc.train.run(recipe, packed, tmp_path) == ExitCode.OK
    assert list(read_counts(tmp_path)) == [1, 3, 4]
    assert [line["step"] for line in read_log(tmp_path) if "experts" in line] == [1, 3, 4]


def test_nothing_is_counted_where_the_recipe_says_so_or_there_are_no_experts(
    student: Path, packed: Path, tmp_path: Path
) -> None:
    assert acc.train.run(make_recipe(student, moe={"log_every_steps": None}), packed, tmp_path) == ExitCode.OK
    assert not (tmp_path / "experts.jsonl").exists()
    assert all("experts" not in line for line in read_log(tmp_path))


def test_a_resumed_run_counts_each_step_once(student: Path, packed: Path, tmp_path: Path) -> None:
    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    recipe = make_recipe(student, moe={"log_every_steps": 1})
    assert acc.train.run(recipe, packed, tmp_path / "whole") == ExitCode.OK
    assert acc.train.run(recipe, packed, tmp_path / "stopped", [Stop()]) == ExitCode.REQUEUE
    with (tmp_path / "stopped" / "experts.jsonl").open("a") as f:
        f.write('{"step": 3, "counts": [[1,')
    assert acc.train.run(recipe, packed, tmp_path / "stopped") == ExitCode.OK
    assert read_counts(tmp_path / "stopped") == read_counts(tmp_path / "whole")


def test_load_of_even_and_of_idle_experts() -> None:
    assert load([5, 5, 5, 5]) == {"max_share": 0.25, "entropy": pytest.approx(1), "dead": 0}
    assert load([0, 9, 0, 0]) == {"max_share": 1, "entropy": 0, "dead": 3}
    assert load([0, 0]) == {"max_share": 0, "entropy": 0, "dead": 2}
