"""The worst answers, to be read: the rows that score least and those that fell most against the base.

All of it is outside text: it is escaped, and clipped to stay small. What a source's policy keeps out of reports is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acc.html.numbers import compact, percent
from acc.html.page import Markup, absent, join, section, tag
from acc.recipe.policy import KEPT_OUT
from acc.report.answers import Answers, Line, number, read_lines, scores_of, split_thinking
from acc.report.boards import BIN, bin_title, boards, suite_title
from acc.report.files import RunFiles
from acc.report.prompts import PROMPT_CHARS, Asked, asked_by_line, asked_of_samples

MOST_WORST, MOST_FALLEN = 6, 4
"""Rows shown of a suite at one checkpoint: of the lowest scores, and of the largest drops."""
ANSWER_CHARS = 1_200
"""Characters shown at each end of an answer, and of its thinking."""
FEW = (4, 2)
"""The same for the best checkpoint, where it is not the last."""


@dataclass(frozen=True)
class Shown:
    """A row to show: its name, score and the base's."""

    row: str
    convention: str
    value: float
    base: float | None

    @property
    def gain(self) -> float:
        return 0.0 if self.base is None else self.value - self.base


def worst_section(run: RunFiles) -> Markup:
    """For every suite, the worst rows of the last checkpoint and of the best; folded."""
    found = sorted(boards(run), key=lambda b: b.kind)
    headlines = {b.suite: b.headline for b in found}
    suites = [s for s in dict.fromkeys(["held_out", *headlines, *run.answers]) if s in run.answers]
    parts = [_suite(run, suite, headlines.get(suite)) for suite in suites]
    if not any(parts):
        return section("worst", "Worst answers", absent("There are no answers to read yet."))
    lead = (
        "The lowest scores (a row's mean) and the largest drops against the base; prompts are cut to "
        f"{PROMPT_CHARS:,} characters at each end. Equal scores stand in the order of the rows."
    )
    return section("worst", "Worst answers", *parts, lead=lead)


def _suite(run: RunFiles, suite: str, headline: str | None) -> Markup:
    by_step = run.answers[suite]
    last = max(by_step)
    chosen = [(last, "last", (MOST_WORST, MOST_FALLEN))]
    if run.best is not None and run.best != last and run.best in by_step:
        chosen.append((run.best, "best", FEW))
    base = by_step.get(0) if last else None
    parts = []
    for step, said, most in chosen:
        name = f"step {step}, the {said}" if step else "the base"
        parts.append(_model(run, name, by_step[step], base, headline or next(iter(by_step[step].conventions), ""), most))
    return join([tag("h3", suite_title(suite)), *parts]) if any(parts) else Markup("")


def _model(run: RunFiles, name: str, answers: Answers, base: Answers | None, convention: str, most: tuple[int, int]) -> Markup:
    """The worst rows of one model, with a sentence on how many there are."""
    values = answers.values(convention)
    if len(values) < 2:
        return Markup("")
    rows = [Shown(row, convention, v, base.value(row, convention) if base else None) for row, v in values.items()]
    lowest = sorted(rows, key=lambda r: (r.value, -(answers.nll(r.row) or 0.0), _natural(r.row)))
    drops = sorted((r for r in rows if r.gain < 0), key=lambda r: (r.gain, _natural(r.row)))
    equal = sum(r.value == lowest[0].value for r in rows)
    text = f"{equal:,} of {len(rows):,} rows have the lowest {convention}, {_score(lowest[0].value)}"
    text += f"; {len(drops):,} score less than the base did." if base else "."
    lists = [_list(run, "Lowest", answers, base, lowest[: most[0]])]
    if drops:
        lists.append(_list(run, "Largest drops against the base", answers, base, drops[: most[1]]))
    return join([tag("h4", f"{name[0].upper()}{name[1:]}"), tag("p", text, class_="note"), *lists])


def _natural(row: str) -> list[tuple[int, str]]:
    """0-9 before 0-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in row.split("-")]


def _list(run: RunFiles, title: str, answers: Answers, base: Answers | None, rows: Sequence[Shown]) -> Markup:
    texts = asked_of_samples(run, [r.row for r in rows]) if answers.path.stem == "held_out" else {}
    return tag("details", tag("summary", f"{title} ({len(rows)})"), *(_row(answers, base, r, texts) for r in rows))


def _row(answers: Answers, base: Answers | None, shown: Shown, texts: dict[str, Asked]) -> Markup:
    lines = read_lines(answers.path, (m.offset for m in answers.rows[shown.row]))
    worst = min(lines, key=lambda x: scores_of(x).get(shown.convention, math.inf))
    asked = texts.get(shown.row) or asked_by_line(worst)
    head = tag("summary", f"Row {shown.row[:40]}: {_score(shown.value)}", tag("small", _about(worst, shown, len(lines))))
    if asked.kept_out:
        return tag("details", head, absent(KEPT_OUT))
    parts = [_scores(worst), _prompt(asked)]
    if asked.gold:
        parts.append(_turn("gold answer", _clip(asked.gold)))
    parts.append(_response(worst, "answer, the worst of them" if len(lines) > 1 else "answer"))
    if len(lines) > 1:
        parts.append(tag("p", f"All answers: {'; '.join(_one_line(x, shown.convention) for x in lines)}.", class_="note"))
    if base and shown.base is not None and (before := base.rows.get(shown.row)):
        parts.append(_response(read_lines(base.path, [before[0].offset])[0], "the base's answer"))
    return tag("details", head, *parts)


def _score(value: float) -> str:
    return percent(value) if 0 <= value <= 1 else compact(value)


def _about(line: Line, shown: Shown, samples: int) -> str:
    length = str(line.get("bin") or "")
    parts = [
        f"mean of {samples} answers" if samples > 1 else "",
        f"base {_score(shown.base)}" if shown.base is not None else "",
        str(line.get("kind") or line.get("domain") or "")[:60],
        f"{bin_title(length)} tokens" if BIN.fullmatch(length) else length[:60],
        f"prompt {tokens:,.0f} tokens" if (tokens := number(line.get("prompt_tokens"))) else "",
    ]
    return " · ".join(p for p in parts if p)


def _scores(line: Line) -> Markup:
    """Every convention's score of the answer that is shown."""
    shown = [f"{name[:60]} {_score(v)}" for name, v in list(scores_of(line).items())[:12]]
    if (nll := number(line.get("nll"))) is not None:
        shown.append(f"NLL of the gold answer {compact(nll)}")
    return tag("p", f"This answer: {', '.join(shown)}.", class_="note") if shown else Markup("")


def _prompt(asked: Asked) -> Markup:
    if not asked.start and not asked.end:
        return tag("p", "The prompt does not lie beside the answer.", class_="note")
    cut = tag("i", " … the middle is left out … ") if len(asked.end) >= PROMPT_CHARS else ""
    return _turn("prompt", join([asked.start[:PROMPT_CHARS], cut, asked.end[-PROMPT_CHARS:]]))


def _response(line: Line, name: str) -> Markup:
    """An answer with its thinking folded."""
    thinking, said = split_thinking(line)
    parts = []
    if thinking:
        count = number(line.get("thinking_tokens"))
        size = f"{count:,.0f} tokens" if count else f"{len(thinking):,} characters"
        parts.append(tag("details", tag("summary", f"Thinking, {name}", tag("small", size)), tag("pre", _clip(thinking))))
    heading = f"{name} · {_finish(line)}"
    if "response" not in line:
        return absent("The text of the answer is not known.")
    body = _turn(heading, _clip(said)) if said.strip() else _turn(heading, tag("i", "(no answer)"))
    return join([*parts, body])


def _one_line(line: Line, convention: str) -> str:
    value = scores_of(line).get(convention)
    return f"{'no score' if value is None else _score(value)} ({_finish(line)})"


def _finish(line: Line) -> str:
    finish = {"length": "cut by length", "stop": "ended its turn", "failed": "failed"}.get(str(line.get("finish")), "")
    tokens = number(line.get("tokens"))
    return ", ".join(p for p in (finish, f"{tokens:,.0f} tokens" if tokens is not None else "") if p) or "no details"


def _turn(name: str, body: Markup) -> Markup:
    return tag("div", tag("h4", name), tag("pre", body), class_="turn")


def _clip(text: str) -> Markup:
    if len(text) <= 2 * ANSWER_CHARS:
        return join([text])
    left = tag("i", f" … {len(text) - 2 * ANSWER_CHARS:,} characters left out … ")
    return join([text[:ANSWER_CHARS], left, text[-ANSWER_CHARS:]])
