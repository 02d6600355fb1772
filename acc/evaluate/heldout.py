"""Held-out questions, asked with all evidence, with the support removed, and alone. The differences say what evidence does.

The control is `exchanged`: support and distractors exchange roles, so as many distractors are removed, at random, as there is
support. Who reads the evidence loses by the first, and nothing by the second.

Two measures on each. `exact`: the generated answer is the gold answer, white space and (but for patches) case aside.
`nll`: the mean negative log likelihood, nats a token, of the gold answer's own tokens (without the stop token) right behind the
prompt and an empty rationale. The gold rationale is left out on purpose: it often names the answer, so behind it every
condition would look alike. A model trained on rationales has rarely seen an answer without one, so read its nll as a comparison
between conditions, not as its ability.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from acc.chat import Layout, StudentChat
from acc.errors import UserError
from acc.evaluate.benchmarks import evenly
from acc.evaluate.questions import Question
from acc.recipe.data import Prompt
from acc.recipe.evaluation import Condition, HeldOut
from acc.records.sample import Sample, read_samples
from acc.records.withholding import can_withhold, remove_pieces

COLUMNS = ("pieces", "rationale")
Measure = Literal["exact", "nll"]


def read_held_out(samples: Path, limit: int | None) -> tuple[list[Sample], int]:
    """The held-out samples to ask, in the order of their ids, and how many can't be asked (targets without one question).

    Raises:
        UserError: there is no samples.parquet.
    """
    if not samples.is_file():
        raise UserError("there are no compiled samples", where=str(samples), mend="Run `acc compile` first")
    # Ids first: a sample reaches half a megabyte, and most are not taken.
    held = {s.sample_id: s.target in ("acc", "answer_only") for s in read_samples(samples, ()) if s.split == "held_out"}
    taken = set(evenly(sorted(i for i, asked in held.items() if asked), limit))
    found = [s for s in read_samples(samples, COLUMNS) if s.sample_id in taken]
    return sorted(found, key=lambda s: s.sample_id), sum(not asked for asked in held.values())


def questions(
    samples: Sequence[Sample], asked: HeldOut, *, chat: StudentChat, layout: Layout, prompt: Prompt
) -> tuple[list[Question], dict[Condition, int]]:
    """Every sample in every condition, and how many can't be asked in a condition: samples without distractors, exchanged."""
    found, left_out = list[Question](), dict.fromkeys(asked.conditions, 0)
    new = asked.max_new_tokens
    for sample in samples:
        for condition in asked.conditions:
            if can_withhold(sample, condition):
                found.append(
                    question(
                        sample, condition, chat=chat, layout=layout, prompt=prompt, max_new_tokens=new, measures=asked.measures
                    )
                )
            else:
                left_out[condition] += 1
    return found, left_out


def question(
    sample: Sample,
    condition: Condition,
    *,
    chat: StudentChat,
    layout: Layout,
    prompt: Prompt,
    max_new_tokens: int,
    measures: Sequence[Measure] = ("exact", "nll"),
) -> Question:
    """One held-out sample as a question to the model: with its gold answer as the target if nll is measured, without an answer
    wanted (`max_new_tokens` 0) if exact is not."""
    messages = remove_pieces(sample, condition, prompt)
    ids = chat.encode_prompt(messages, layout).ids
    target, scored = _target(sample, chat, layout) if "nll" in measures else ((), (0, 0))
    new = max_new_tokens if "exact" in measures else 0
    return Question(sample.sample_id, condition, ids, new, target, scored, messages)


def is_exact(sample: Sample, answer: str, layout: Layout) -> bool:
    """Whether a response's text after its thinking is the gold answer.

    In the plain layout the rationale stands before the answer, so the last paragraphs are compared: as many as gold has.
    """
    gold = sample.ground_truth_answer
    if layout == "plain":
        answer = "\n\n".join(answer.strip().split("\n\n")[-len(gold.strip().split("\n\n")) :])
    return normalise(answer, sample.domain) == normalise(gold, sample.domain)


def _target(sample: Sample, chat: StudentChat, layout: Layout) -> tuple[Sequence[int], tuple[int, int]]:
    """The gold answer as a turn without reasoning, token ids, and the range of those that are the answer's own."""
    gold = sample.ground_truth_answer
    rendered, _ = chat.target_text("", gold, layout)
    text, tokens, _ = chat.tokenizer.encode(rendered)
    end = len(text) - len(chat.stop)
    start = end - len(gold)
    inside = [i for i, (s, e) in enumerate(zip(*tokens.offsets, strict=True)) if e > start and s < end]
    return tokens.ids, (inside[0], inside[-1] + 1) if inside else (0, 0)


def normalise(answer: str, domain: str) -> str:
    """An answer as it is compared: one space for any white space, no case; for software the lines, without blank ones."""
    if domain == "software":
        return "\n".join(line.rstrip() for line in answer.splitlines() if line.strip())
    return re.sub(r"\s+", " ", answer).strip().casefold()
