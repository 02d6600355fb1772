"""Held-out questions one by one: what each scored under each condition, and differences over the same questions."""

from __future__ import annotations

from typing import Literal

from acc.records.stats import Mean, paired
from acc.report.files import RunFiles

Metric = Literal["exact", "nll"]
NAMES = {
    "full": "all evidence",
    "no_support": "support removed",
    "exchanged": "distractors removed",
    "question_only": "question alone",
}
COLOUR = {"full": 0, "no_support": 1, "exchanged": 2, "question_only": 7}


def difference(run: RunFiles, metric: Metric, a: tuple[int, str], b: tuple[int, str], domain: str = "") -> Mean:
    """Paired difference a − b over the questions that both were asked; a and b are (step, condition)."""
    return paired(by_question(run, metric, *a, domain=domain), by_question(run, metric, *b, domain=domain))


def by_question(run: RunFiles, metric: Metric, step: int, condition: str, *, domain: str = "") -> dict[str, float]:
    """Question → what was measured, the mean of its samples."""
    found: dict[str, list[float]] = {}
    for r in run.held_out_rows.get(step, ()):
        if r.get("condition") == condition and r.get(metric) is not None and domain in ("", r.get("domain")):
            found.setdefault(str(r["sample_id"]), []).append(float(r[metric]))
    return {question: sum(values) / len(values) for question, values in found.items()}
