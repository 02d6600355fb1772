"""Rationales by a teacher that sees exactly the student's prompt, and the test for leaks before them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from acc.chat import StudentChat, load_chat
from acc.compile.merging import Tally
from acc.compile.teacher.account import Sums, Taught
from acc.compile.teacher.asking import api_key, ask
from acc.compile.teacher.attempts import Kind, outcome
from acc.compile.teacher.progress import Progress
from acc.compile.teacher.questions import Leaks, Rationales
from acc.errors import UserError
from acc.llm import Answers
from acc.recipe import Recipe
from acc.recipe.data import Teacher
from acc.recipe.policy import check_egress
from acc.records.sample import Sample, read_samples, write_samples
from acc.stage.rejections import Rejection

JOURNALS = {"leakage": "leakage.jsonl", "rationale": "teacher.jsonl"}


def needs_server(recipe: Recipe) -> bool:
    """Whether a recipe asks a server: for rationales, or whether questions leak."""
    return recipe.rationale.kind == "teacher" or recipe.quality.leakage != "off"


def write_rationales(
    recipe: Recipe, samples: Path, out: Path, *, folder: Path | None = None, chat: StudentChat | None = None
) -> Taught:
    """Ask the recipe's server about merged samples, and write those that are left with what it said.

    First the question-only test, then the rationales of what it leaves. Every answer is in a journal before it counts, so a
    killed call goes on where it was; then all samples are read once more, and what is written is a function of the journals:
    of each sample the first accepted attempt in the order of attempts. At most one row group and the prompts in flight are
    in memory.

    Args:
        samples: merged samples (Parquet), in any order that is kept.
        out: Parquet file to write; not `samples`.
        folder: where teacher.jsonl and leakage.jsonl lie; None takes that of `out`.
        chat: the student; None loads it.

    Raises:
        UserError: a source's policy forbids the server, its key is not set, it refuses every request, or it is gone.
    """
    check_asking(recipe)
    teacher = teacher_of(recipe)
    folder, chat = folder or out.parent, chat or load_chat(recipe.student)
    kinds = kinds_of(recipe, teacher, chat)
    taught = Taught(kinds={name: {} for name in kinds})
    for name, kind in kinds.items():
        spent = sum(answers.tokens for answers in taught.answers.values())
        left = (s for s in read_samples(samples) if s.target in kind.targets and _leaves(s, kinds, taught.answers))
        with Progress(name, _count(samples, kind)) as progress:
            taught.answers[name] = ask(left, kind, teacher, folder / JOURNALS[name], progress, spent)
    taught.written = write_samples(out, _written(samples, kinds, taught))
    print(taught.table(teacher), file=sys.stderr)
    return taught


def check_asking(recipe: Recipe) -> None:
    """Refuse before any work what would be refused before the first request.

    Raises:
        UserError: a source's policy forbids the server, or its key is not set.
    """
    teacher = teacher_of(recipe)
    api_key(teacher)
    for source in recipe.sources:
        if source.target in ("acc", "answer_only"):
            check_egress(source.policy, teacher.base_url, source.name, recipe.field_of(source))


def teacher_of(recipe: Recipe) -> Teacher:
    """The recipe's server.

    Raises:
        UserError: it names none.
    """
    if recipe.rationale.teacher is None:
        raise UserError("the recipe names no server to ask", where="rationale.teacher", mend="Give it base_url and model")
    return recipe.rationale.teacher


def kinds_of(recipe: Recipe, teacher: Teacher, chat: StudentChat) -> dict[str, Kind]:
    """What the recipe asks, in the order in which it does."""
    kinds: dict[str, Kind] = {"leakage": Leaks(recipe, teacher, chat), "rationale": Rationales(recipe, teacher, chat)}
    return {name: kind for name, kind in kinds.items() if kind.targets}


def _leaves(sample: Sample, kinds: dict[str, Kind], answers: dict[str, Answers]) -> bool:
    """Whether a sample is still there after the kinds of question that were answered."""
    return not isinstance(_settle(sample, kinds, answers, Counter(), {}), Rejection)


def _settle(
    sample: Sample, kinds: dict[str, Kind], answers: dict[str, Answers], counts: Counter[str], sums: dict[str, dict[str, Sums]]
) -> Sample | Rejection:
    """A sample after the kinds of question that were answered, in their order."""
    for name, found_in in answers.items():
        if sample.target in kinds[name].targets:
            found = outcome(sample, kinds[name], found_in)
            sums.setdefault(name, {}).setdefault(sample.domain, Sums()).add(found)
            settled = kinds[name].settle(sample, found, counts)
            if isinstance(settled, Rejection):
                return settled
            sample = settled
    return sample


def _written(samples: Path, kinds: dict[str, Kind], taught: Taught) -> Iterator[Sample]:
    for sample in read_samples(samples):
        tally = taught.tallies.setdefault(sample.source, Tally())
        settled = _settle(sample, kinds, taught.answers, tally.counts, taught.kinds)
        if isinstance(settled, Rejection):
            tally.rejected[settled.reason] += 1
            taught.rejections.append(settled)
            continue
        tally.written += 1
        tally.domains[settled.domain] += 1
        tally.tokens.append(settled.prompt_tokens + settled.target_tokens)
        yield settled


def _count(samples: Path, kind: Kind) -> int:
    """Samples that are asked about, number."""
    file = pq.ParquetFile(samples)
    groups = (file.read_row_group(group, columns=["target"]) for group in range(file.num_row_groups))
    return sum(target in kind.targets for group in groups for target in group.column("target").to_pylist())
