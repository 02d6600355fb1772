"""The answers of one checkpoint on disk: what is there, what is open, and the merged files."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from acc.evaluate.base_answers import BaseAnswers
from acc.evaluate.lines import Line, answer_of
from acc.evaluate.questions import Answer, Backend, Question
from acc.evaluate.suites import Suite
from acc.llm.journal import Journal, read_journal
from acc.recipe.schema import Recipe
from acc.stage.files import digest, whole

Shares = tuple[int, int]
"""(this process's number, processes that ask)."""


class Responses:
    """Answers in `responses/<step>`, known by a hash of the weights, the question and the sampling.

    Args:
        folder: `responses/<step>`.
        fingerprint: the backend's name of the weights.
        kept: the base's answers of other runs, to take over and to add to.
    """

    def __init__(self, folder: Path, recipe: Recipe, fingerprint: str, kept: BaseAnswers | None) -> None:
        self.folder, self.fingerprint, self.kept = folder, fingerprint, kept
        self._sampling = sampling_of(recipe)

    def ask(self, suite: Suite, questions: Sequence[Question], backend: Backend, shares: Shares) -> None:
        """Have this process's share of the questions answered, as far as they have no answer yet."""
        keys = {self._key(q): q for q in questions}
        done = self._answered(suite, keys)
        open_ = [keys[key] for key in keys if key not in done]
        with Journal(self._part(suite, shares[0])) as journal:
            for batch in _answers(backend, _share(questions, open_, shares)):
                journal.append(*({"key": self._key(q), **suite.line(q, answer)} for q, answer in batch))

    def merge(self, suite: Suite, questions: Iterable[Question], nll: dict[tuple[str, str], float | None]) -> list[Line]:
        """Write the suite's file: a line an answer, measured anew, in the order of the questions.

        Args:
            nll: (row, condition) → likelihood measured elsewhere.
        """
        keys = {self._key(q): q for q in questions}
        found = self._on_disk(suite, keys)
        lines: list[Line] = []
        for key, question in keys.items():
            if key in found:
                answer = answer_of(found[key])
                measured = nll.get((question.row, question.condition))
                if question.target and measured is not None:
                    answer = replace(answer, nll=measured)
                lines.append({"key": key, "how": self._how(question), **suite.line(question, answer)})
        write_lines(self.folder / f"{suite.name}.jsonl", lines)
        if self.kept is not None:
            self.kept.keep(suite.name, lines)
        return lines

    def tidy(self) -> None:
        """Delete the parts, once all is merged."""
        shutil.rmtree(self.folder / "parts", ignore_errors=True)

    def _key(self, question: Question) -> str:
        q = question
        asked = [q.row, q.condition, q.sample, _hash(q.prompt), q.max_new_tokens, list(q.target)]
        return digest([self.fingerprint, asked, self._sampling])

    def _how(self, question: Question) -> str:
        """How an answer is asked for, whoever gives it."""
        return digest([_hash(question.prompt), question.max_new_tokens, self._sampling])[:16]

    def _on_disk(self, suite: Suite, keys: Iterable[str]) -> dict[str, Line]:
        """Key → line: merged ones and those of every process; the last written counts."""
        known = self.kept.known(suite.name, keys) if self.kept is not None else []
        parts = sorted((self.folder / "parts").glob(f"{suite.name}.*.jsonl"))
        files = (self.folder / f"{suite.name}.jsonl", *parts)
        found: dict[str, Line] = {}
        for line in (*known, *(line for path in files for line in read_journal(path))):
            # A failure never takes the place of an answer.
            if line["finish"] != "failed" or line["key"] not in found:
                found[line["key"]] = line
        return found

    def _answered(self, suite: Suite, keys: Iterable[str]) -> set[str]:
        return {key for key, line in self._on_disk(suite, keys).items() if line["finish"] != "failed"}

    def _part(self, suite: Suite, number: int) -> Path:
        return self.folder / "parts" / f"{suite.name}.{number}.jsonl"


def _hash(prompt: Sequence[int]) -> str:
    """Of token ids. Not as JSON: prompts reach a million of them."""
    return sha256(array("I", prompt).tobytes()).hexdigest()


def sampling_of(recipe: Recipe) -> list[Any]:
    """What answers depend on besides the weights and the question."""
    sampling, server = recipe.evaluate.sampling, recipe.evaluate.server
    drawn = [sampling.temperature, sampling.top_p, sampling.top_k, recipe.seed] if sampling.temperature else []
    return [drawn, server.parameters if server is not None else {}]


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Write lines, whole or not at all."""
    with whole(path) as partial, Journal(partial) as journal:
        journal.append(*lines)


def _share(questions: Sequence[Question], open_: Sequence[Question], shares: Shares) -> list[Question]:
    """This process's part of the open questions.

    The longest weigh most: in turns over the prompts by length every process gets as many of each. Answers to one prompt stay
    together, because reading it is most of the work.
    """
    number, processes = shares
    prompts = {(len(q.prompt), q.row, q.condition) for q in questions}
    mine = set(sorted(prompts)[number::processes])
    return [q for q in open_ if (len(q.prompt), q.row, q.condition) in mine]


def _answers(backend: Backend, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
    """The backend's answers. Where a likelihood alone is wanted of one that gives none, there is nothing to ask."""
    if not backend.scores_targets:
        yield [(q, Answer("", 0, "stop")) for q in questions if not q.max_new_tokens]
        questions = [q for q in questions if q.max_new_tokens]
    if questions:
        yield from backend.answer(questions)
