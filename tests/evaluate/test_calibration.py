"""The paper's protocol on small rows of the official layout: every number lands in its cell, beside the published one."""

import json

import pytest

from acc.evaluate import bins
from acc.evaluate.calibration import NOT_MEASURED, OTHER_KINDS, calibrate, calibration_lines, published_name
from acc.evaluate.questions import Answer
from acc.evaluate.runner import run
from acc.recipe import recipe_from
from acc.records.published import ACC, BASE, LARGER
from acc.records.scores import Score, read_scores

BASE_ID, ACC_ID = "Qwen/Qwen3-30B-A3B-Thinking-2507", "groundhogLLM/ACC-Qwen3-30B-A3B"


def mrcr_row(name, needles, words=5):
    messages = [{"role": "user", "content": f"{name} " + "w " * words}]
    return {"prompt": json.dumps(messages), "answer": "hash the text", "random_string_to_prepend": "hash", "n_needles": needles}


def graph_row(name, kind):
    return {"prompt": f"{name} graph", "answer_nodes": ["a", "b"], "problem_type": kind}


RIGHT, WRONG = "hash the text", "the text"
BOTH, ONE_WRONG, NONE = "Final Answer: [a, b]", "Final Answer: [a, b, c, d]", "Final Answer: []"
SAID = {
    "m1": [RIGHT, RIGHT, RIGHT], "m2": [RIGHT, WRONG, RIGHT], "m3": [WRONG, WRONG, WRONG], "m4": [WRONG, WRONG, RIGHT],
    "g1": [BOTH, ONE_WRONG, NONE], "g2": [BOTH, BOTH, BOTH], "g3": [ONE_WRONG, ONE_WRONG, BOTH],
}  # fmt: skip
"""Row → what the base says in its three samples. The ACC checkpoint is always right."""


class Scripted:
    """Knows every answer; `asked` are those that it was asked for."""

    window, scores_targets = 10**9, False

    def __init__(self, name):
        self.fingerprint, self.asked = name, []

    def answer(self, questions):
        for question in questions:
            row = question.messages[-1]["content"].split()[0]
            self.asked.append(row)
            right = RIGHT if row.startswith("m") else BOTH
            said = SAID[row][question.sample] if self.fingerprint == BASE_ID else right
            yield [(question, Answer(said, 5, "stop"))]

    def close(self):
        pass


class EveryWordAToken:
    def encode_ordinary_batch(self, texts, num_threads):
        return [text.split() for text in texts]


@pytest.fixture
def measured(hub, tmp_path, student, monkeypatch):
    """(scores, recipe, the rows that the base was asked) after both checkpoints."""
    monkeypatch.setattr(bins, "o200k", EveryWordAToken)
    two = [mrcr_row("m1", 2), mrcr_row("m2", 2), mrcr_row("m3", 2), mrcr_row("too_long", 2, words=131_072)]
    hub(
        "a" * 40, {"2needle/a.parquet": two, "4needle/a.parquet": [mrcr_row("m4", 4)], "8needle/a.parquet": [mrcr_row("m8", 8)]}
    )
    short = [graph_row("g1", "parents"), graph_row("g2", "parents"), graph_row("g3", "bfs")]
    files = {"graphwalks_128k_and_shorter.parquet": short, "graphwalks_256k_to_1mil.parquet": [graph_row("g9", "bfs")]}
    hub("b" * 40, files, "openai/graphwalks")
    recipe = recipe_from({"model": {"path": str(student)}, "evaluate": {"preset": "acc_paper"}})
    out = tmp_path / "runs" / "r" / "evaluate"
    base = Scripted(BASE_ID)
    run(recipe, tmp_path, out, BASE_ID, 0, backend=base)
    run(recipe, tmp_path, out, ACC_ID, 1, backend=Scripted(ACC_ID))
    return read_scores(out / "scores.jsonl"), recipe, base.asked


def cells_of(cells, step, gain=False):
    return {(c.benchmark, c.group): c for c in cells if (c.step, c.gain) == (step, gain)}


def test_the_papers_cells_are_filled_from_its_rows_alone_and_by_three_answers_each(measured):
    scores, _, asked = measured
    assert sorted(asked) == sorted(name for name in SAID for _ in range(3))
    base = cells_of(calibrate(scores, {0: BASE_ID, 1: ACC_ID}), 0)
    found = {at: (c.measured, c.n) for at, c in base.items()}
    assert found == {
        ("mrcr", "2needle"): (pytest.approx((1 + 2 / 3 + 0) / 3), 3),
        ("mrcr", "4needle"): (pytest.approx(1 / 3), 1),
        ("mrcr", "all"): (pytest.approx((1 + 2 / 3 + 0 + 1 / 3) / 4), 4),
        ("graphwalks", "parents"): (pytest.approx(((1 + 1 / 2 + 0) / 3 + 1) / 2), 2),
        ("graphwalks", "bfs"): (pytest.approx((1 / 2 + 1 / 2 + 1) / 3), 1),
        ("graphwalks", "all"): (pytest.approx((0.5 + 1 + 2 / 3) / 3), 3),
    }
    assert {at: c.published for at, c in base.items()} == {
        ("mrcr", "2needle"): 0.6184, ("mrcr", "4needle"): 0.3841, ("mrcr", "all"): 0.5019,
        ("graphwalks", "parents"): 0.7119, ("graphwalks", "bfs"): 0.6847, ("graphwalks", "all"): 0.6992,
    }  # fmt: skip
    assert base["mrcr", "all"].difference == pytest.approx(0.5 - 0.5019)


def test_what_the_method_gains_stands_beside_what_it_gained_in_the_paper(measured):
    cells = calibrate(measured[0], {0: BASE_ID, 1: ACC_ID})
    assert [(c.measured, c.published) for c in cells_of(cells, 1).values()] == [
        (1, 0.7690), (1, 0.5957), (1, 0.6828), (1, 0.8150), (1, 0.7295), (1, 0.7751),
    ]  # fmt: skip
    gained = cells_of(cells, 1, gain=True)
    assert gained["mrcr", "all"].measured == pytest.approx(0.5)
    assert gained["mrcr", "all"].published == pytest.approx(0.1809)
    assert gained["graphwalks", "all"].published == pytest.approx(0.0759)
    assert not cells_of(cells, 0, gain=True)


def test_the_table_says_what_is_published_what_is_measured_and_by_which_protocol(measured):
    scores, recipe, _ = measured
    lines = calibration_lines(scores, {0: BASE_ID, 1: ACC_ID}, recipe.evaluate)
    assert "published numbers were not measured here" in lines[0]
    # name, mean, interval, n, published, difference
    row = next(line.split() for line in lines if line.startswith("  mrcr all"))
    assert row[:3] == ["mrcr", "all", "50.00"] and row[-3:] == ["4", "50.19", "-0.19"]
    gain = next(line.split() for line in lines if line.startswith("  graphwalks all less base"))
    assert gain[4] == "+27.78" and gain[-3:] == ["3", "+7.59", "+20.19"]
    assert any("sampling.temperature" in line and "assumed" in line for line in lines)
    assert any("may be another" in line for line in calibration_lines(scores, {0: BASE_ID}, recipe_from({
        "evaluate": {"benchmarks": [{"name": "mrcr", "synthetic": {}}]}}).evaluate))  # fmt: skip


def score(group, n, mean=0.5, **fields):
    return Score(0, "mrcr", "official", mean, (0.0, 1.0), n, group=group, **fields)


def test_what_is_not_the_papers_measure_is_not_in_its_cell():
    mixed = [score("2needle", 3), score("4needle", 2), score("8needle", 4), score("all", 9)]
    cells = cells_of(calibrate(mixed, {0: BASE_ID}), 0)
    assert cells["mrcr", "2needle"].n == 3
    assert (cells["mrcr", "all"].measured, cells["mrcr", "all"].note) == (None, OTHER_KINDS)
    assert cells["graphwalks", "all"].note == NOT_MEASURED
    for other in (score("2needle", 3, synthetic=True), score("2needle", 3, screen=True), score("2needle", 0, skipped=7)):
        cell = cells_of(calibrate([other], {0: BASE_ID}), 0)["mrcr", "2needle"]
        assert (cell.measured, cell.n, cell.difference, cell.note) == (None, 0, None, NOT_MEASURED)


@pytest.mark.parametrize(
    ("checkpoint", "paper"),
    [
        (BASE_ID, BASE),
        (ACC_ID, ACC),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507", LARGER),
        ("/models/qwen3-30b-a3b-thinking-2507/", BASE),
        ("/cache/hub/models--groundhogLLM--ACC-Qwen3-30B-A3B/snapshots/0123", ACC),
        ("runs/mine/train/checkpoint-338", None),
        ("/models/Qwen3-30B-A3B", None),
    ],
)
def test_a_checkpoint_is_known_by_its_name_wherever_it_lies(checkpoint, paper):
    assert published_name(checkpoint) == paper


def test_a_checkpoint_that_is_not_in_the_paper_has_nothing_beside_it():
    cell = cells_of(calibrate([score("2needle", 3)], {0: "mine"}), 0)["mrcr", "2needle"]
    assert (cell.measured, cell.published, cell.difference) == (0.5, None, None)
    lines = calibration_lines([score("2needle", 3)], {0: "mine"}, recipe_from({"evaluate": {"preset": "acc_paper"}}).evaluate)
    assert "mine (step 0): not in the paper" in lines
    assert next(line for line in lines if "2needle" in line).split()[-2:] == ["-", "-"]
