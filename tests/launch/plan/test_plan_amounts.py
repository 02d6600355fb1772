"""How much the plan says there is: samples that fit, checkpoints that are kept, ranks that work, questions that are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from acc.launch.plan import Plan, gpus_of, plan_of
from acc.launch.plan.figures import Figure
from acc.recipe import load_recipe
from acc.recipe.loading import recipe_from
from acc.records.sequences import SequenceWriter
from acc.stage.manifest import Manifest

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
RELEASED = 3_369 + 4_368 + 3_065


def planned(name: str, *overrides: str, runs: Path, gpus: str = "8xH100", nodes: int = 2, samples: int | None = None) -> Plan:
    return plan_of(load_recipe(RECIPES / f"{name}.yaml", list(overrides)), gpus_of(gpus, nodes), runs=runs, samples=samples)


def named(figures: list[Figure], name: str) -> Figure:
    (found,) = (f for f in figures if f.name == name)
    return found


def test_all_released_rows_are_counted_where_their_middle_ones_fit(tmp_path: Path) -> None:
    plan = planned("qwen3_30b_acc", runs=tmp_path)
    assert plan.extent.samples == RELEASED
    assert "half" not in plan.extent.why


def test_of_released_rows_whose_middle_one_is_too_long_at_most_half_are_counted(tmp_path: Path) -> None:
    plan = planned("qwen3_4b_single_gpu", gpus="1xH100", nodes=1, runs=tmp_path)
    assert plan.extent.samples == 3_369 // 2 + 4_368 // 2 + 3_065 // 2
    assert plan.extent.steps == 1_350
    assert plan.extent.step_tokens == 16 * 32_768
    assert plan.extent.squares <= 32_768**2
    steps = named(plan.training, "steps")
    assert steps.tag == "assumed"
    assert f"at most half of {RELEASED:,} rows fit 32,768 tokens" in steps.why


def test_only_the_sources_that_are_too_long_are_halved(tmp_path: Path) -> None:
    plan = planned("qwen3_30b_acc", "compile.budget_tokens=60000", runs=tmp_path)
    assert plan.extent.samples == 3_369 // 2 + 4_368 + 3_065
    assert "half of 3,369 rows fit 60,000" in plan.extent.why


def test_windows_save_no_released_row_for_these_are_never_cut(tmp_path: Path) -> None:
    plan = planned("qwen3_30b_acc", "compile.over_long=window", "compile.budget_tokens=32768", runs=tmp_path)
    assert plan.extent.samples == 5_400


def test_the_first_records_of_a_source_may_all_be_short(tmp_path: Path) -> None:
    cut = [f"sources.{i}.max_records=1000" for i in range(3)]
    assert planned("qwen3_4b_single_gpu", *cut, gpus="1xH100", nodes=1, runs=tmp_path).extent.samples == 3_000


def test_samples_that_are_given_are_not_halved(tmp_path: Path) -> None:
    plan = planned("qwen3_4b_single_gpu", gpus="1xH100", nodes=1, samples=1_600, runs=tmp_path)
    assert plan.extent.steps == 400
    assert "half" not in plan.extent.why


def test_an_unknown_number_of_checkpoints_takes_what_so_many_as_are_kept_take(tmp_path: Path) -> None:
    unknown = named(planned("mix_with_chat", runs=tmp_path).disk, "checkpoints at most")
    known = named(planned("mix_with_chat", samples=30_802, runs=tmp_path).disk, "checkpoints at most")
    assert unknown.value == known.value
    assert unknown.value / 1e9 == pytest.approx(1_527, abs=1)
    assert "weights kept of 6, state of 2" in unknown.why


def test_where_all_of_an_unknown_number_are_kept_the_disk_of_one_is_called_that(tmp_path: Path) -> None:
    plan = planned("mix_with_chat", "train.keep_weights=null", runs=tmp_path)
    assert "checkpoints at most" not in {f.name for f in plan.disk}
    one = named(plan.disk, "one checkpoint on disk")
    assert one.value / 1e9 == pytest.approx(427, abs=1)
    assert "not known" in one.why


def test_what_is_left_out_is_said_with_the_way_to_have_it(tmp_path: Path) -> None:
    plan = planned("qwen3_30b_acc_own_logs", runs=tmp_path)
    assert any("hours to the end" in note and "--samples" in note for note in plan.notes)
    assert "all evaluations" not in {f.name for f in plan.evaluation}
    assert "as if there were 1 checkpoint" in named(plan.evaluation, "evaluations, at least").why


def test_more_ranks_than_samples_of_a_step_save_no_time(tmp_path: Path) -> None:
    few, enough, many = (planned("qwen3_30b_acc", nodes=nodes, runs=tmp_path) for nodes in (8, 16, 32))
    assert few.speed.seconds == pytest.approx(2 * enough.speed.seconds, rel=0.01)
    assert many.speed.seconds == pytest.approx(enough.speed.seconds, rel=0.01)
    assert named(many.training, "cost").value == pytest.approx(2 * named(enough.training, "cost").value, rel=0.01)
    assert many.extent.step_tokens == pytest.approx(enough.extent.step_tokens)
    assert "a step has 16 samples for 32 data-parallel ranks: 16 or more of them work on nothing" in many.notes
    assert not any("work on nothing" in note for note in enough.notes)


def test_a_packed_step_keeps_its_tokens_on_more_ranks(tmp_path: Path) -> None:
    recipe = recipe_from(
        {
            "name": "tiny",
            "sources": [{"name": "logs", "path": "logs"}],
            "compile": {"budget_tokens": 64, "target_reserve_tokens": 8},
            "pack": {"length": 64, "scope": "step"},
            "train": {"global_batch": 2},
        }
    )
    packed = tmp_path / "tiny" / "pack"
    writer = SequenceWriter(packed)
    rows = []
    for step in range(3):
        documents = [
            writer.add(list(range(n)), sample_id=f"{step}-{n}", source="logs", target="acc", label_spans=[(n - 4, n)])
            for n in (20, 30)
        ]
        rows.append((step, 0, documents))
    writer.close(rows)
    counts = {"tokens": 150, "labelled_tokens": 24, "drawn": 6, "sequences": 3, "sequences_per_step": 1, "steps": 3}
    Manifest(stage="pack", key="k", seed=0, counts=counts).write(packed)
    one, two, four = (plan_of(recipe, gpus_of("1xL4", nodes), runs=tmp_path) for nodes in (1, 2, 4))
    assert one.extent.step_tokens == two.extent.step_tokens == four.extent.step_tokens == 50
    assert [p.extent.busiest(p.setting.data) * p.extent.tokens for p in (one, two, four)] == [50, 25, 25]
    assert any("2 samples for 4 data-parallel ranks" in note for note in four.notes)


def hours(*overrides: str, runs: Path, samples: int = 10_802) -> float:
    return named(planned("qwen3_30b_acc", *overrides, samples=samples, runs=runs).evaluation, "all evaluations").value


def test_every_checkpoint_costs_its_screen(tmp_path: Path) -> None:
    told = named(planned("qwen3_30b_acc", runs=tmp_path).evaluation, "all evaluations")
    # Of 14 checkpoints and the base two are asked all; three answers to 96 rows of two benchmarks.
    assert told.why.startswith("2 evaluations of all rows, 13 of the screen alone (576 rows)")
    none = hours(runs=tmp_path, samples=16)  # four steps, one checkpoint: the last, which is asked all
    assert none < told.value
    assert hours("evaluate.screen=192", runs=tmp_path) - told.value == pytest.approx(told.value - none)


def test_a_screen_asks_no_more_rows_than_there_are(tmp_path: Path) -> None:
    every_row = hours("evaluate.screen=null", runs=tmp_path)
    assert hours("evaluate.screen=5000", runs=tmp_path) == pytest.approx(every_row)
    assert hours(runs=tmp_path) < every_row / 2


def test_held_out_questions_are_asked_of_every_checkpoint_and_general_tasks_of_a_few(tmp_path: Path) -> None:
    plain = hours(runs=tmp_path)
    few = hours(runs=tmp_path, samples=16)
    task = "evaluate.general={tasks: [{task: ifeval}]}"
    assert hours(task, runs=tmp_path) - plain == pytest.approx(hours(task, runs=tmp_path, samples=16) - few)
    source = [*(f"sources.{i}.split=train" for i in range(2)), "sources.2.split=held_out"]
    held = [*source, "evaluate.held_out={limit: 128}"]
    assert hours(*held, runs=tmp_path) - plain == pytest.approx(7.5 * (hours(*held, runs=tmp_path, samples=16) - few))


def test_prompts_are_no_longer_than_the_longest_that_is_asked(tmp_path: Path) -> None:
    plan = planned("qwen3_4b_single_gpu", gpus="1xH100", nodes=1, runs=tmp_path)
    read = named(plan.evaluation, "read for a checkpoint")
    mrcr = 3 * 200 * 0.75 * (8_192 + 16_384 + 32_768)
    assert read.value == pytest.approx(mrcr + 3 * 750 * 32_768)
    assert "over max_prompt_tokens are skipped" in read.why


def test_bins_of_mrcr_beyond_the_longest_prompt_are_not_asked(tmp_path: Path) -> None:
    asked = "evaluate.benchmarks=[{name: mrcr, max_prompt_tokens: 20000}]"
    read = named(planned("qwen3_30b_acc", asked, runs=tmp_path).evaluation, "read for a checkpoint")
    assert read.why.startswith("1,800 rows at most")  # three answers to 200 rows of the bins up to 8K, 16K and 32K
