"""Two processes train as one does: the loss is right however it is split, and a killed run goes on as if it had not been."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from training_material import (
    documents_of_step,
    launch,
    make_pack,
    make_recipe,
    make_student,
    plain_likelihoods,
    read_log,
    reference,
    weights,
)
from transformers import AutoModelForCausalLM

import acc.train
from acc.records.markers import checkpoint_folders, read_marker

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

TAIL = [(s, [(24, []), (33 + s, [(33 + s - 6, 33 + s)])]) for s in range(4) for _ in range(2)]
"""Labels at the very end of each sequence: under sequence parallelism only the last process has any."""
MIXED = [
    (s, d)
    for s in range(4)
    for d in ([(20, [(15, 20)]), (31, [(25, 31)])], [(57 + s, [(3, 9)])], [(40, [])], [(12, [(1, 12)])])
]
"""Sequences of one step with 11, 6, no and 11 labels, and lengths that need padding."""
SP2 = {"parallel": {"sequence": 2}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case, in one process and in two; one launch of two processes runs many cases, and a second one resumes."""
    folder = tmp_path_factory.mktemp("runs")
    student = make_student(folder / "student")
    packs = {"tail": make_pack(folder / "tail", TAIL), "mixed": make_pack(folder / "mixed", MIXED)}

    def case(name: str, pack: str, **more: Any) -> dict[str, Any]:
        return {"student": str(student), "packed": str(packs[pack]), "out": str(folder / name), **more}

    for pack, path in packs.items():
        acc.train.run(make_recipe(student), path, folder / f"one-{pack}-adamw")
    sgd = {"learning_rate": 0.5, "max_grad_norm": 0.5}
    acc.train.run(make_recipe(student, **sgd), packs["mixed"], folder / "one-mixed-sgd", optimizer="sgd")
    per_sample = {**sgd, "loss_reduction": "sample"}
    acc.train.run(make_recipe(student, **per_sample), packs["mixed"], folder / "one-sample", optimizer="sgd")
    adapters = {**SP2, "lora": {"rank": 2, "targets": ["attention", "experts", "router"]}, "save_every_steps": 2}
    skipping = {**SP2, **sgd, "guard": {"not_a_number": "skip"}, "save_every_steps": 1, "max_steps": 3}
    saving = {**SP2, "save_every_steps": 2, "keep_checkpoints": 1}
    first = [
        *(case(f"sp-{pack}-adamw", pack, recipe=SP2, asks=True) for pack in packs),
        case("dp-mixed-sgd", "mixed", recipe=sgd, optimizer="sgd", asks=True),
        case("sp-sample", "mixed", recipe={**SP2, **per_sample}, optimizer="sgd"),
        case("adapters", "tail", recipe=adapters, asks=True),
        case("adapters-stopped", "tail", recipe=adapters, terminate_at=3),
        case("offloaded", "tail", recipe={"parallel": {"sequence": 2, "offload": ["optimizer", "parameters"]}}),
        case("poisoned", "mixed", recipe=skipping, optimizer="sgd", poison_at=2),
        case("recomputed", "tail", recipe={**SP2, "gradient_checkpointing": True}),
        case("half", "tail", recipe={**SP2, "model": {"path": str(student), "dtype": "bfloat16"}, "max_steps": 1}),
        case("leaking", "tail", recipe=SP2, leaks=True),
        case("apart", "tail", recipe=SP2, apart=True),
        case("uninterrupted", "mixed", recipe=saving),
        case("told-to-stop", "mixed", recipe={**SP2, "max_steps": 2}, terminate_at=1),
        case("killed", "mixed", recipe=saving, kill_at=4),
    ]
    assert launch(2, first, folder) == [-signal.SIGKILL] * 2
    second = [case("killed", "mixed", recipe=saving), case("adapters-stopped", "tail", recipe=adapters)]
    assert launch(2, second, folder) == [0, 0]
    return folder


@pytest.mark.parametrize("pack", ["tail", "mixed"])
def test_sequence_parallel_is_one_process(runs: Path, pack: str) -> None:
    """With AdamW, in the checkpoints; `test_parity` compares more, with SGD."""
    same(runs / f"one-{pack}-adamw", runs / f"sp-{pack}-adamw", runs / "student")


def test_samples_weigh_the_same_however_they_are_split(runs: Path) -> None:
    """Some have their labelled tokens on both sides of a cut."""
    same(runs / "one-sample", runs / "sp-sample", runs / "student")
    assert read_log(runs / "one-sample")[0]["loss"] != pytest.approx(read_log(runs / "one-mixed-sgd")[0]["loss"], rel=1e-3)


def test_data_parallel_is_one_process(runs: Path) -> None:
    same(runs / "one-mixed-sgd", runs / "dp-mixed-sgd", runs / "student")


def test_processes_with_different_recipes_or_packs_are_told(runs: Path) -> None:
    """As when a node reads what an earlier launch left."""
    assert "the processes of this launch have different recipes or packs" in (runs / "apart.code").read_text()
    assert not (runs / "apart" / "log.jsonl").is_file()


def test_recomputed_activations_change_nothing(runs: Path) -> None:
    same(runs / "one-tail-adamw", runs / "recomputed", runs / "student")


@pytest.mark.parametrize("pack", ["tail", "mixed"])
def test_first_step_is_the_plain_loss_of_separate_documents(runs: Path, pack: str) -> None:
    loss, norm = reference(runs / "student", documents_of_step(runs / pack, 0))
    for name in (f"one-{pack}-adamw", f"sp-{pack}-adamw"):
        line = read_log(runs / name)[0]
        assert line["loss"] == pytest.approx(loss, rel=1e-5)
        assert line["grad_norm"] == pytest.approx(norm, rel=1e-4)


def test_killed_run_goes_on_as_if_it_had_not_been(runs: Path) -> None:
    assert read_log(runs / "killed") == read_log(runs / "uninterrupted")
    a, b = (weights(runs / name / "checkpoint-4") for name in ("killed", "uninterrupted"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_told_to_stop_saves_at_the_end_of_the_step_and_asks_to_be_started_again(runs: Path) -> None:
    assert (runs / "told-to-stop.code").read_text() == "75"
    marker = read_marker(runs / "told-to-stop" / "checkpoint-1")
    assert marker is not None and not marker.scheduled
    assert all(m.scheduled for f in checkpoint_folders(runs / "uninterrupted") if (m := read_marker(f)))


def test_attention_that_lets_documents_see_their_neighbours_is_refused_by_all(runs: Path) -> None:
    assert "packed into one sequence" in (runs / "leaking.code").read_text()
    assert not list((runs / "leaking").glob("checkpoint-*"))


def test_adapters_are_saved_alone(runs: Path) -> None:
    saved = {p.name for p in (runs / "adapters" / "checkpoint-4").iterdir()}
    assert "adapter_model.safetensors" in saved
    assert "model.safetensors" not in saved


def test_adapters_told_to_stop_go_on_as_if_they_had_not_been(runs: Path) -> None:
    assert read_log(runs / "adapters-stopped") == read_log(runs / "adapters")
    a, b = (load_file(runs / n / "checkpoint-4" / "adapter_model.safetensors") for n in ("adapters", "adapters-stopped"))
    assert {"experts", "gate.", "q_proj"} <= {part for part in ("experts", "gate.", "q_proj") for name in a if part in name}
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_state_in_the_hosts_memory_changes_nothing(runs: Path) -> None:
    same(runs / "one-tail-adamw", runs / "offloaded", runs / "student")


def test_a_step_that_goes_wrong_on_one_process_is_skipped_by_all(runs: Path) -> None:
    one, two, three = (weights(runs / "poisoned" / f"checkpoint-{step}") for step in (1, 2, 3))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(two[name], three[name]) for name in two)
    lines = read_log(runs / "poisoned")
    assert [line["skipped"] for line in lines] == [0, 1, 1]
    assert lines[1]["loss"] is None and lines[2]["loss"] > 0


def test_half_precision_is_saved_as_it_is_read(runs: Path) -> None:
    saved = runs / "half" / "checkpoint-1"
    assert {name: t.shape for name, t in weights(saved).items()} == {n: t.shape for n, t in weights(runs / "student").items()}
    assert {t.dtype for t in weights(saved).values()} == {torch.bfloat16}
    assert json.loads((saved / "config.json").read_text())["dtype"] == "bfloat16"
    assert {"generation_config.json", "tokenizer.json", "chat_template.jinja"} <= {p.name for p in saved.iterdir()}


def test_expert_load_is_counted_over_all_processes(runs: Path) -> None:
    for one, split in (
        ("one-tail-adamw", "sp-tail-adamw"),
        ("one-mixed-sgd", "dp-mixed-sgd"),
        ("one-tail-adamw", "recomputed"),
    ):
        counted = [(runs / name / "experts.jsonl").read_text().splitlines()[0] for name in (one, split)]
        assert json.loads(counted[0])["step"] == 1
        assert counted[0] == counted[1]


@pytest.mark.parametrize("name", ["sp-tail-adamw", "dp-mixed-sgd", "adapters"])
def test_likelihoods_beside_the_training_are_those_of_the_plain_model(runs: Path, name: str) -> None:
    """That the training went on as it would have without them, the other tests say of the same runs."""
    first, second = ((runs / f"{name}.likelihood{rank}.jsonl").read_text() for rank in (0, 1))
    assert first == second
    measured = [json.loads(line) for line in first.splitlines()]
    checkpoints = sorted(runs.glob(f"{name}/checkpoint-*"), key=lambda p: int(p.name.partition("-")[2]))
    assert len(measured) == 1 + len(checkpoints) > 1
    for found, folder in zip(measured, [runs / "student", *checkpoints], strict=True):
        model = AutoModelForCausalLM.from_pretrained(runs / "student", dtype=torch.float32)
        if (folder / "adapter_config.json").is_file():
            model = PeftModel.from_pretrained(model, folder)
        elif folder != runs / "student":
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        expected = plain_likelihoods(model.eval())
        assert found[-1] is None is expected[-1]
        assert found[:-1] == pytest.approx(expected[:-1], rel=1e-5)


def same(one: Path, other: Path, student: Path) -> None:
    """Loss, gradient norm and the change of every weight agree (relative 1e-3, float32)."""
    for a, b in zip(read_log(one), read_log(other), strict=True):
        assert a["labelled_by_source"] == b["labelled_by_source"]
        assert (a["tokens"], a["samples"]) == (b["tokens"], b["samples"])
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
        for source, loss in a["loss_by_source"].items():
            assert b["loss_by_source"][source] == pytest.approx(loss, rel=1e-3)
    start, a, b = weights(student), weights(one / "checkpoint-4"), weights(other / "checkpoint-4")
    for name in start:
        change = a[name] - start[name]
        assert (b[name] - a[name]).norm() <= 1e-3 * change.norm() + 1e-7, name
