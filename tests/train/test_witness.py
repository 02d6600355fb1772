"""The first step shows that training runs as asked; if it does not in any process, all of them stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_material import make_pack, make_recipe, make_student
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import acc.train
from acc.records.sequences import SequenceStore
from acc.train import witness
from acc.train.attention import choose_attention
from acc.train.batches import Batch, StepLoader, batch_of
from acc.train.parallel import Sizes
from acc.train.sampler import make_sampler
from acc.train.witness import Witness, attention_lengths, attention_problem

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    documents = [(20, [(15, 20)]), (12, [(4, 6)]), (9, [])]
    return make_pack(tmp_path_factory.mktemp("pack"), [(step, documents) for step in range(2) for _ in range(2)])


def watching(student: Path, packed: Path, sequence: int = 1) -> tuple[Any, Witness, list[Batch]]:
    """A model, its witness, and the micro-batches of the first step of the first of `sequence` processes."""
    recipe, store = make_recipe(student), SequenceStore(packed)
    sizes = Sizes(world=sequence, rank=0, local_rank=0, local_world=sequence, sequence=sequence)
    loader = StepLoader(store, make_sampler(0, store.steps, global_batch=2, epochs=1, max_steps=None), sizes)
    model = AutoModelForCausalLM.from_pretrained(student, attn_implementation=choose_attention("auto"))
    batches = [batch_of(store[i], store.sources, sizes) for i in (0, 1)]
    return model, Witness(recipe, model, loader, CPU), batches


def forward(model: Any, batch: Batch) -> None:
    model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False)


def test_the_first_step_is_printed_once(
    student: Path, packed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    acc.train.run(make_recipe(student), packed, tmp_path / "out")
    out = capsys.readouterr().out
    assert out.count("seen in 1 data × 1 sequence processes") == 1
    assert "documents_sdpa" in out
    assert "2, each on 41 of 41 positions" in out
    assert "2 sequences, 4 samples, 82 tokens, 14 of them labelled" in out
    assert "give packed what each gives alone" in out


def test_a_step_without_all_its_sequences_is_refused(student: Path, packed: Path) -> None:
    _, seen, batches = watching(student, packed)
    with pytest.raises(RuntimeError, match="step 1 has 1 sequences instead of 2"):
        seen.step(batches[:1], 0)


def test_another_process_that_sees_something_else_stops_this_one(
    student: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen, batches = watching(student, packed)
    seen.step(batches, 0)
    monkeypatch.setattr(witness, "reduce_sum", lambda flag: flag + 1)
    with pytest.raises(RuntimeError, match="another process"), seen.forward(batches[0]):
        forward(model, batches[0])


def test_a_layer_that_did_not_run_is_refused(student: Path, packed: Path) -> None:
    model, seen, batches = watching(student, packed)
    del model.model.layers[1]
    with pytest.raises(RuntimeError, match=r"2 layers, not on \[41\]"), seen.forward(batches[0]):
        forward(model, batches[0])


def test_a_sequence_that_is_not_split_is_refused(student: Path, packed: Path) -> None:
    _, seen, batches = watching(student, packed, sequence=2)
    assert batches[0]["input_ids"].shape[1] * 2 == int(batches[0]["bounds"][-1]) == 42
    whole = {**batches[0], "input_ids": torch.zeros(1, 42, dtype=torch.long)}
    with pytest.raises(RuntimeError, match="42 positions in each of 2 processes are not the 42"), seen.forward(whole):
        pass


def test_attention_that_ulysses_does_not_wrap_is_refused(student: Path, packed: Path) -> None:
    model, _, batches = watching(student, packed)
    with attention_lengths(model.config) as lengths:
        forward(model, batches[0])
    assert attention_problem(model.config, lengths, 41, 1) == ""
    assert "not wrapped by Ulysses" in attention_problem(model.config, lengths, 41, 2)
    assert ALL_ATTENTION_FUNCTIONS["documents_sdpa"].__name__ == "documents_sdpa"


def test_experts_that_zero3_would_gather_one_by_one_are_refused(student: Path, packed: Path) -> None:
    model, seen, batches = watching(student, packed)
    for parameter in model.parameters():
        parameter.ds_id = 0
    with pytest.raises(RuntimeError, match="gathers 0 of 2 blocks"), seen.forward(batches[0]):
        forward(model, batches[0])
