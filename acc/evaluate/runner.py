"""Ask a checkpoint everything that the recipe asks, in one process or several, and score the answers.

```
evaluate/
  rows/                                 generated rows, in the official Parquet layout
  responses/<step>/<suite>.jsonl        a line a question, in the order of the questions
  responses/<step>/parts/               what each process has answered so far; merged and deleted at the end
  scores.jsonl                          a line a score
```

A response is on disk before it counts. Its key is a hash of the weights, the question and the sampling, so an evaluation that
was killed goes on where it was, and another checkpoint or recipe never inherits an answer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
import torch.distributed as dist

from acc.chat import StudentChat, load_chat
from acc.errors import UserError
from acc.evaluate.generation import InProcess
from acc.evaluate.questions import Question
from acc.evaluate.suites import Line, Suite, generate_rows, suites_of
from acc.llm.journal import Journal, read_journal
from acc.recipe.schema import Recipe
from acc.records.scores import SCORES, Score, append_scores
from acc.stage.files import digest, whole
from acc.stage.seeds import seed_for


def run(recipe: Recipe, compiled: Path, out: Path, checkpoint: str, step: int) -> list[Score]:
    """Evaluate one checkpoint and append its scores to out/scores.jsonl.

    Where torch.distributed is initialised every process must call it: each answers its share of the questions, and rank 0
    merges and scores. In a launch of several processes that have no group, rank 0 does it alone.

    Args:
        compiled: the folder of `acc compile`; read for held-out questions only.
        checkpoint: a folder or a hub id.
        step: its global step, 0 for the base.

    Returns:
        The scores, on rank 0; elsewhere nothing.

    Raises:
        UserError: the checkpoint, the rows or the samples are missing or wrong, or the model is too large.
    """
    return Evaluation(recipe, compiled, out).run(checkpoint, step)


class Evaluation:
    """A recipe's questions, encoded once for all checkpoints. The arguments are those of `run`."""

    def __init__(self, recipe: Recipe, compiled: Path, out: Path) -> None:
        self.recipe, self.compiled, self.out = recipe, compiled, out
        grouped = dist.is_initialized()
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if grouped else (int(os.environ.get("RANK", "0")), 1)
        self._chat: StudentChat | None = None
        self._suites: list[Suite] = []

    def run(self, checkpoint: str, step: int) -> list[Score]:
        """Evaluate one checkpoint (see the function `run`)."""
        if self.rank >= self.world:
            return []
        # Loading and generating draw random numbers; the training around must not notice.
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            return self._run(checkpoint, step)

    def _run(self, checkpoint: str, step: int) -> list[Score]:
        chat = self._prepare()
        folder = self.out / "responses" / str(step)
        evaluate = self.recipe.evaluate
        backend = InProcess(
            checkpoint,
            stop_id=chat.stop_id,
            decode=lambda ids: chat.tokenizer.decode(ids, keep_control=True),
            batch_tokens=evaluate.batch_tokens,
            revision=None if Path(checkpoint).is_dir() else self.recipe.model.revision,
            trust_remote_code=self.recipe.model.trust_remote_code,
            temperature=evaluate.sampling.temperature,
            seed=seed_for(self.recipe.seed, "evaluate"),
        )
        sampling = [evaluate.sampling.temperature, self.recipe.seed if evaluate.sampling.temperature else 0]
        keys = {
            (suite.name, q.row, q.condition): digest(
                [backend.fingerprint, q.row, q.condition, list(q.prompt), q.max_new_tokens, list(q.target), sampling]
            )
            for suite in self._suites
            for q in suite.questions
        }
        fitting = {s.name: [q for q in s.questions if _fits(q, backend.window)] for s in self._suites}
        for suite in self._suites:
            done = {line["key"] for line in _on_disk(folder, suite.name)}
            # The longest weigh most: in turns over the questions by length every process gets as many of each.
            mine = sorted(fitting[suite.name], key=lambda q: (len(q.prompt), q.row, q.condition))[self.rank :: self.world]
            open_ = [q for q in mine if keys[suite.name, q.row, q.condition] not in done]
            with Journal(_part(folder, suite.name, self.rank)) as journal:
                for batch in backend.answer(open_):
                    journal.append(*({"key": keys[suite.name, q.row, q.condition], **suite.line(q, a)} for q, a in batch))
        backend.close()
        _barrier()
        if self.rank:
            return []
        scores: list[Score] = []
        for suite in self._suites:
            found = {line["key"]: line for line in _on_disk(folder, suite.name)}
            lines = [found[keys[suite.name, q.row, q.condition]] for q in fitting[suite.name]]
            _write_lines(folder / f"{suite.name}.jsonl", lines)
            skipped = [*suite.over_long, *(q for q in suite.questions if not _fits(q, backend.window))]
            base = read_journal(self.out / "responses" / "0" / f"{suite.name}.jsonl") if step else []
            scores += suite.scores(step, lines, skipped, base)
        shutil.rmtree(folder / "parts")
        append_scores(self.out / SCORES, scores)
        return scores

    def _prepare(self) -> StudentChat:
        """Generate rows on rank 0, and encode the questions, the first time."""
        if self._chat is None:
            chat = load_chat(self.recipe.student, revision=self.recipe.model.revision)
            if self.rank == 0:
                generate_rows(self.recipe, self.out, chat)
            _barrier()
            self._suites = suites_of(self.recipe, self.compiled, self.out, chat)
            if not self._suites:
                raise UserError("the recipe evaluates nothing", mend="Add evaluate.held_out or evaluate.benchmarks")
            self._chat = chat
        return self._chat


def _fits(question: Question, window: int) -> bool:
    return len(question.prompt) + max(question.max_new_tokens, len(question.target)) <= window


def _part(folder: Path, name: str, rank: int) -> Path:
    return folder / "parts" / f"{name}.{rank}.jsonl"


def _on_disk(folder: Path, name: str) -> list[Line]:
    """All lines of a suite: merged ones, and those of every process."""
    parts = sorted((folder / "parts").glob(f"{name}.*.jsonl"))
    return [line for path in (folder / f"{name}.jsonl", *parts) for line in read_journal(path)]


def _write_lines(path: Path, lines: list[Line]) -> None:
    with whole(path) as partial, Journal(partial) as journal:
        journal.append(*lines)


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
