"""The graders agree with the official rules, row by row."""

import difflib
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acc.errors import UserError
from acc.evaluate import graphwalks, mrcr

ROW = {"answer": "aB3xYz09QpA poem about tapirs", "random_string_to_prepend": "aB3xYz09Qp"}


def official_mrcr(response, answer, random_string_to_prepend):
    """The rule as the data set's card words it, written here once more."""
    if not response.startswith(random_string_to_prepend):
        return 0
    cut = len(random_string_to_prepend)
    return difflib.SequenceMatcher(None, response[cut:], answer[cut:]).ratio()


def naive_f1(response, gold, at_zero):
    """F1 over lists, counting by hand."""
    last = response.split("\n")[-1]
    m = re.search("Final Answer: ?\\[.*\\]", last)
    said = []
    if m:
        for part in m.group(0)[len("Final Answer:") :].strip().strip("[]").split(","):
            if part.strip() and part.strip() not in said:
                said.append(part.strip())
    right = sum(1 for node in said if node in gold)
    p = right / len(said) if said else 0
    r = right / len(gold) if gold else 0
    return 2 * p * r / (p + r) if p + r > 0 else at_zero


def test_mrcr_is_the_official_rule_on_altered_copies_of_any_length():
    draw = random.Random(1)
    for _ in range(60):
        words = draw.choices(["rain", "sea", "old", "the", "of", "and", "moon"], k=draw.randint(1, 300))
        said = [w for w in words if draw.random() > 0.1]
        draw.shuffle(said) if draw.random() < 0.2 else None
        row = {"answer": "0123456789" + " ".join(words), "random_string_to_prepend": "0123456789"}
        response = draw.choice(["", "0123456789", " 0123456789"]) + " ".join(said) + draw.choice(["", "\n"])
        assert mrcr.grade(row, response)["official"] == official_mrcr(response, row["answer"], "0123456789")


def test_mrcr_keeps_difflibs_argument_order_and_autojunk():
    # Autojunk drops frequent letters of the second text where it has 200 or more, so both choices change the number.
    answer = "h" * 10 + "the rain falls on the old sea and the moon " * 12
    response = "h" * 10 + "the rain falls on the sea and the moon " * 4
    a, b = response[10:], answer[10:]
    score = mrcr.grade({"answer": answer, "random_string_to_prepend": "h" * 10}, response)["official"]
    assert score == difflib.SequenceMatcher(None, a, b).ratio()
    assert score != difflib.SequenceMatcher(None, b, a).ratio()
    assert score != difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


@pytest.mark.parametrize(
    ("response", "official", "lstrip", "strip"),
    [
        (ROW["answer"], 1, 1, 1),
        ("\n" + ROW["answer"], 0, 1, 1),
        (ROW["answer"] + "  ", 2 * 19 / (21 + 19), 2 * 19 / (21 + 19), 1),
        ("<think>aB3xYz09Qp</think>" + ROW["answer"], 0, 0, 0),
        (ROW["answer"][10:], 0, 0, 0),
        ("aB3xYz09Qp", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_mrcr_white_space_conventions_are_named(response, official, lstrip, strip):
    assert mrcr.grade(ROW, response) == pytest.approx(
        {"official": official, "none": official, "lstrip": lstrip, "strip": strip}
    )


def test_mrcr_prompts_are_conversations_and_a_broken_one_is_refused():
    turns = [{"role": "user", "content": "Write"}, {"role": "assistant", "content": "x"}]
    assert mrcr.messages({"prompt": json.dumps(turns)}) == turns
    with pytest.raises(UserError, match="JSON list of chat messages"):
        mrcr.messages({"prompt": "Write"})


@pytest.mark.parametrize(
    ("response", "gold", "f1", "official", "strict", "precision", "recall", "exact"),
    [
        ("Final Answer: [a, b]", ["b", "a"], 1, 1, 1, 1, 1, 1),
        ("so\nFinal Answer:[a,b , ]", ["a", "b"], 1, 1, 1, 1, 1, 1),
        ("Final Answer: [a, a, c]", ["a", "b", "d"], 0.4, 0.4, 0.4, 1 / 2, 1 / 3, 0),
        ("Final Answer: [c]", ["a"], 0, 1, 0, 0, 0, 0),
        ("Final Answer: []", [], 1, 1, 0, 0, 0, 1),
        ("Final Answer: []", ["a"], 0, 1, 0, 0, 0, 0),
        ("Final Answer: [a]", [], 0, 1, 0, 0, 0, 0),
        ("Final Answer: [a]\n", ["a"], 0, 1, 0, 0, 0, 0),
        ("Final Answer: a, b", ["a", "b"], 0, 1, 0, 0, 0, 0),
        ("final answer: [a]", ["a"], 0, 1, 0, 0, 0, 0),
        ("", [], 0, 1, 0, 0, 0, 0),
        ("I think Final Answer: [a] indeed", ["a"], 1, 1, 1, 1, 1, 1),
    ],
)
def test_graphwalks_conventions_by_hand(response, gold, f1, official, strict, precision, recall, exact):
    assert graphwalks.grade({"answer_nodes": gold}, response) == pytest.approx(
        {
            "f1": f1,
            "official_f1": official,
            "strict_f1": strict,
            "precision": precision,
            "recall": recall,
            "exact": exact,
        }
    )


def test_graphwalks_is_the_official_rule_on_random_sets():
    draw = random.Random(2)
    for _ in range(300):
        gold = draw.sample("abcdefgh", draw.randint(0, 4))
        said = ", ".join(draw.choices("abcdefgh", k=draw.randint(0, 5)))
        response = draw.choice(
            ["Final Answer: [{}]", "x\nFinal Answer:[{}] ", "[{}]", "Final Answer: [{}]\n", "[[{}]]"]
        ).format(said)
        grade = graphwalks.grade({"answer_nodes": gold}, response)
        assert grade["official_f1"] == pytest.approx(naive_f1(response, gold, 1))
        assert grade["strict_f1"] == pytest.approx(naive_f1(response, gold, 0))


@pytest.mark.data
@pytest.mark.skipif("ACC_TEST_DATA" not in os.environ, reason="ACC_TEST_DATA names no folder of real data")
def test_the_real_row_is_graded_and_its_answer_follows_from_its_prompt():
    from acc.evaluate.synthetic import parents

    row = json.loads((Path(os.environ["ACC_TEST_DATA"]) / "benchmarks" / "graphwalks_real_1row.jsonl").read_text())
    listed = row["prompt"].rpartition("The graph has the following edges:\n")[2].split("\n\n")[0]
    edges = [tuple(line.split(" -> ")) for line in listed.splitlines()]
    assert parents(edges, "8f14e45fce") == set(row["answer_nodes"])
    right = "Final Answer: [" + ", ".join(row["answer_nodes"]) + "]"
    assert set(graphwalks.grade(row, right).values()) == {1.0}
    with_root = "Final Answer: [" + ", ".join(row["_with_self_loop"]) + "]"
    assert graphwalks.grade(row, with_root)["f1"] == pytest.approx(6 / 7)
    assert graphwalks.group(row) == "parents"


def test_grading_needs_neither_torch_nor_transformers():
    program = "import sys, acc.evaluate.grade_cli, acc.evaluate.cli, acc.evaluate.suites, acc.llm;"
    program += "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(("rule", "row"), [(mrcr, ROW), (graphwalks, {"answer_nodes": ["a"]})])
def test_every_convention_is_named_once(rule, row):
    assert sorted(rule.grade(row, "")) == sorted((*rule.QUOTED, *rule.OTHERS))
