"""Calibration: what this harness measures beside what the paper published, cell by cell.

Only official rows, all of them, count: never synthetic ones, never a screen. Of GraphWalks precision is compared, of MRCR the
official rule, as in the paper. "all" is the mean over rows, so kinds weigh by their rows; where rows of other kinds were asked
too (8 needles) it is not the paper's, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from acc.recipe.evaluation import Evaluate
from acc.recipe.preset import choice_lines
from acc.records.published import ACC, BASE, LARGER, PROTOCOL, PUBLISHED
from acc.records.scores import Score

CHECKPOINTS = {
    "Qwen/Qwen3-30B-A3B-Thinking-2507": BASE,
    "groundhogLLM/ACC-Qwen3-30B-A3B": ACC,
    "Qwen/Qwen3-235B-A22B-Thinking-2507": LARGER,
}
"""Hub id → the model's name in the paper's table."""

OTHER_KINDS = "rows of other kinds were asked too"
NOT_MEASURED = "not measured"


class Cell(NamedTuple):
    """One cell of the table. All values are shares; `measured`, `ci95` and `published` are None where there is no such number.

    `gain` says that it is the difference to the base, paired by row where measured. `n` are rows, `skipped` those that were
    not asked, `failed` those without an answer. `note` says why nothing was measured.
    """

    step: int
    model: str
    benchmark: str
    group: str
    measured: float | None
    ci95: tuple[float, float] | None
    n: int
    skipped: int
    failed: int
    published: float | None
    gain: bool = False
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Measured less published."""
        return None if self.measured is None or self.published is None else self.measured - self.published


def published_name(checkpoint: str) -> str | None:
    """The paper's name of a checkpoint: a hub id, a folder of that name, or one in the hub's cache; None for any other."""
    parts = [part.rpartition("--")[2].casefold() for part in PurePath(checkpoint).parts]
    return next((paper for hub_id, paper in CHECKPOINTS.items() if PurePath(hub_id).name.casefold() in parts), None)


def calibrate(scores: Iterable[Score], checkpoints: Mapping[int, str]) -> list[Cell]:
    """The cells of the paper's tables of MRCR and GraphWalks, for every checkpoint in the order of steps.

    Args:
        scores: all of scores.jsonl.
        checkpoints: step → folder or hub id; step 0 is the base.
    """
    found = {
        (s.step, s.benchmark, s.metric, s.group): s
        for s in scores
        if not s.synthetic and not s.screen and s.condition == "full"
    }
    tables = list(dict.fromkeys((p.benchmark, p.metric) for p in PUBLISHED if p.benchmark in ("mrcr", "graphwalks")))
    cells: list[Cell] = []
    for step, checkpoint in sorted(checkpoints.items()):
        for benchmark, metric in tables:
            groups = list(dict.fromkeys(p.group for p in PUBLISHED if p.benchmark == benchmark))
            kinds = [found.get((step, benchmark, metric, g)) for g in groups if g != "all"]
            # Without a base among the checkpoints nobody knows what an old score of step 0 was about.
            compared = (False, True) if step and 0 in checkpoints else (False,)
            for gain, group in ((g, name) for g in compared for name in groups):
                score = found.get((step, benchmark, f"{metric}_minus_base" if gain else metric, group))
                note = "" if score else NOT_MEASURED
                whole = found.get((step, benchmark, metric, "all"))
                if group == "all" and whole and sum(k.n for k in kinds if k) != whole.n:
                    score, note = None, OTHER_KINDS
                cells.append(_cell(step, checkpoint, benchmark, group, score, gain, note))
    return cells


def calibration_lines(scores: Sequence[Score], checkpoints: Mapping[int, str], evaluate: Evaluate) -> list[str]:
    """The table as lines to print, in points (hundredths), with both protocols below.

    Args:
        scores, checkpoints: as in `calibrate`.
        evaluate: the recipe's section: what is ours.
    """
    cells = calibrate(scores, checkpoints)
    lines = ["measured beside published (arXiv 2605.21850; published numbers were not measured here), points"]
    for step, checkpoint in sorted(checkpoints.items()):
        paper = published_name(checkpoint)
        lines += ["", f"{checkpoint} (step {step}): {f'in the paper {paper}' if paper else 'not in the paper'}"]
        lines.append(f"  {'':<24}{'measured':>9}  {'95% interval':<16}{'n':>5}{'published':>11}{'difference':>12}")
        lines += [_line(c) for c in cells if c.step == step]
    ours = choice_lines(evaluate) or ["the recipe has no preset: acc_paper, so its protocol may be another"]
    return [*lines, "", f"the paper: {PROTOCOL}", *ours]


def _cell(step: int, checkpoint: str, benchmark: str, group: str, score: Score | None, gain: bool, note: str) -> Cell:
    published = _published(checkpoint, benchmark, group)
    if gain and published is not None:
        base = _published(next(iter(CHECKPOINTS)), benchmark, group)
        published = None if base is None or published_name(checkpoint) != ACC else published - base
    if score is None or not score.n:
        gone = score.skipped if score else 0
        return Cell(step, checkpoint, benchmark, group, None, None, 0, gone, 0, published, gain, note or NOT_MEASURED)
    return Cell(
        step, checkpoint, benchmark, group, score.mean, score.ci95, score.n, score.skipped, score.failed, published, gain
    )  # fmt: skip


def _published(checkpoint: str, benchmark: str, group: str) -> float | None:
    name = published_name(checkpoint)
    return next((p.value for p in PUBLISHED if (p.model, p.benchmark, p.group) == (name, benchmark, group)), None)


def _line(cell: Cell) -> str:
    name = f"{cell.benchmark} {cell.group}{' less base' if cell.gain else ''}"
    sign = "+" if cell.gain else ""
    published = "-" if cell.published is None else f"{100 * cell.published:{sign}.2f}"
    if cell.measured is None or cell.ci95 is None:
        return f"  {name:<24}{'-':>9}  {'':<16}{0:>5}{published:>11}{'':>12}  {cell.note}"
    between = f"[{100 * cell.ci95[0]:{sign}.2f}, {100 * cell.ci95[1]:{sign}.2f}]"
    apart = "-" if cell.difference is None else f"{100 * cell.difference:+.2f}"
    left = [f"{n} {what}" for n, what in ((cell.skipped, "skipped"), (cell.failed, "without an answer")) if n]
    line = f"  {name:<24}{100 * cell.measured:>{sign}9.2f}  {between:<16}{cell.n:>5}{published:>11}{apart:>12}"
    return f"{line}  {', '.join(left)}".rstrip()
