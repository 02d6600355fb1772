"""Training sees the sources as the recipe mixes them, and every target trains by one line of the recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from training_material import read_log

import acc.pack
import acc.train
from acc.records.sequences import SequenceStore
from acc.stage.manifest import read_manifest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from proofs.mixture import (
    TARGETS,
    UNITS,
    WEIGHTS,
    compiled,
    deviations,
    mixed_recipe,
    seen,
    tiny_student,
    trained,
)  # a script, not a package


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def samples(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(student, tmp_path_factory.mktemp("compiled"), trajectories=6)


@pytest.mark.parametrize("unit", UNITS)
def test_the_log_shows_each_source_with_its_weight(student: Path, samples: Path, tmp_path: Path, unit: str) -> None:
    lines = trained(student, samples, tmp_path, WEIGHTS, unit=unit, max_steps=4, global_batch=12)
    assert max(deviations(lines, WEIGHTS, unit)) <= 1 / 4
    manifest = read_manifest(tmp_path / "pack")
    assert manifest is not None
    for counted in UNITS:
        total = sum(seen(lines, counted).values())
        for source, found in manifest.counts["sources"].items():
            assert found["share_of"][counted] == pytest.approx(seen(lines, counted)[source] / total, abs=1e-6)


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("source", TARGETS)
def test_every_target_trains_with_its_own_labels(student: Path, samples: Path, tmp_path: Path, source: str, lora: bool) -> None:
    weights = {name: float(name == source) for name in TARGETS}
    sections = {"lora": {"rank": 2, "targets": ["attention", "experts"]}} if lora else {}
    recipe = mixed_recipe(student, weights, train={"max_steps": 1, "global_batch": 4}, **sections)
    acc.pack.run(recipe, samples, tmp_path / "pack", workers=1)
    acc.train.run(recipe, tmp_path / "pack", tmp_path / "train")
    [line] = read_log(tmp_path / "train")
    store = SequenceStore(tmp_path / "pack")
    documents = [d for i in range(len(store)) for d in store[i].documents if d.sample_id]
    assert {d.target for d in documents} == {TARGETS[source]}
    assert line["labelled_by_source"] == {source: sum(end - start for d in documents for start, end in d.label_spans)}
    assert line["samples"] == len(documents) == 4
    turns = {len(d.label_spans) for d in documents}
    assert turns == {1} if TARGETS[source] in ("acc", "answer_only") else min(turns) > 1
    assert line["grad_norm"] > 0
    manifest = read_manifest(tmp_path / "train")
    assert manifest is not None
    assert (manifest.counts["trainable_parameters"] < manifest.counts["parameters"] / 4) == lora
