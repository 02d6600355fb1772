"""What a run's compiled and packed samples say beside its recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checked import check, machine

from acc.cli import main
from acc.errors import ExitCode
from acc.launch.check.finding import Finding
from acc.recipe.loading import recipe_from
from acc.stage.manifest import Manifest
from acc.train import train_key

RECIPE: dict[str, Any] = {
    "name": "r",
    "sources": [
        {"name": "wiki", "synth": {"search": 12, "seed": 3}},
        {"name": "tables", "synth": {"database": 8, "seed": 4}, "weight": 0.5},
    ],
    "compile": {"budget_tokens": 2048, "target_reserve_tokens": 256, "workers": 1},
    "pack": {"length": 4096},
    "train": {"max_steps": 10, "global_batch": 2, "save_every_steps": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose run r is packed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    assert main(["run", str(folder / "r.yaml"), "--runs", str(folder / "runs"), "--until", "pack"]) == ExitCode.OK
    return folder


def manifest(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "runs" / "r" / stage / "manifest.json").read_text())
    return found


@pytest.fixture
def with_manifest(run: Path) -> Any:
    """Change a stage's manifest for one test."""
    kept: dict[Path, str] = {}

    def change(stage: str, edit: Callable[[dict[str, Any]], object]) -> None:
        path = run / "runs" / "r" / stage / "manifest.json"
        kept[path] = path.read_text()
        data = json.loads(kept[path])
        edit(data)
        path.write_text(json.dumps(data))

    yield change
    for path, text in kept.items():
        path.write_text(text)


def said(found: list[Finding], *words: str) -> list[Finding]:
    return [f for f in found if all(word in str(f) for word in words)]


def test_steps_shares_and_lengths_are_those_of_the_pack(run: Path) -> None:
    found = check(run, RECIPE)
    counts = manifest(run, "pack")["counts"]
    assert not [f for f in found if f.level != "note"], found
    longest = f"{counts['longest_document']:,} tokens"
    assert said(found, "10 steps of 2 samples", f"{counts['sequences_per_step']} sequences", "3 checkpoints", longest)
    for name, source in counts["sources"].items():
        share = source["share_of"]["labelled_tokens"]
        assert said(found, f"source {name!r}: {source['samples']:,} samples", f"{share:.1%} of the labelled tokens")
    assert not said(found, "not compiled yet") and not said(found, "another recipe")


def test_before_compile_it_says_that_nothing_is_known(tmp_path: Path) -> None:
    assert said(check(tmp_path, RECIPE), "not compiled yet", "acc run RECIPE --until pack")


def test_samples_of_another_recipe_are_said_to_be(run: Path) -> None:
    other = RECIPE | {"compile": RECIPE["compile"] | {"shuffle": False}, "train": RECIPE["train"] | {"global_batch": 1}}
    found = check(run, other)
    assert said(found, "compile are of another recipe", "compile changed") and said(
        found, "pack are of another", "train changed"
    )


def test_samples_that_do_not_fit_are_counted(run: Path, with_manifest: Any) -> None:
    def reject(data: dict[str, Any]) -> None:
        data["rejected"], data["records"] = {"over_length": 100}, data["records"] + 100

    with_manifest("pack", reject)
    (found,) = said(check(run, RECIPE), "longer than pack.length (4,096)")
    assert found.level == "warning" and found.what.startswith("100 of ")


def test_a_source_without_samples_is_an_error_with_its_reasons(run: Path, with_manifest: Any) -> None:
    def empty(data: dict[str, Any]) -> None:
        data["counts"]["sources"]["tables"] |= {"written": 0, "rejected": {"failed_run": 8}}

    with_manifest("compile", empty)
    (found,) = said(check(run, RECIPE), "no sample came of", "'tables'", "8 failed_run")
    assert found.level == "error"


def test_a_source_that_hardly_counts_is_a_warning(run: Path, with_manifest: Any) -> None:
    def fewer(data: dict[str, Any]) -> None:
        data["counts"]["sources"]["tables"]["share_of"]["labelled_tokens"] = 0.002

    with_manifest("pack", fewer)
    assert [f.level for f in said(check(run, RECIPE), "'tables'", "0.20% of the labelled tokens", "weights_in")] == ["warning"]


def test_processes_that_cannot_share_the_packed_steps_are_refused(run: Path) -> None:
    per_step = manifest(run, "pack")["counts"]["sequences_per_step"]
    started = machine(environment={"RANK": "0", "WORLD_SIZE": str(per_step + 1)})
    found = said(check(run, RECIPE, started), f"a packed step has {per_step} sequences", "can't share evenly")
    assert [f.level for f in found] == ["error"]


def test_a_warm_up_longer_than_the_planned_epochs_is_a_warning(run: Path) -> None:
    train = {"epochs": 1.0, "global_batch": 2, "warmup_steps": 500}
    assert [f.level for f in said(check(run, RECIPE | {"train": train}), "its peak is never reached")] == ["warning"]


def test_a_damaged_manifest_is_a_finding(run: Path) -> None:
    path = run / "runs" / "r" / "compile" / "manifest.json"
    kept = path.read_text()
    path.write_text("{")
    try:
        assert [f.level for f in said(check(run, RECIPE), "this manifest cannot be read")] == ["error"]
    finally:
        path.write_text(kept)


INLINE: dict[str, Any] = RECIPE | {"evaluate": {"benchmarks": [{"name": "mrcr", "synthetic": {"rows": 6, "tokens": 300}}]}}
OVER = "of the training's time"


def test_evaluation_that_acc_run_would_refuse_as_too_much_is_refused_in_its_words(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    (found,) = said(check(run, INLINE), OVER, "evaluate.inline_share")
    (run / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    assert {path for path in run.rglob("*") if before.get(path) != path.stat().st_mtime_ns} <= {run, run / "r.yaml"}
    assert found.level == "error"

    copied = shutil.copytree(run, tmp_path / "copy")
    (copied / "r.yaml").write_text(yaml.safe_dump(INLINE))
    assert main(["run", str(copied / "r.yaml"), "--runs", str(copied / "runs")]) == ExitCode.USER
    assert found.what in capsys.readouterr().err


def test_evaluation_within_its_share_elsewhere_or_of_a_training_that_is_over_is_left_in_peace(run: Path) -> None:
    def evaluated(**changes: Any) -> dict[str, Any]:
        return INLINE | {"evaluate": INLINE["evaluate"] | changes}

    assert not said(check(run, evaluated(inline_share=1000.0)), OVER)
    assert not said(check(run, evaluated(where="job")), OVER)
    train = run / "runs" / "r" / "train"
    Manifest(stage="train", key=train_key(recipe_from(INLINE), run / "runs" / "r" / "pack"), seed=0).write(train)
    try:
        assert not said(check(run, INLINE), OVER)
    finally:
        shutil.rmtree(train)


def test_of_samples_that_will_be_compiled_anew_the_share_is_a_warning(run: Path) -> None:
    other = INLINE | {"compile": RECIPE["compile"] | {"shuffle": False}}
    assert [f.level for f in said(check(run, other), OVER)] == ["warning"]


def test_questions_too_many_to_encode_in_a_check_are_said_to_be_left_out(run: Path) -> None:
    many = {"benchmarks": [{"name": "mrcr", "synthetic": {"rows": 10_000, "tokens": 1_000}}]}
    (found,) = said(check(run, RECIPE | {"evaluate": many}), "was not estimated with all rows of the benchmarks")
    assert found.level == "note"
