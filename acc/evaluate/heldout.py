"""Held-out questions, asked with all evidence, with the support removed, and alone. The differences say what evidence does.

Two measures on each. `exact`: the generated answer is the gold answer, white space and (but for patches) case aside.
`nll`: the mean negative log likelihood, nats a token, of the gold answer's own tokens (without the stop token) right behind the
prompt and an empty rationale. The gold rationale is left out on purpose: it often names the answer, so behind it every
condition would look alike. A model trained on rationales has rarely seen an answer without one, so read its nll as a comparison
between conditions, not as its ability.
"""

from __future__ import annotations

import re
from pathlib import Path

from acc.chat import Layout, StudentChat
from acc.errors import UserError
from acc.evaluate.benchmarks import evenly
from acc.evaluate.questions import Question
from acc.recipe.data import Prompt
from acc.recipe.evaluation import Condition
from acc.records.sample import Sample, read_samples
from acc.records.withholding import remove_pieces

COLUMNS = ("pieces", "rationale")


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


def question(
    sample: Sample, condition: Condition, *, chat: StudentChat, layout: Layout, prompt: Prompt, max_new_tokens: int
) -> Question:
    """One held-out sample as a question to the model, with its gold answer as the target."""
    shown = chat.encode_prompt(remove_pieces(sample, condition, prompt), layout)
    gold = sample.ground_truth_answer
    rendered, _ = chat.target_text("", gold, layout)
    text, tokens, _ = chat.tokenizer.encode(rendered)
    end = len(text) - len(chat.stop)
    start = end - len(gold)
    inside = [i for i, (s, e) in enumerate(zip(*tokens.offsets, strict=True)) if e > start and s < end]
    scored = (inside[0], inside[-1] + 1) if inside else (0, 0)
    return Question(sample.sample_id, condition, shown.ids, max_new_tokens, tokens.ids, scored)


def is_exact(sample: Sample, answer: str, layout: Layout) -> bool:
    """Whether a response's text after its thinking is the gold answer.

    In the plain layout the rationale stands before the answer, so the last paragraphs are compared: as many as gold has.
    """
    gold = sample.ground_truth_answer
    if layout == "plain":
        answer = "\n\n".join(answer.strip().split("\n\n")[-len(gold.strip().split("\n\n")) :])
    return normalise(answer, sample.domain) == normalise(gold, sample.domain)


def normalise(answer: str, domain: str) -> str:
    """An answer as it is compared: one space for any white space, no case; for software the lines, without blank ones."""
    if domain == "software":
        return "\n".join(line.rstrip() for line in answer.splitlines() if line.strip())
    return re.sub(r"\s+", " ", answer).strip().casefold()
