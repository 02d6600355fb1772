"""lm-eval's logs of a run as lines of responses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.evaluate.excerpts import excerpts
from acc.evaluate.lines import Line
from acc.evaluate.outside import line_of
from acc.evaluate.questions import CLOSE, Answer
from acc.records.sample import Message

Said = Callable[[Sequence[Mapping[str, Any]]], tuple[Answer, int] | None]
"""Messages → (what the model said to them, the prompt's tokens)."""
_ROUNDING = 1e-6


def read_lines(
    folder: Path,
    task: str,
    metric: str | None,
    *,
    key: str,
    sample: int,
    said: Said | None = None,
    count: Callable[[str], int] = len,
) -> list[Line]:
    """The lines of one run of lm-eval, in the order of its subtasks and rows.

    lm-eval logs a row once for each of its filters; here a row is one line with `metric,filter` → value. Metrics that are no
    number for a row (as IFEval's lists of instructions) are left out.

    Args:
        folder: where results_*.json and samples_<task>_*.jsonl lie.
        task: the task, or a group of tasks: then a line's `kind` is the subtask.
        metric: the headline, as `exact_match,none`; None takes the task's first.
        key, sample: as in `line_of`.
        said: what the model said, where a relay heard it.
        count: text → tokens of the student.

    Raises:
        UserError: there are no rows, no such metric, or lm-eval's own number is not the mean of the rows.
    """
    results = json.loads(next(folder.glob("results_*.json")).read_text(encoding="utf-8"))
    lines: list[Line] = []
    for name in sorted(results["configs"]):
        path = next(folder.glob(f"samples_{name}_[0-9]*.jsonl"), None)
        # Not splitlines: an answer may hold other line ends, which JSON leaves as they are.
        logged = [json.loads(text) for text in path.read_text(encoding="utf-8").split("\n") if text] if path else []
        rows: dict[int, list[dict[str, Any]]] = {}
        for entry in logged:
            rows.setdefault(entry["doc_id"], []).append(entry)
        for doc, entries in sorted(rows.items()):
            scores = _headline_first(_scores(entries), metric, task)
            row, kind = (str(doc), None) if name == task else (f"{name}/{doc}", name)
            answer, prompt_tokens = _answer(entries[0], said)
            line = line_of(
                key, row, scores, answer, asked=entries[0]["doc_hash"], sample=sample, kind=kind,
                prompt_tokens=prompt_tokens, thinking_tokens=count(_thinking(answer)),
            )  # fmt: skip
            lines.append({**line, **_shown(entries[0])})
        _check_mean(results["results"].get(name, {}), [x["scores"] for x in lines[-len(rows) :]] if rows else [], name)
    if not lines:
        raise UserError("lm-eval asked no row", where=f"evaluate.general, {task}", mend="Check the task's data")
    return lines


def _scores(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`metric,filter` → value of one row."""
    found = {}
    for entry in entries:
        for name in entry["metrics"]:
            value = entry[name]
            if isinstance(value, bool | int | float) and math.isfinite(value):
                found[f"{name},{entry['filter']}"] = float(value)
    return found


def _headline_first(scores: dict[str, float], metric: str | None, task: str) -> dict[str, float]:
    if metric is None and scores:
        return scores
    if metric not in scores:
        have = ", ".join(scores) or "none that is a number for each row"
        raise UserError(
            f"a row has no metric {metric!r}" if metric else "the rows have no metric",
            where=f"evaluate.general, {task}",
            mend=f"Name one of the task's metrics: {have}",
        )
    return {metric: scores[metric], **scores}


def _check_mean(results: Mapping[str, Any], scores: Sequence[Mapping[str, float]], task: str) -> None:
    """Refuse a headline that lm-eval aggregates otherwise than as a mean over rows: ours would be another number."""
    if not scores:
        return
    headline = next(iter(scores[0]))
    theirs, ours = results.get(headline), sum(x[headline] for x in scores) / len(scores)
    if isinstance(theirs, int | float) and abs(theirs - ours) > _ROUNDING:
        raise UserError(
            f"lm-eval says {headline} is {theirs:.6g}, but the mean over rows is {ours:.6g}",
            where=f"evaluate.general, {task}",
            mend="Choose another metric: differences and intervals here are over rows",
        )


def _answer(entry: Mapping[str, Any], said: Said | None) -> tuple[Answer | str, int]:
    """What the model said to a row, and the prompt's tokens. Of an answer that no relay heard there is the text alone; of
    multiple choice the log-likelihoods, as JSON."""
    if said is not None:
        # lm-eval logs a conversation as a list that holds it as JSON text.
        heard = said(json.loads(entry["arguments"]["gen_args_0"]["arg_0"][0]))
        if heard is not None:
            return heard
    response = entry["resps"][0][0]
    return response if len(entry["resps"]) == 1 and isinstance(response, str) else json.dumps(entry["resps"]), 0


def _shown(entry: Mapping[str, Any]) -> Line:
    """Both ends of what a row asked, and its gold answer."""
    asked = entry["arguments"]["gen_args_0"]["arg_0"]
    messages: list[Message] = json.loads(asked[0]) if isinstance(asked, list) else [{"role": "user", "content": str(asked)}]
    return excerpts(messages, str(entry["target"]))


def _thinking(answer: Answer | str) -> str:
    return "" if isinstance(answer, str) else answer.reasoning or answer.text.rpartition(CLOSE)[0]
