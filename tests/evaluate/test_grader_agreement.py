"""Our graders against independent ones on 10,000 generated responses: lm-eval's of GraphWalks, evalscope's of MRCR.

Where the conventions are the same the grades are equal; every convention that differs is named here, with what it does.
"""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from acc.evaluate import graphwalks, mrcr

ROWS = 5_000
WIDE = ["\n", " ", "\r\n", "\t", "\u00a0", "\u2028", " \n\n "]


def module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed" + (" (scripts/prove graders installs it)" if package == "evalscope" else ""))
    return Path(spec.origin).parent


@pytest.fixture(scope="module")
def lm_eval() -> Callable[[list[str], str], float]:
    """lm-eval's F1 of a response, by the gold nodes."""
    utils = module(folder_of("lm_eval") / "tasks" / "graphwalks" / "utils.py", "lm_eval_graphwalks")
    return lambda gold, response: utils.process_results({"answer_nodes": gold}, [response])["f1"]


@pytest.fixture
def evalscope(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], float]:
    """evalscope's grade of a response, by the answer and its random string."""
    path = folder_of("evalscope") / "benchmarks" / "openai_mrcr" / "utils.py"
    # Its grader stands in one file with its prompts, whose classes alone would pull all of evalscope in.
    messages: Any = ModuleType("evalscope.api.messages")
    for name in ("ChatMessage", "ChatMessageAssistant", "ChatMessageSystem", "ChatMessageUser"):
        setattr(messages, name, object)
    for name in ("evalscope", "evalscope.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "evalscope.api.messages", messages)
    grade: Callable[[str, str, str], float] = module(path, "evalscope_mrcr").grade
    return grade


def walked(draw: random.Random) -> tuple[list[str], str, str]:
    """(gold nodes, response, kind) of GraphWalks."""
    nodes = [f"{draw.getrandbits(40):010x}" for _ in range(8)]
    gold = draw.sample(nodes, draw.choice([0, 1, 2, 3, 5]))
    other = [n for n in nodes if n not in gold]
    said = {
        "right": gold,
        "near": gold[:-1] + other[:1],
        "fewer": gold[: len(gold) // 2],
        "more": gold + other[:2],
        "wrong": other[:3],
        "none": [],
        "twice": gold + gold,
        "upper case": [n.upper() for n in gold],
        "unicode": [n.replace("a", "а") for n in gold],  # a Cyrillic а
    }
    what = draw.choice(list(said))
    comma = draw.choice([", ", ",", " , ", ",\u00a0", ",,"])
    line = f"Final Answer: [{comma.join(said[what])}]"
    how = draw.choice(
        [
            "plain", "plain", "plain", "reasons", "thinking", "empty", "no list", "trailing text", "text behind",
            "several lines", "several on a line", "lower case", "bold", "no space", "wide space", "line breaks behind",
            "space behind", "quotes", "double brackets", "open", "round brackets", "space before", "carriage return",
            "comma behind", "long",
        ]
    )  # fmt: skip
    quoted = ", ".join(f"{q}{n}{q}" for n in said[what] for q in draw.choice(["'", '"']))
    response = {
        "plain": line,
        "reasons": f"From {', '.join(other)} I see that\n\n{line}",
        "thinking": f"<think>\nFinal Answer: [{', '.join(other)}]\n</think>\n\n{line}",
        "empty": draw.choice(["", " ", "\n"]),
        "no list": f"Final Answer: {', '.join(said[what])}",
        "trailing text": f"{line} as I said.",
        "text behind": f"{line}\nI am sure.",
        "several lines": f"Final Answer: [{', '.join(other)}]\n{line}",
        "several on a line": f"Final Answer: [{', '.join(other)}] no, {line}",
        "lower case": line.lower(),
        "bold": f"**{line}**",
        "no space": line.replace(": ", ":"),
        "wide space": line.replace(": ", ":" + draw.choice(["  ", "\t", "\u00a0"])),
        "line breaks behind": line + "\n" * draw.choice([1, 2]),
        "space behind": line + draw.choice([" ", "\t", "\u2028"]),
        "quotes": f"Final Answer: [{quoted}]",
        "double brackets": f"Final Answer: [[{comma.join(said[what])}]]",
        "open": line[:-1],
        "round brackets": line.replace("[", "(").replace("]", ")"),
        "space before": draw.choice(WIDE) + line,
        "carriage return": line.replace("Final", "so\r\nFinal") + "\r",
        "comma behind": line.replace("]", ",]"),
        "long": f"{'because of this ' * 200}\n{line}",
    }[how]
    return gold, response, how


def as_lm_eval_reads(response: str) -> str:
    """The response in the form in which our grader reads what lm-eval's does; unchanged where the conventions are the same.

    lm-eval takes line breaks at the end off, any white space before the bracket, and quotes around nodes.
    """
    line = response.rstrip("\n").split("\n")[-1]
    found = re.search(r"Final Answer:\s*\[(.*)\]", line)
    if found is None or (response == line and graphwalks.parse(response) is not None and not set("'\"") & set(found[1])):
        return response if found is None or graphwalks.parse(response) is not None else f"Final Answer: [{found[1]}]"
    return f"Final Answer: [{', '.join(node.strip().strip(chr(39) + chr(34)) for node in found[1].split(','))}]"


def test_graphwalks_agrees_with_lm_eval(lm_eval: Callable[[list[str], str], float]) -> None:
    draw = random.Random(0)
    kinds, differ, values = Counter[str](), Counter[str](), Counter[str]()
    for _ in range(ROWS):
        gold, response, how = walked(draw)
        theirs, ours = lm_eval(gold, response), graphwalks.grade({"answer_nodes": gold}, response)
        kinds[how] += 1
        if ours["strict_f1"] != theirs:
            differ[how] += 1
        if how == "double brackets":
            # lm-eval leaves the inner brackets at the first and last node; the official rule takes all off the ends.
            inner = re.sub(r"\[\[(.*)\]\]", r"[\1]", response)
            assert ours == graphwalks.grade({"answer_nodes": gold}, inner), response
            continue
        read = graphwalks.grade({"answer_nodes": gold}, as_lm_eval_reads(response))
        assert read["strict_f1"] == theirs, (response, gold)
        # The other conventions on what both read alike, from lm-eval's number alone.
        nodes = graphwalks.parse(as_lm_eval_reads(response))
        assert read["official_f1"] == (theirs or 1.0)
        assert read["f1"] == (1.0 if nodes == [] and not gold else theirs)
        assert read["exact"] == float(nodes is not None and (theirs == 1 or (not nodes and not gold)))
        values["zero" if theirs == 0 else "one" if theirs == 1 else "between"] += 1
    assert set(differ) == {"double brackets", "line breaks behind", "quotes", "wide space"}
    assert min(kinds.values()) > 100 and min(values.values()) > 300


@pytest.mark.parametrize(
    ("response", "gold", "theirs", "ours"),
    [
        ("Final Answer: [a, b]\n", ["a", "b"], 1, 0),  # line breaks at the end
        ("Final Answer:  [a, b]", ["a", "b"], 1, 0),  # more than one space
        ("Final Answer:\t[a, b]", ["a", "b"], 1, 0),
        ("Final Answer: ['a', \"b\"]", ["a", "b"], 1, 0),  # quotes
        ("Final Answer: [[a, b]]", ["a", "b"], 0, 1),  # brackets
        ("Final Answer: ['']", [], 0, 0),  # to lm-eval a node without a name
        ("Final Answer: []", [], 0, 0),  # nothing wanted, nothing said: the headline counts it as right, strict F1 does not
    ],
)
def test_where_graphwalks_conventions_differ(
    response: str, gold: list[str], theirs: float, ours: float, lm_eval: Callable[[list[str], str], float]
) -> None:
    assert lm_eval(gold, response) == theirs
    assert graphwalks.grade({"answer_nodes": gold}, response)["strict_f1"] == ours


def test_nothing_wanted_and_nothing_said_is_right_by_the_headline_and_by_the_official_rule() -> None:
    grades = graphwalks.grade({"answer_nodes": []}, "Final Answer: []")
    assert (grades["f1"], grades["official_f1"], grades["strict_f1"], grades["precision"]) == (1, 1, 0, 0)
    wrong = graphwalks.grade({"answer_nodes": ["a"]}, "I do not know")
    assert (wrong["f1"], wrong["official_f1"], wrong["strict_f1"]) == (0, 1, 0)


def repeated(draw: random.Random) -> tuple[str, str, str, str]:
    """(answer, its random string, response, kind) of MRCR."""
    words = ["tapir", "river", "moon", "Über", "naïve", "夜", "🦉", "stone", "and", "the", "of"]

    def text(low: int, high: int) -> str:
        return "".join(draw.choice(words) + draw.choice([" ", " ", "\n"]) for _ in range(draw.randint(low, high))).strip()

    prefix = "".join(draw.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=10))
    # Above 200 characters difflib's autojunk sets in.
    body = text(1, 12) if draw.random() < 0.9 else text(40, 70)
    answer, other = prefix + body, text(1, 12)
    changed = body.split(" ")
    changed[draw.randrange(len(changed))] = "else"
    how = draw.choice(
        [
            "right", "right", "near", "other", "empty", "no string", "string alone", "wrong string", "upper case",
            "trailing text", "thinking", "thought alone", "space before", "mark before", "quoted", "space behind",
            "string twice", "half", "more", "space after string",
        ]
    )  # fmt: skip
    response = {
        "right": answer,
        "near": prefix + " ".join(changed),
        "other": prefix + other,
        "empty": draw.choice(["", " ", "\n"]),
        "no string": body,
        "string alone": prefix,
        "wrong string": prefix[::-1] + body,
        "upper case": answer.upper(),
        "trailing text": f"{answer}\n\nDo you want another one?",
        "thinking": f"<think>\nThe second one.\n</think>\n\n{answer}",
        "thought alone": f"<think>\n{answer}",
        "space before": draw.choice(WIDE) + answer,
        "mark before": draw.choice(["**", '"', "\ufeff", "Sure! "]) + answer,
        "quoted": f'"{answer}"',
        "space behind": answer + draw.choice(WIDE),
        "string twice": prefix + answer,
        "half": answer[: len(answer) // 2],
        "more": answer + other,
        "space after string": f"{prefix} {body}",
    }[how]
    return answer, prefix, response, how


def test_mrcr_agrees_with_evalscope(evalscope: Callable[[str, str, str], float]) -> None:
    draw = random.Random(0)
    kinds, differ, values = Counter[str](), Counter[str](), Counter[str]()
    for _ in range(ROWS):
        answer, prefix, response, how = repeated(draw)
        ours = mrcr.grade({"answer": answer, "random_string_to_prepend": prefix}, response)
        theirs = evalscope(response, answer, prefix)
        assert ours["official"] == ours["none"] == theirs, response
        assert ours["lstrip"] == evalscope(response.lstrip(), answer, prefix)
        assert ours["strip"] == evalscope(response.strip(), answer, prefix)
        # Before it grades, evalscope takes line breaks and spaces off the front; our lstrip takes any white space.
        run = evalscope(response.lstrip("\r\n "), answer, prefix)
        if run != ours["official"]:
            differ["official"] += 1
            assert response[0] in "\r\n " and how == "space before"
        if run != ours["lstrip"]:
            differ["lstrip"] += 1
            assert response[0] in "\t\u00a0\u2028" and how == "space before"
        kinds[how] += 1
        values["zero" if theirs == 0 else "one" if theirs == 1 else "between"] += 1
    assert set(differ) == {"official", "lstrip"}
    assert min(kinds.values()) > 100 and min(values.values()) > 300
