"""The plan reproduces the arithmetic of Qwen3-30B-A3B, and published speeds within a third."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acc.launch.plan import Plan, gpus_of, plan_of
from acc.launch.plan.activations import checkpoints
from acc.launch.plan.architecture import KNOWN, architecture_from
from acc.launch.plan.evaluation import cache_bytes
from acc.launch.plan.extent import Extent
from acc.launch.plan.memory import Rows, saved
from acc.launch.plan.setting import Setting, trained
from acc.launch.plan.speed import speed_of, traffic_of
from acc.launch.plan.states import device_states, host_states
from acc.recipe import load_recipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
STUDENT = architecture_from(KNOWN["Qwen/Qwen3-30B-A3B-Thinking-2507"], name="Qwen3-30B-A3B")
SMALL = architecture_from(KNOWN["Qwen/Qwen3-4B-Thinking-2507"], name="Qwen3-4B")
FULL = Setting(
    world=8,
    sequence=8,
    zero3=True,
    half=True,
    at_once=True,
    checkpointing=True,
    adapted=(),
    rank=0,
    router=True,
    offload=frozenset(),
)


def planned(nodes: int, tmp_path: Path, name: str = "qwen3_30b_acc") -> Plan:
    return plan_of(load_recipe(RECIPES / f"{name}.yaml"), gpus_of("8xH100", nodes), runs=tmp_path)


def test_parameters_are_those_of_the_model_cards() -> None:
    assert STUDENT.total == 30_532_122_624
    assert STUDENT.met / 1e9 == pytest.approx(2.73, abs=0.005)
    assert STUDENT.parameters["head"] / 1e9 == pytest.approx(0.31, abs=0.005)
    assert SMALL.total == 4_022_468_096


@pytest.mark.parametrize(("nodes", "gigabytes"), [(1, 61.0), (2, 30.5), (4, 15.3)])
def test_zero3_states_of_a_gpu(nodes: int, gigabytes: float, tmp_path: Path) -> None:
    states = sum(f.value for f in planned(nodes, tmp_path).memory.states)
    assert states / 1e9 == pytest.approx(gigabytes, rel=0.005)


def test_all_states_together_take_489_gb() -> None:
    assert sum(f.value for f in device_states(STUDENT, replace(FULL, world=1, sequence=1))) / 1e9 == pytest.approx(489, abs=1)


def test_a_checkpointed_token_takes_197_kb() -> None:
    assert checkpoints(STUDENT, FULL) / 1e3 == pytest.approx(197, abs=0.5)
    kept = saved(STUDENT, FULL, Rows(131_072, 0))[0]
    assert kept.value / 1e9 == pytest.approx(3.2, abs=0.05)


def test_zero3_sends_183_gb_a_micro_step() -> None:
    alone = replace(FULL, sequence=1)
    assert traffic_of(STUDENT, alone, 16_384).zero3 / 1e9 == pytest.approx(183, abs=1)


def test_under_sequence_parallelism_gradients_are_reduced_in_float32() -> None:
    more = traffic_of(STUDENT, FULL, 131_072).gradients / traffic_of(STUDENT, replace(FULL, sequence=1), 131_072).gradients
    assert more == 2


def test_a_token_of_the_cache_takes_96_kib() -> None:
    assert cache_bytes(STUDENT, 2) == 96 * 1024
    assert cache_bytes(STUDENT, 2) * 131_072 / 1e9 == pytest.approx(12.9, abs=0.05)


def test_checkpoints_take_61_gb_and_about_430_with_the_optimizer(tmp_path: Path) -> None:
    weights, whole, *_ = planned(2, tmp_path).disk
    assert weights.value / 1e9 == pytest.approx(61, abs=0.1)
    assert whole.value / 1e9 == pytest.approx(430, rel=0.01)


@pytest.mark.parametrize(
    ("gpus", "length", "lora", "found"),
    [("8xH200", 16_384, False, 4_378), ("8xH100", 16_384, True, 4_137), ("8xH100", 65_536, True, 2_924)],
)
def test_planned_speed_is_near_what_others_published(gpus: str, length: int, lora: bool, found: float) -> None:
    setting = replace(FULL, sequence=1, adapted=("attention",) if lora else (), rank=16)
    extent = Extent("assumed", "", 8, 1, 1, 8, 8, float(length), float(length) ** 2, 100.0, length, 100)
    assert speed_of(STUDENT, setting, gpus_of(gpus), extent).tokens / 8 == pytest.approx(found, rel=0.3)


def test_offloading_moves_states_to_the_host() -> None:
    away = replace(FULL, offload=frozenset({"optimizer"}))
    assert {f.name for f in device_states(STUDENT, away)} == {"weights"}
    (moved,) = host_states(STUDENT, away, 8)
    assert moved.value == STUDENT.total * (4 + 4 + 4 + 4 + 2)
    assert device_states(STUDENT, replace(away, offload=frozenset({"optimizer", "parameters"}))) == []


def test_a_frozen_router_has_no_gradient_and_no_moments() -> None:
    frozen = replace(FULL, router=False)
    assert trained(STUDENT, FULL) - trained(STUDENT, frozen) == 48 * 128 * 2048
