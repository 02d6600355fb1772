"""What is evaluated next: the base first, then the newest, and all rows for the few that are quoted."""

from pathlib import Path

from acc.evaluate.plan import open_jobs
from acc.recipe.loading import recipe_from
from acc.records.evaluated import evaluation_key, mark_evaluated

CHECKPOINTS = {step: Path(f"train/checkpoint-{step}") for step in (10, 20, 30)}


def recipe(**evaluate):
    rows = [{"name": "mrcr", "synthetic": {}}]
    return recipe_from({"sources": [{"name": "s", "path": "x"}], "evaluate": {"benchmarks": rows, **evaluate}})


def order(asked, out, checkpoints=CHECKPOINTS, **state):
    """All jobs as a single watcher does them, one after the other."""
    found = []
    while jobs := open_jobs(asked, out, checkpoints, **state):
        found.append((jobs[0].step, jobs[0].rows))
        mark_evaluated(out, *found[-1], evaluation_key(asked))
    return found


def test_the_base_comes_first_then_the_newest(tmp_path):
    assert order(recipe(), tmp_path) == [(0, "full"), (30, "full"), (20, "full"), (10, "full")]
    assert order(recipe(), tmp_path, {40: Path("checkpoint-40"), **CHECKPOINTS}) == [(40, "full")]
    assert order(recipe(base=False), tmp_path / "b", {10: Path("c")}) == [(10, "full")]


def test_nothing_else_may_begin_before_the_base_is_there(tmp_path):
    assert [job.step for job in open_jobs(recipe(), tmp_path, CHECKPOINTS)] == [0]


def test_with_a_screen_all_rows_are_for_the_base_the_best_and_the_last(tmp_path):
    screen = [(0, "screen"), (30, "screen"), (20, "screen"), (10, "screen"), (0, "full")]
    asked = recipe(screen=5)
    assert order(asked, tmp_path) == screen
    assert order(asked, tmp_path, best=10) == [], "not before training is over"
    assert order(asked, tmp_path, over=True, best=10) == [(30, "full"), (10, "full")]
    assert order(asked, tmp_path / "b", over=True, best=30) == [*screen, (30, "full")]


def test_a_screen_of_held_out_questions_is_all_of_them(tmp_path):
    data = {"sources": [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}]}
    asked = recipe_from({**data, "evaluate": {"held_out": {}, "screen": 5}})
    assert {rows for _, rows in order(asked, tmp_path, over=True)} == {"full"}


def test_another_question_is_asked_anew_and_another_place_is_not(tmp_path):
    order(recipe(), tmp_path)
    assert order(recipe(where="watch", inline_share=0.5), tmp_path) == []
    assert len(order(recipe(sampling={"temperature": 0.5}), tmp_path)) == 4
