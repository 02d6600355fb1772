"""Ask a checkpoint everything that the recipe asks, in one process or several, and score the answers.

```
evaluate/
  rows/                                 generated rows, in the official Parquet layout; the commits of the hub's
  responses/<step>/<suite>.jsonl        a line an answer, in the order of the questions (`acc.evaluate.lines`)
  responses/<step>/parts/               what each process has answered so far; merged and deleted at the end
  server/<step>/                        a server's log, and the journal of its responses
  scores.jsonl                          a line a score
```

A response is on disk before it counts. Its key is a hash of the weights, the question and the sampling, so an evaluation that
was killed goes on where it was, and another checkpoint or recipe never inherits an answer. What is measured on a response is
measured again whenever it is scored. A question that a server failed on is asked again the next time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist

from acc.chat import StudentChat, load_chat
from acc.errors import UserError
from acc.evaluate.backends import open_backend
from acc.evaluate.base_answers import base_answers_of
from acc.evaluate.lines import Line
from acc.evaluate.outside import weights_of
from acc.evaluate.questions import Answer, Backend, Question
from acc.evaluate.responses import Responses
from acc.evaluate.scoring import asked_otherwise, benchmark_scores
from acc.evaluate.suites import Suite, prepare_rows, suites_of
from acc.llm.journal import read_journal
from acc.recipe.policy import check_evaluation
from acc.recipe.schema import Recipe
from acc.records.scores import SCORES, Score, append_scores
from acc.stage.files import digest

Rows = Literal["full", "screen"]
"""All rows, or those of `evaluate.screen` (and all held-out questions)."""
Scored = tuple[Sequence[int], Sequence[int], tuple[int, int]]
"""Token ids of a prompt, those of the gold answer behind it, and the half-open range of the answer that counts."""
Likelihood = Callable[[Sequence[Scored]], Sequence[float | None]]
"""Mean negative log-likelihoods by the model in training; every process calls it with the same list."""
Nll = dict[tuple[str, str], float | None]


def run(
    recipe: Recipe,
    compiled: Path,
    out: Path,
    checkpoint: str,
    step: int,
    *,
    rows: Rows = "full",
    backend: Backend | None = None,
    likelihood: Likelihood | None = None,
) -> list[Score]:
    """Evaluate one checkpoint and append its scores to out/scores.jsonl.

    Where torch.distributed is initialised every process must call it: each answers its share of the questions (with a server
    rank 0 asks them all), and rank 0 merges and scores. In a launch of several processes that have no group, rank 0 does it
    alone.

    Args:
        compiled: the folder of `acc compile`; read for held-out questions only.
        checkpoint: a folder or a hub id.
        step: its global step, 0 for the base.
        rows: what is asked; with all rows the screen's scores are written too, and general tasks and commands run.
        backend: who answers, left open; None opens what the recipe says.
        likelihood: measures nll where who answers does not: a server, or nobody where nll is all that is wanted.

    Returns:
        The scores, on rank 0; elsewhere nothing.

    Raises:
        UserError: the checkpoint, the rows or the samples are missing or wrong, or the model is too large.
    """
    return Evaluation(recipe, compiled, out).run(checkpoint, step, rows=rows, backend=backend, likelihood=likelihood)


class Evaluation:
    """A recipe's questions, encoded once for all checkpoints. The arguments are those of `run`."""

    def __init__(self, recipe: Recipe, compiled: Path, out: Path) -> None:
        self.recipe, self.compiled, self.out = recipe, compiled, out
        grouped = dist.is_initialized()
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if grouped else (int(os.environ.get("RANK", "0")), 1)
        self._chat: StudentChat | None = None
        self._suites: list[Suite] = []
        self.unanswered = 0
        """Questions of the last run that a server failed on."""

    def run(
        self,
        checkpoint: str,
        step: int,
        *,
        rows: Rows = "full",
        backend: Backend | None = None,
        likelihood: Likelihood | None = None,
    ) -> list[Score]:
        """Evaluate one checkpoint (see the function `run`)."""
        if self.rank >= self.world:
            return []
        # Loading and generating draw random numbers; the training around must not notice.
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            return self._run(checkpoint, step, rows, backend, likelihood)

    def _run(
        self, checkpoint: str, step: int, rows: Rows, backend: Backend | None, likelihood: Likelihood | None
    ) -> list[Score]:
        chat = self._prepare()
        alone = self.recipe.evaluate.server is not None
        # Where nothing is generated and the training measures likelihoods there is nobody to ask.
        silent = likelihood is not None and not any(q.max_new_tokens for q in self._questions())
        nobody = silent and backend is None and not alone
        elsewhere = nobody or (alone if backend is None else not backend.scores_targets)
        nll = self._likelihoods(likelihood) if likelihood is not None and elsewhere else {}
        if alone and self.rank:
            _barrier()
            return []
        with ExitStack() as held:
            if backend is None:
                backend = _Nobody(checkpoint, self.recipe) if nobody else self._open(checkpoint, step, chat)
                held.callback(backend.close)
            kept = base_answers_of(self.out, backend.fingerprint) if step == 0 else None
            responses = Responses(self.out / "responses" / str(step), self.recipe, backend.fingerprint, kept)
            for suite in self._suites:
                asked = [q for q in _fitting(suite, backend.window) if rows == "full" or suite.is_screened(q)]
                responses.ask(suite, asked, backend, (0, 1) if alone else (self.rank, self.world))
            more = rows == "full" and bool(self.recipe.evaluate.general or self.recipe.evaluate.commands)
            if not (alone and more):
                held.close()  # what comes next may want the memory
            _barrier()
            if self.rank:
                return []
            scores = self._scores(step, rows, responses, backend.window, nll)
            append_scores(self.out / SCORES, scores)
            responses.tidy()
            if more:
                outside = self._outside(checkpoint, step, _address(backend))
                append_scores(self.out / SCORES, outside)
                scores += outside
        return scores

    def _prepare(self) -> StudentChat:
        """Generate rows on rank 0, and encode the questions, the first time."""
        if self._chat is None:
            if not self.recipe.evaluate.measures_something:
                raise UserError("the recipe evaluates nothing", mend="Add evaluate.held_out or evaluate.benchmarks")
            check_evaluation(self.recipe)
            chat = load_chat(self.recipe.student, revision=self.recipe.model.revision)
            if self.rank == 0:
                prepare_rows(self.recipe, self.out, chat)
            _barrier()
            self._suites = suites_of(self.recipe, self.compiled, self.out, chat)
            self._chat = chat
        return self._chat

    def _questions(self) -> Iterator[Question]:
        return (question for suite in self._suites for question in suite.questions)

    def _open(self, checkpoint: str, step: int, chat: StudentChat) -> Backend:
        """Who answers; without a question or a server to keep, nobody: general tasks load the weights themselves."""
        if self.recipe.evaluate.server is None and not any(True for _ in self._questions()):
            return _Nobody(checkpoint, self.recipe)
        return open_backend(self.recipe, checkpoint, chat, self.out / "server" / str(step), step=step)

    def _likelihoods(self, likelihood: Likelihood) -> Nll:
        """What the training measures: (row, condition) → nll. Every process asks for the same."""
        wanted = [q for q in self._questions() if q.scored[1] > q.scored[0]]
        found = likelihood([(q.prompt, q.target, q.scored) for q in wanted]) if wanted else []
        return {(q.row, q.condition): nll for q, nll in zip(wanted, found, strict=True)}

    def _scores(self, step: int, rows: Rows, responses: Responses, window: int, nll: Nll) -> list[Score]:
        scores: list[Score] = []
        self.unanswered = 0
        for suite in self._suites:
            lines = responses.merge(suite, _fitting(suite, window), nll)
            self.unanswered += sum(line["finish"] == "failed" for line in lines)
            out_of_window = [q for q in suite.questions if not _fits(q, window)]
            skipped = [suite.place(q) for q in (*suite.over_long, *out_of_window) if q.sample == 0]
            base = self._base(step, suite.name)
            if otherwise := asked_otherwise(base, lines):
                _say(
                    f"{suite.name}: {otherwise:,} of the base's answers were asked for otherwise (max_new_tokens, sampling, "
                    "layout) and are in no difference: evaluate the base again"
                )
            if rows == "full" or suite.screen is None:
                scores += suite.scores(step, lines, skipped, base, screen=False)
            if suite.screen is not None:
                scores += suite.scores(step, lines, skipped, base, screen=True)
            if any(q.target for q in suite.questions) and not any(line["nll"] is not None for line in lines):
                _say(f"{suite.name}: nll is left out: who answers gives no likelihoods, and no training is at hand")
        return scores

    def _outside(self, checkpoint: str, step: int, address: tuple[str, str] | None) -> list[Score]:
        """General tasks and commands, run and scored."""
        evaluate = self.recipe.evaluate
        names: list[str] = []
        if evaluate.general is not None:
            from acc.evaluate.general import run_general

            run_general(self.recipe, checkpoint=checkpoint, server=address, out=self.out, step=step)
            names += [f"general_{task.task}" for task in evaluate.general.tasks]
        if evaluate.commands:
            from acc.evaluate.command import run_commands

            run_commands(self.recipe, checkpoint=checkpoint, server=address, out=self.out, step=step)
            names += [f"command_{command.name}" for command in evaluate.commands]
        folder = self.out / "responses" / str(step)
        scores: list[Score] = []
        for name in names:
            lines = read_journal(folder / f"{name}.jsonl")
            scores += benchmark_scores(step, name, lines, base=self._base(step, name))
        return scores

    def _base(self, step: int, suite: str) -> list[Line]:
        """The lines of step 0, for differences."""
        return read_journal(self.out / "responses" / "0" / f"{suite}.jsonl") if step else []


class _Nobody:
    """A backend that answers nothing, for questions of which a likelihood alone is wanted."""

    window = sys.maxsize
    scores_targets = False

    def __init__(self, checkpoint: str, recipe: Recipe) -> None:
        rope = recipe.model.rope.model_dump(mode="json") if recipe.model.rope else None
        self.fingerprint = digest([weights_of(checkpoint, recipe.model.revision), rope])

    def answer(self, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
        return iter(())

    def close(self) -> None:
        """It holds nothing."""


def _fits(question: Question, window: int) -> bool:
    return len(question.prompt) + max(question.max_new_tokens, len(question.target)) <= window


def _fitting(suite: Suite, window: int) -> list[Question]:
    return [q for q in suite.questions if _fits(q, window)]


def _address(backend: Backend) -> tuple[str, str] | None:
    """(base URL, model's name) of the server that answers, which starts where it is ours; None for a backend that is none."""
    url, model = getattr(backend, "base_url", None), getattr(backend, "model", None)
    return (url, model) if url and model else None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
