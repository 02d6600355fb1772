"""One step is the float64 reference of its documents, each alone through the plain model: loss and every update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from training_material import documents_of_step, make_pack, make_recipe, make_student, read_log, weights
from transformers import AutoModelForCausalLM
from transformers.models.qwen3_moe import modeling_qwen3_moe

import acc.train
from acc.records.sequences import SequenceStore
from acc.train.batches import batch_of
from acc.train.loss import token_weights, total_weight
from acc.train.parallel import Sizes

ROWS = [
    (0, [(20, [(19, 20)]), (33, [(5, 31)])]),
    (0, [(40, [])]),
    (0, [(25, [(3, 5), (9, 20)]), (12, [(10, 12)])]),
]
"""Samples with 1, 26, 13 and 2 labelled tokens, and one without."""
LEARNING_RATE = 0.5


def plain_step(student: Path, packed: Path, reduction: str, folder: Path) -> float:
    """Take the step in float64 with SGD, save the weights to `folder`, and return the loss."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        student, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
    )
    losses = []
    for ids, spans in documents_of_step(packed, 0):
        tokens = torch.from_numpy(ids)
        if labelled := [i for start, end in spans for i in range(start, end)]:
            logits = model(input_ids=tokens[None], use_cache=False).logits[0]
            losses.append(F.cross_entropy(logits[torch.tensor(labelled) - 1], tokens[labelled], reduction="none"))
    loss = torch.cat(losses).mean() if reduction == "token" else torch.stack([x.mean() for x in losses]).mean()
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= LEARNING_RATE * (p.grad if p.grad is not None else 0)
    model.save_pretrained(folder)
    return loss.item()


@pytest.mark.parametrize("reduction", ["token", "sample"])
def test_loss_and_every_update_are_those_of_the_reference(tmp_path: Path, reduction: str) -> None:
    student, packed = make_student(tmp_path / "student"), make_pack(tmp_path / "pack", ROWS)
    settings = {"loss_reduction": reduction, "learning_rate": LEARNING_RATE, "max_grad_norm": 0.0}
    acc.train.run(make_recipe(student, **settings), packed, tmp_path / "out", optimizer="sgd")
    loss = plain_step(student, packed, reduction, tmp_path / "plain")
    line = read_log(tmp_path / "out")[0]
    assert line["loss"] == pytest.approx(loss, rel=1e-5)
    before, ours, plain = weights(student), weights(tmp_path / "out" / "checkpoint-1"), weights(tmp_path / "plain")
    for name, start in before.items():
        update = plain[name] - start
        assert (ours[name] - plain[name]).norm() <= 1e-4 * update.norm() + 1e-6, name
    assert line["labelled_tokens"] == 42
    assert line["samples_by_source"] == {"source0": 2, "source1": 2}
    assert line["labelled_by_source"] == {"source0": 3, "source1": 39}
    assert line["labelled_share"] == pytest.approx({"source0": 3 / 42, "source1": 39 / 42})
    mean = sum(
        line["loss_by_source"][s] * n
        for s, n in (line["labelled_by_source"] if reduction == "token" else line["samples_by_source"]).items()
    )
    assert mean / (42 if reduction == "token" else 4) == pytest.approx(loss, rel=1e-5)


def test_a_sample_weighs_one_however_it_is_cut(tmp_path: Path) -> None:
    store = SequenceStore(make_pack(tmp_path, ROWS))
    for sequence in (1, 2, 4):
        weight, total = torch.zeros(len(store), dtype=torch.float64), 0
        for rank in range(sequence):
            sizes = Sizes(world=sequence, rank=rank, local_rank=rank, local_world=sequence, sequence=sequence)
            batches = [batch_of(store[i], store.sources, sizes) for i in range(len(store))]
            total += total_weight(batches, "sample", sequence_rank=rank)
            for i, batch in enumerate(batches):
                assert not any(t.is_floating_point() for t in batch.values())
                everything = torch.arange(batch["targets"].shape[1])
                weight[i] += token_weights(batch, everything, "sample").double().sum()
        assert total == 4
        assert weight.tolist() == pytest.approx([2, 0, 2])


def test_a_student_that_wants_its_router_loss_does_not_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = make_student(tmp_path / "student", output_router_logits=True, router_aux_loss_coef=10.0)
    plain = make_student(tmp_path / "plain")
    packed = make_pack(tmp_path / "pack", ROWS)

    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("the load-balancing loss was computed")

    monkeypatch.setattr(modeling_qwen3_moe, "load_balancing_loss_func", called)
    for path, out in ((student, "out"), (plain, "same")):
        acc.train.run(make_recipe(path), packed, tmp_path / out)
    assert read_log(tmp_path / "out") == read_log(tmp_path / "same")
