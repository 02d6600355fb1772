"""The main result as a Markdown table, for a README or a note."""

from __future__ import annotations

from pathlib import Path

from acc.errors import UserError
from acc.records.stats import Mean
from acc.report.cells import model_name
from acc.report.files import CONDITIONS, RunFiles
from acc.report.questions import NAMES, Metric, difference


def held_out_table(folder: Path) -> str:
    """Every evaluated model under every condition, and the paired differences of the last one.

    Raises:
        UserError: the run has no held-out result.
    """
    run = RunFiles(folder)
    scores = {(s.step, s.metric, s.condition): s for s in run.scores if s.benchmark == "held_out" and s.group == "all"}
    steps = sorted({step for step, metric, _ in scores if metric == "exact"})
    if not steps:
        raise UserError("this run has no held-out result", where=str(folder), mend="Add evaluate.held_out and run it")
    shown = [c for c in CONDITIONS if any((s, "exact", c) in scores for s in steps)]
    lines = [f"| held-out questions | {' | '.join(NAMES[c] for c in shown)} |", "|---" * (len(shown) + 1) + "|"]
    metrics: tuple[tuple[Metric, str, float, str], ...] = (
        ("exact", "exact match, %", 100, ".1f"),
        ("nll", "NLL, nats a token", 1, ".2f"),
    )
    for metric, title, scale, form in metrics:
        for step in steps:
            found = [scores.get((step, metric, c)) for c in shown]
            cells = [_cell(Mean(s.mean, s.ci95, s.n), scale, form) if s else "–" for s in found]
            lines.append(f"| {title}: {model_name(step)} | {' | '.join(cells)} |")
    last = steps[-1]
    pairs = [(f"{model_name(last)} − base", (0, "full"))] if 0 in steps and last else []
    pairs += [(f"{model_name(last)} − itself, {NAMES[c]}", (last, c)) for c in shown if c != "full"]
    lines += ["", "| paired difference, all evidence unless said | exact match, points | NLL, nats a token |", "|---|---|---|"]
    for title, other in pairs:
        cells = [_cell(difference(run, m, (last, "full"), other), scale, f"+{form}") for m, _, scale, form in metrics]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Mean, scale: float, form: str) -> str:
    low, high = value.ci95
    return f"{value.mean * scale:{form}} [{low * scale:{form}}, {high * scale:{form}}] n={value.n}"
