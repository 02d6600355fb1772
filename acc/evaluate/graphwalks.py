"""GraphWalks (`openai/graphwalks`): a long list of directed edges, and the set of nodes that a walk or a node's parents are.

A row of the Parquet files: `prompt`, `answer_nodes` (list of node names, may be empty), `prompt_chars`, `problem_type`
(parents or bfs), `date_added`.
"""

from __future__ import annotations

import re
from typing import Any

from acc.records.sample import Message

GRADED = ("answer_nodes",)
"""Columns that grading reads."""
ASKED = ("prompt", "problem_type")
"""Columns that asking reads besides."""
QUOTED = ("f1", "precision")
"""Conventions reported for slices too; the first is the headline. Precision is what the paper of the method reports."""
OTHERS = ("official_f1", "strict_f1", "recall", "exact")
"""The other conventions."""

_LIST = re.compile(r"Final Answer: ?\[(.*)\]")


def grade(row: dict[str, Any], response: str) -> dict[str, float]:
    """Grade one response, in [0, 1] under every convention, on sets of nodes with precision P and recall R.

    - f1: 0 where no list can be parsed, 1 where list and answer are both empty, else 2PR/(P+R), or 0 where P+R is 0.
    - official_f1: 2PR/(P+R), or 1 where P+R is 0, so a disjoint or unparsed answer scores 1 too.
    - strict_f1: 2PR/(P+R), or 0 where P+R is 0, so two empty sets score 0 (lm-eval's rule).
    - precision, recall: 0 where their denominator is empty.
    - exact: a list was parsed and is the same set.
    """
    parsed = parse(response)
    given, gold = set(parsed or []), set(row["answer_nodes"] or [])
    overlap = len(given & gold)
    precision = overlap / len(given) if given else 0.0
    recall = overlap / len(gold) if gold else 0.0
    f1 = 2 * (recall * precision) / (recall + precision) if overlap else None
    both_empty = parsed is not None and not given and not gold
    return {
        "f1": 1.0 if both_empty else f1 or 0.0,
        "official_f1": 1.0 if f1 is None else f1,
        "strict_f1": f1 or 0.0,
        "precision": precision,
        "recall": recall,
        "exact": float(parsed is not None and given == gold),
    }


def parse(response: str) -> list[str] | None:
    """The nodes of "Final Answer: [a, b]" in the very last line, or None where it is not there.

    The snippet on the data set's card leaves "Final Answer: [" at the first node; here, as in every harness, only what
    stands between the brackets is taken.
    """
    found = _LIST.search(response.split("\n")[-1])
    if found is None:
        return None
    return [node.strip() for node in found[1].strip("[]").split(",") if node.strip()]


def messages(row: dict[str, Any]) -> list[Message]:
    """The prompt as one user message."""
    return [{"role": "user", "content": row["prompt"]}]


def group(row: dict[str, Any]) -> str:
    """The slice that a row belongs to: parents or bfs."""
    return str(row["problem_type"])
