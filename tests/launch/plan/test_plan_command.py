"""`acc plan`: what it prints and refuses, and that it needs neither torch nor the network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acc.cli import main
from acc.errors import ExitCode, UserError
from acc.launch.plan import gpus_of, plan_of
from acc.launch.plan.architecture import architecture_from, architecture_of
from acc.launch.plan.suggest import alternatives
from acc.recipe import load_recipe
from acc.recipe.loading import recipe_from
from acc.records.sequences import SequenceWriter
from acc.stage.manifest import Manifest

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
PAPER = str(RECIPES / "qwen3_30b_acc.yaml")
TINY = {
    "name": "tiny",
    "sources": [{"name": "logs", "path": "logs"}],
    "compile": {"budget_tokens": 64, "target_reserve_tokens": 8},
    "pack": {"length": 64},
}


def plan(*words: str, runs: Path) -> int:
    return main(["plan", *words, "--runs", str(runs)])


def test_the_paper_on_eight_gpus(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert plan(PAPER, "--gpus", "8xH100", runs=tmp_path) == ExitCode.OK
    shown = capsys.readouterr().out
    for words in ("45.80 GB  computed", "less than a tenth is free", "1 data × 8 sequence", "assumed"):
        assert words in shown
    assert "this plan is for 1 × 8" in shown


def test_what_does_not_fit_ends_with_its_own_code_and_a_table_of_what_would(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert plan(PAPER, "--gpus", "8xA100-40GB", runs=tmp_path) == ExitCode.FINDINGS
    shown = capsys.readouterr().out
    assert "DOES NOT FIT" in shown
    assert "parallel.offload: [optimizer]" in shown
    assert "--nodes 4" in shown


def test_alternatives_fit_and_the_nearest_come_first(tmp_path: Path) -> None:
    found = alternatives(plan_of(load_recipe(PAPER), gpus_of("8xA100 40GB"), runs=tmp_path), runs=tmp_path)
    assert found
    assert all(x.plan.fits for x in found)
    assert [len(x.changes) for x in found] == sorted(len(x.changes) for x in found)


def test_a_lora_is_suggested_where_nothing_else_fits_one_gpu(tmp_path: Path) -> None:
    recipe = load_recipe(PAPER, ["parallel.sequence=1", "pack.length=32768", "compile.budget_tokens=32768"])
    found = alternatives(plan_of(recipe, gpus_of("1xH200"), runs=tmp_path), runs=tmp_path, most=100)
    assert any(c.startswith("lora") for x in found for c in x.changes)


def test_as_json_every_number_has_a_tag(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert plan(PAPER, "--gpus", "8xH100", "--nodes", "2", "--json", runs=tmp_path) == ExitCode.OK
    data = json.loads(capsys.readouterr().out)
    figures = [*data["memory"]["states"], *data["memory"]["fixed"], *data["traffic"], *data["training"], *data["disk"]]
    assert {f["tag"] for f in figures} <= {"measured", "computed", "assumed"}
    assert data["fits"] is True
    assert data["sizes"] == {"world": 16, "data": 2, "sequence": 8}
    assert data["peak_bytes"] == pytest.approx(
        sum(f["value"] for f in [*data["memory"]["states"], *data["memory"]["fixed"]])
        + max(m["total"] for m in data["memory"]["moments"])
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "8xH101"], "Did you mean H100"),
        (["--gpus", "eight"], "as 8xH100"),
        (["--gpus", "0xH100"], "as 8xH100"),
        (["--gpus", "8xH100", "--nodes", "0"], "can't be 0 nodes"),
        (["--gpus", "6xH100"], "can't be cut into groups of 8"),
        (["--gpus", "3xH100", "--set", "parallel.sequence=3"], "not divisible by parallel.sequence"),
        (["--gpus", "5xH100", "--set", "parallel.sequence=5", "--set", "pack.length=131075"], "can't be shared by 5"),
        (["--gpus", "8xH100", "--set", "model.path=nobody/nothing"], "are not on this machine"),
        (["--gpus", "8xH100", "--samples", "0"], "can't be a training on 0 samples"),
        (["--gpus", "8xH100", "--samples", "-5"], "can't be a training on -5 samples"),
    ],
)
def test_mistakes_are_sentences(words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert plan(PAPER, *words, runs=tmp_path) == ExitCode.USER
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind", "gigabytes"),
    [
        ("8xH100", "H100", 85),
        ("8 x h100-sxm5", "H100", 85),
        ("8xNVIDIA H100 80GB HBM3", "H100", 85),
        ("4xA100-80GB", "A100", 85),
        ("4xA100-40GB", "A100 40GB", 42),
        ("1xH200", "H200", 150),
        ("2×L40S", "L40S", 48),
    ],
)
def test_gpus_are_known_by_the_names_people_give_them(words: str, kind: str, gigabytes: float) -> None:
    found = gpus_of(words)
    assert found.kind == kind
    assert found.memory / 1e9 == pytest.approx(gigabytes, abs=1)


def test_the_embedded_student_is_read_from_its_own_config() -> None:
    student = architecture_of(recipe_from(TINY))
    assert (student.experts, student.chosen, student.layers, student.tied) == (4, 2, 3, True)
    assert student.total == 1_116_736


def test_a_model_that_is_not_trained_is_refused() -> None:
    with pytest.raises(UserError, match="mamba models are none that acc trains"):
        architecture_from({"model_type": "mamba"}, name="x")
    with pytest.raises(UserError, match="has no hidden_size"):
        architecture_from({"model_type": "llama", "num_attention_heads": 4}, name="x")


def test_a_pack_is_counted_not_guessed(tmp_path: Path) -> None:
    writer = SequenceWriter(tmp_path / "tiny" / "pack")
    rows = []
    for step in range(4):
        numbers = [
            writer.add(list(range(n)), sample_id=f"{step}-{n}", source="logs", target="acc", label_spans=[(n - 4, n)])
            for n in (20, 30)
        ]
        rows.append((step, 0, numbers))
    writer.close(rows)
    counts = {"tokens": 200, "labelled_tokens": 32, "drawn": 8, "sequences": 4, "sequences_per_step": 1, "steps": 4}
    Manifest(stage="pack", key="k", seed=0, counts=counts).write(tmp_path / "tiny" / "pack")
    found = plan_of(recipe_from(TINY), gpus_of("1xL4"), runs=tmp_path).extent
    assert (found.tag, found.steps, found.samples, found.tokens, found.labelled) == ("measured", 4, 8, 50.0, 8.0)
    assert found.squares == 20**2 + 30**2
    assert found.longest == 30


def test_where_sources_must_be_read_first_the_hours_are_left_out_and_samples_can_be_given(tmp_path: Path) -> None:
    unknown = plan_of(recipe_from(TINY), gpus_of("1xL4"), runs=tmp_path)
    assert unknown.extent.steps is None
    assert "to the end" not in {f.name for f in unknown.training}
    assert any("left out" in note and "--samples" in note for note in unknown.notes)
    given = plan_of(recipe_from(TINY), gpus_of("1xL4"), runs=tmp_path, samples=160)
    assert given.extent.steps == 10
    assert "to the end" in {f.name for f in given.training}
    assert not any("left out" in note for note in given.notes)


def test_evaluation_and_teacher_are_told(tmp_path: Path) -> None:
    recipe = load_recipe(
        PAPER,
        [
            "evaluate.preset=acc_paper",
            "rationale.kind=teacher",
            "rationale.teacher.base_url=http://localhost:8000/v1",
            "rationale.teacher.model=big",
        ],
    )
    names = {f.name: f for f in plan_of(recipe, gpus_of("8xH100", 2), runs=tmp_path).evaluation}
    assert names["read for a checkpoint"].why == "5,250 rows"  # three answers to 1,000 rows of MRCR and 750 of GraphWalks
    assert names["all evaluations"].value > 0
    assert names["teacher reads"].value > 10_802 * 50_000


def test_planning_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom acc.cli import main\n"
        f"main(['plan', {PAPER!r}, '--gpus', '8xH100', '--runs', {str(tmp_path)!r}])\n"
        "print([m for m in ('torch', 'transformers', 'deepspeed') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1] == "[]", run.stdout + run.stderr
