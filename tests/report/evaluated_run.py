"""A run that was evaluated in every way: official and synthetic rows, a screen, general tasks, an own program, four conditions.

Lines are written by the layout of `acc.evaluate.lines`; scores are made of them by `acc.evaluate.scoring` itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from example_run import HOSTILE, STEPS, WORDS, make_run

from acc.evaluate.lines import Line
from acc.evaluate.scoring import benchmark_scores, held_out_scores
from acc.records.sample import Sample, read_samples
from acc.records.scores import append_scores
from acc.stage.files import write_json, write_text

FULL_STEPS = (0, 40, 60)
"""The base, the best and the last; at step 20 the screen alone is asked."""
BINS = (8192, 16384, 32768, 65536, 131072)
KINDS = {"mrcr": ("2needle", "4needle", "8needle"), "graphwalks": ("parents", "bfs")}
CONVENTIONS = {
    "mrcr": ("official", "none", "lstrip", "strip"),
    "graphwalks": ("f1", "official_f1", "strict_f1", "precision", "recall", "exact"),
}
QUOTED = {"mrcr": ("official",), "graphwalks": ("f1", "precision")}
SAMPLES = 3


def make_evaluated(root: Path) -> Path:
    """The run, whole."""
    run = make_run(root, until="train", synthetic=False)
    _recipe(run)
    write_json(run / "train/best.json", {"step": 40, "score": "mrcr/official", "value": 0.5})
    for name, synthetic, per_cell in (("mrcr", False, 3), ("graphwalks", False, 4), ("mrcr", True, 1)):
        _benchmark(run, name, synthetic=synthetic, per_cell=per_cell)
    _held_out(run)
    for suite, convention, level, gain in (
        ("general_gpqa_diamond_cot_zeroshot", "exact_match,flexible-extract", 0.6, 0.03),
        ("general_ifeval", "prompt_level_strict_acc,none", 0.85, -0.25),
        ("command_house_agent", "solved", 0.3, 0.2),
    ):
        _outside(run, suite, convention, level, gain)
    _one_number(run)
    return run


def _recipe(run: Path) -> None:
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["evaluate"]["general"] = {"tasks": [{"task": "gpqa_diamond_cot_zeroshot"}, {"task": "ifeval"}]}
    write_json(run / "recipe.json", recipe)


def _write(run: Path, step: int, suite: str, lines: Sequence[Line]) -> None:
    write_text(run / f"evaluate/responses/{step}/{suite}.jsonl", "".join(json.dumps(x) + "\n" for x in lines))


def _answer(rng: random.Random, share: float, length: int) -> dict[str, Any]:
    """A response, its thinking and what it cost; the longer the prompt, the likelier it is cut."""
    cut = rng.random() < 0.03 + 0.25 * (length / BINS[-1]) ** 2
    thinking = rng.randint(400, 3_000) if not cut else 8_192
    text = " ".join(rng.choices(WORDS, k=40))
    said = "" if cut else f"{' '.join(rng.choices(WORDS, k=round(20 * share) + 3))} {HOSTILE}"
    parts = (
        {"response": said, "reasoning": text} if rng.random() < 0.5 else {"response": f"<think>\n{text}\n</think>\n\n{said}"}
    )
    if cut:
        parts = {"response": f"<think>\n{text}"}
    return {
        "reasoning": "",
        **parts,
        "finish": "length" if cut else "stop",
        "tokens": thinking + (0 if cut else 120),
        "thinking_tokens": thinking,
        "seconds": round(thinking / 55, 3),
        "failed": cut,
    }


def _benchmark(run: Path, name: str, *, synthetic: bool, per_cell: int) -> None:
    rng = random.Random(name)
    cells = [(kind, end) for kind in KINDS[name] for end in BINS]
    rows = [(f"0-{i}", *cell, rng.random()) for i, cell in enumerate(c for c in cells for _ in range(per_cell))]
    suite, base = f"synthetic_{name}" if synthetic else name, list[Line]()
    for place, step in enumerate(STEPS):
        whole = step in FULL_STEPS
        lines = []
        for number, (row, kind, end, hard) in enumerate(rows):
            screen = number % per_cell == 0
            level = 0.75 + 0.12 * place - 0.09 * KINDS[name].index(kind) - 0.5 * BINS.index(end) / len(BINS) - 0.35 * hard
            for sample in range(SAMPLES if screen or whole else 0):
                share = min(1.0, max(0.0, level + rng.gauss(0, 0.15)))
                answer = _answer(rng, share, end)
                share = 0.0 if answer["failed"] else share
                lines.append(
                    {
                        "key": f"{step}{row}{sample}", "row": row, "condition": "full", "sample": sample, "asked": row,
                        **answer, "prompt_tokens": end - 700, "kind": kind, "bin": f"up_to_{end}_tokens",
                        "bin_o200k": None if synthetic else end, "screen": screen,
                        "scores": {c: share if i == 0 else share * 0.9 for i, c in enumerate(CONVENTIONS[name])},
                        "prompt_start": "user: " + "write a poem about tapirs " * 57, "prompt_end": "in your response. " * 83,
                        "gold": f"x7Qw0pLm2Z {' '.join(WORDS)} {HOSTILE}",
                    }
                )  # fmt: skip
        _write(run, step, suite, lines)
        base = base or lines
        skipped = [{"row": "0-999", "kind": KINDS[name][0], "bin": "up_to_262144_tokens", "bin_o200k": None, "screen": False}]
        for screen in (False, True) if whole else (True,):
            found = benchmark_scores(
                step, name, lines, skipped=skipped, base=base if step else (), quoted=QUOTED[name], synthetic=synthetic,
                screen=screen, extra={"rows": ["0" * 32]},
            )  # fmt: skip
            append_scores(run / "evaluate/scores.jsonl", found)


def _held_out(run: Path) -> None:
    rng = random.Random("held_out")
    samples: list[Sample] = list(read_samples(run / "compile/samples.parquet"))[:90]
    base: list[Line] = []
    gap = {"full": 0.0, "no_support": 1.4, "exchanged": 0.02, "question_only": 1.9}
    for place, step in enumerate(STEPS):
        lines = []
        for i, s in enumerate(samples):
            end = BINS[i % 3] // 8
            easy = rng.gauss(1.2 - 0.25 * place, 0.3)
            for condition, more in gap.items():
                exact = float(rng.random() < (0.1 + 0.2 * place if condition in ("full", "exchanged") else 0.06))
                nll = easy + more * (0.15 + place / 3) + rng.gauss(0, 0.15)
                lines.append(
                    {
                        "key": f"{step}{i}{condition}", "row": s.sample_id, "condition": condition, "sample": 0,
                        "asked": s.sample_id, **_answer(rng, exact, end), "prompt_tokens": end - 100, "kind": s.domain,
                        "bin": f"up_to_{end}_tokens", "bin_o200k": None, "screen": False, "sample_id": s.sample_id,
                        "domain": s.domain, "exact": exact, "nll": nll,
                    }
                )  # fmt: skip
        _write(run, step, "held_out", lines)
        base = base or lines
        append_scores(run / "evaluate/scores.jsonl", held_out_scores(step, lines, base=base if step else ()))


def _outside(run: Path, suite: str, convention: str, level: float, gain: float) -> None:
    rng = random.Random(suite)
    rows = [(str(i), rng.random()) for i in range(80)]
    base: list[Line] = []
    for place, step in enumerate(FULL_STEPS):
        lines = [
            {
                "key": f"{step}{row}", "row": row, "condition": "full", "sample": 0, "asked": None, "kind": None,
                "screen": False,
                **(_answer(rng, 0.5, 4096) if suite.startswith("general") else {}), "failed": False,
                "scores": {convention: float(hard < level + gain * place / 2 + rng.gauss(0, 0.04)), "second_metric": hard},
            }
            for row, hard in rows
        ]  # fmt: skip
        _write(run, step, suite, lines)
        base = base or lines
        append_scores(run / "evaluate/scores.jsonl", benchmark_scores(step, suite, lines, base=base if step else ()))


def _one_number(run: Path) -> None:
    base: list[Line] = []
    for step in FULL_STEPS:
        line = {"key": "k", "row": "all", "condition": "full", "sample": 0, "screen": False, "failed": False}
        lines = [{**line, "scores": {"minutes saved": 12.5 + step}}]
        _write(run, step, "command_clock", lines)
        base = base or lines
        append_scores(run / "evaluate/scores.jsonl", benchmark_scores(step, "command_clock", lines, base=base if step else ()))
