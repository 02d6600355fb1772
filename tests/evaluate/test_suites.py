"""What is asked, and what a line says of an answer."""

import pytest

from acc.chat import load_chat
from acc.evaluate.questions import Answer, Question
from acc.evaluate.suites import prepare_rows, suites_of
from acc.recipe.loading import recipe_from

SAMPLING = {"temperature": 0.6, "samples": 3}


@pytest.fixture(scope="module")
def chat(student):
    return load_chat(student)


def suites(student, compiled, out, chat, **evaluate):
    benchmarks = [{"name": "mrcr", "synthetic": {"rows": 6, "tokens": 300}, "max_new_tokens": 60}]
    recipe = recipe_from(
        {
            "sources": [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}],
            "model": {"path": str(student)},
            "evaluate": {"benchmarks": benchmarks, "held_out": {"max_new_tokens": 6}, **evaluate},
        }
    )
    prepare_rows(recipe, out, chat)
    return {s.name: s for s in suites_of(recipe, compiled, out, chat)}


@pytest.fixture
def asked(student, compiled, tmp_path, chat):
    return suites(student, compiled, tmp_path, chat, sampling=SAMPLING, screen=3)


def test_every_row_is_asked_as_often_as_the_recipe_says(asked):
    mrcr = asked["synthetic_mrcr"].questions
    assert sorted({(q.row, q.sample) for q in mrcr}) == [(f"0-{i}", k) for i in range(6) for k in range(3)]
    assert len(mrcr) == 18
    assert mrcr[0].messages[-1]["content"].startswith("Prepend ")
    held = asked["held_out"].questions
    assert len(held) == 8 * 3 * 3
    # A likelihood does not vary: one of the samples asks for it.
    assert {q.sample for q in held if q.target} == {0}


def test_only_what_is_measured_is_asked(student, compiled, tmp_path, chat):
    held_out = {"measures": ["nll"], "conditions": ["full"]}
    found = suites(student, compiled, tmp_path, chat, sampling=SAMPLING, held_out=held_out)["held_out"]
    assert [(q.max_new_tokens, q.sample, bool(q.target)) for q in found.questions] == [(0, 0, True)] * 8
    line = found.line(found.questions[0], Answer("", 0, "stop", nll=0.5))
    assert (line["exact"], line["nll"], line["failed"]) == (None, 0.5, False)
    exact = suites(student, compiled, tmp_path, chat, held_out={"measures": ["exact"]})["held_out"]
    assert not any(q.target for q in exact.questions)


def test_a_line_says_what_was_asked_and_where_it_belongs(asked):
    suite = asked["synthetic_mrcr"]
    first = [suite.line(q, Answer("words", 2, "length", seconds=1.23456)) for q in suite.questions]
    line = first[0]
    assert (line["row"], line["condition"], line["sample"], line["finish"], line["seconds"]) == (
        "0-0",
        "full",
        0,
        "length",
        1.235,
    )
    assert line["prompt_tokens"] == len(suite.questions[0].prompt)
    low, high = (int(line["bin"].split("_")[2]) // 2, int(line["bin"].split("_")[2]))
    assert low < line["prompt_tokens"] <= high
    assert (line["kind"], line["bin_o200k"]) == ("2needle", None)
    assert line["scores"] == {"official": 0.0, "none": 0.0, "lstrip": 0.0, "strip": 0.0}
    assert len({x["asked"] for x in first}) == 6
    assert len({x["row"] for x in first if x["screen"]}) == 3
    # One of each kind of six rows in three kinds.
    assert {x["kind"] for x in first if x["screen"]} == {"2needle", "4needle", "8needle"}


def test_held_out_conditions_of_a_row_share_its_length_bin(asked):
    suite = asked["held_out"]
    bins = {}
    for question in suite.questions:
        bins.setdefault(question.row, set()).add(suite.place(question)["bin"])
    assert all(len(found) == 1 for found in bins.values())
    assert {suite.place(q)["kind"] for q in suite.questions} == {"search", "database"}


@pytest.mark.parametrize(
    ("answer", "said", "thinking"),
    [
        (Answer("red", 1, "stop"), "red", ""),
        (Answer("<think>\nlong ago\n</think>\n\nred", 9, "stop"), "red", "\nlong ago\n"),
        (Answer("<think>\nlong ago and", 9, "length"), "", "\nlong ago and"),
        (Answer("red", 9, "stop", reasoning="long ago"), "red", "long ago"),
        (Answer("", 9, "length", reasoning="long ago and"), "", "long ago and"),
        (Answer("connection refused", 0, "failed"), "", ""),
    ],
)
def test_thinking_is_taken_off_and_counted(asked, chat, answer, said, thinking):
    suite = asked["held_out"]
    graded = []
    suite.measure = lambda question, text, answer: graded.append(text) or {}
    line = suite.line(suite.questions[0], answer)
    assert graded == [said]
    assert line["thinking_tokens"] == chat.count(thinking)
    assert line["failed"] is (said == "")
    assert (line["response"], line["reasoning"], line["tokens"]) == (answer.text, answer.reasoning, answer.tokens)


def test_thinking_that_the_prompt_opened_is_thinking(asked, chat):
    suite = asked["held_out"]
    opened = Question("r", "full", chat.tokenizer.encode("<|im_start|>assistant\n<think>\n")[1].ids, 5)
    assert suite._split(opened, Answer("hm\n</think>\n\nred", 5, "stop")) == ("hm\n", "red")
    assert suite._split(opened, Answer("hm and hm", 5, "length")) == ("hm and hm", "")
