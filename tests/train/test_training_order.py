"""The training order is a pure function of seed and step, and sizes that do not fit are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_material import make_pack, make_recipe, make_student

from acc.errors import UserError
from acc.records.sequences import SequenceStore
from acc.train.batches import StepLoader, batch_of
from acc.train.engine import arguments
from acc.train.parallel import Sizes, sizes_of
from acc.train.sampler import is_saved, make_sampler

GLOBAL = np.full(10, -1)


def sizes(world: int = 1, rank: int = 0, sequence: int = 1) -> Sizes:
    return Sizes(world=world, rank=rank, local_rank=rank, local_world=world, sequence=sequence)


def test_global_order_is_a_new_permutation_each_epoch_without_a_gap() -> None:
    sampler = make_sampler(3, GLOBAL, global_batch=4, epochs=2.0, max_steps=None)
    assert sampler.steps == 5
    seen = [i for step in range(5) for i in sampler(step)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_a_step_asked_alone_is_the_step_reached() -> None:
    walked = make_sampler(3, GLOBAL, global_batch=4, epochs=3.0, max_steps=None)
    order = [list(walked(step)) for step in range(walked.steps)]
    for step in reversed(range(walked.steps)):
        fresh = make_sampler(3, GLOBAL, global_batch=4, epochs=3.0, max_steps=None)
        assert list(fresh(step)) == order[step]
    assert list(make_sampler(4, GLOBAL, global_batch=4, epochs=3.0, max_steps=None)(0)) != order[0]


def test_max_steps_holds_whatever_the_epochs() -> None:
    assert make_sampler(0, GLOBAL, global_batch=4, epochs=1.0, max_steps=7).steps == 7


def test_planned_steps_are_followed() -> None:
    sampler = make_sampler(0, np.array([0, 0, 1, 1, 2, 2]), global_batch=99, epochs=9.0, max_steps=None)
    assert [list(sampler(s)) for s in range(sampler.steps)] == [[0, 1], [2, 3], [4, 5]]


def test_an_epoch_of_a_planned_run_is_its_share_of_the_steps() -> None:
    planned = np.arange(6)  # two passes, planned as six steps of one sequence
    assert make_sampler(0, planned, global_batch=1, epochs=2.0, max_steps=None).steps_per_epoch == 3
    assert make_sampler(0, planned, global_batch=1, epochs=2.0, max_steps=6).steps_per_epoch == 6


def test_steps_of_different_size_are_refused() -> None:
    with pytest.raises(UserError, match="between 1 and 2 sequences"):
        make_sampler(0, np.array([0, 0, 1]), global_batch=1, epochs=1.0, max_steps=None)


def test_every_sequence_goes_to_one_data_rank_and_all_of_its_sequence_ranks(tmp_path: Path) -> None:
    steps = [(s, [(10 + s + 2 * k, [(5, 8)])]) for s in range(2) for k in range(4)]
    store = SequenceStore(make_pack(tmp_path, steps))
    sampler = make_sampler(0, store.steps, global_batch=4, epochs=1.0, max_steps=None)
    read = {}
    for rank in range(4):
        loader = StepLoader(store, sampler, sizes(4, rank, 2))
        read[rank] = [int(b["tokens"]) for b in loader]
        loader.first_step = lambda: 1
        assert [int(b["tokens"]) for b in loader] == read[rank][2:]
    assert read[0] == read[1] == [10, 14, 11, 15]
    assert read[2] == read[3] == [12, 16, 13, 17]


def test_a_global_packs_step_is_shared_out_evenly_and_stays_the_same_step(tmp_path: Path) -> None:
    lengths = [90, 10, 80, 20, 70, 30, 60, 40]
    store = SequenceStore(make_pack(tmp_path, [(-1, [(n, [(1, 2)]), (5, [])]) for n in lengths]))
    assert store.costs.tolist() == [n * n + 25 for n in lengths]
    sampler = make_sampler(0, store.steps, global_batch=4, epochs=2.0, max_steps=None)
    loader = StepLoader(store, sampler, sizes(2))
    for step in range(sampler.steps):
        slots = list(loader.slots(step))
        assert sorted(slots) == sorted(sampler(step))
        slowest, mean = loader.waited(step)
        costs = store.costs[slots]
        assert (slowest, mean) == (costs[:2].max() + costs[2:].max(), costs.sum() / 2)
        # The two costliest share a micro-batch, and the costliest of each goes to another rank.
        assert sorted(costs[:2]) == sorted(costs)[2:]
        assert (costs[0] > costs[1]) != (costs[2] > costs[3])


def test_the_parts_of_a_sequence_are_the_sequence(tmp_path: Path) -> None:
    store = SequenceStore(make_pack(tmp_path, [(0, [(7, [(4, 7)]), (6, [(2, 6)])])]))
    whole = batch_of(store[0], store.sources, sizes())
    parts = [batch_of(store[0], store.sources, sizes(4, rank, 4)) for rank in range(4)]
    joined = {name: torch.cat([p[name] for p in parts], dim=1) for name in ("input_ids", "position_ids", "targets", "sources")}
    assert joined["input_ids"].shape == (1, 16)
    for name, tensor in joined.items():
        assert torch.equal(tensor[:, :13], whole[name]), name
    # The padding is a document of its own, and nothing in it is a target.
    assert joined["position_ids"][0].tolist() == [*range(7), *range(6), 0, 1, 2]
    assert all(p["bounds"].tolist() == [0, 7, 13, 16] for p in parts)
    assert (joined["targets"][0, 13:] == -100).all()
    # The label at a cut is predicted by the last position before it; the first token of a document by none.
    assert joined["targets"][0, :7].tolist() == [-100, -100, -100, *store[0].input_ids[4:7].tolist(), -100]
    assert joined["targets"][0, 7] == -100


@pytest.mark.parametrize(
    ("query", "key_value", "sequence", "fits"),
    [(32, 4, 8, True), (32, 4, 32, True), (32, 4, 2, True), (12, 4, 8, False), (12, 4, 6, False), (32, 4, 3, False)],
)
def test_heads_must_be_shared_evenly(query: int, key_value: int, sequence: int, fits: bool) -> None:
    given = sizes(sequence, 0, sequence)
    if fits:
        given.check_heads(query, key_value)
    else:
        with pytest.raises(UserError, match=r"parallel\.sequence"):
            given.check_heads(query, key_value)


def test_sequences_of_a_step_must_be_shared_evenly() -> None:
    assert sizes(8, 0, 2).accumulation(12) == 3
    with pytest.raises(UserError, match="6 sequences, which 4 data-parallel ranks"):
        sizes(8, 0, 2).accumulation(6)


def test_processes_must_be_a_multiple_of_parallel_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert sizes_of(3).data == 2
    with pytest.raises(UserError, match="6 processes can't be cut into groups of 4"):
        sizes_of(4)


@pytest.mark.parametrize(("sequences", "batch"), [(10, 3), (100, 6), (997, 16), (8, 4)])
def test_an_epoch_ends_with_the_step_in_which_its_last_sequence_is(sequences: int, batch: int) -> None:
    sampler = make_sampler(0, np.full(sequences, -1), global_batch=batch, epochs=6.0, max_steps=None)
    saved = [s for s in range(1, sampler.steps + 1) if is_saved(s, every=sampler.steps_per_epoch, steps=sampler.steps)]
    assert saved == [-(-epoch * sequences // batch) for epoch in range(1, 7)]


def test_one_process_is_one_gpu_whatever_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.training_args.TrainingArguments.n_gpu", property(lambda _: 8))
    recipe = make_recipe(make_student(tmp_path / "s"))
    how = {"attention": "sdpa", "accumulation": 1, "steps": 1, "optimizer": "adamw_torch"}
    assert arguments(recipe, sizes(), tmp_path / "out", **how)._n_gpu == 1
