"""What evaluation and the teacher will ask of models: rows, tokens, hours. Nothing of it is counted before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from acc.evaluate.plan import has_screen
from acc.launch.plan.architecture import Architecture
from acc.launch.plan.extent import Extent
from acc.launch.plan.figures import Figure
from acc.launch.plan.gpus import Gpus
from acc.launch.plan.speed import ATTENTION, DENSE_PRODUCTS, EXPERT_PRODUCTS
from acc.recipe import Recipe
from acc.recipe.evaluation import Benchmark

BINS = (8_192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)
"""MRCR's length bins; each number of needles has as many rows in each."""
ROWS_A_BIN, NEEDLES = 100, 3
GRAPHWALKS, GRAPHWALKS_TOKENS = 750, 60_000
"""Rows of the file up to 128K, and tokens of one on average."""
GENERAL = {"gpqa_diamond_cot_zeroshot": 198, "mmlu_pro": 12_032, "aime24": 30, "aime25": 30, "ifeval": 541}
GENERAL_ROWS, GENERAL_TOKENS = 500, 1_000
"""Rows of a task of lm-eval that is not known, and tokens of a prompt."""
WRITTEN = 0.25
"""Part of its limit that a long answer takes."""
SHORT = 1_024
"""Limit up to which answers count as long as they may become."""
BATCH = 32
"""Answers that are written at once where the recipe names no server."""
REACHED = 0.5
"""Share of the memory's bandwidth that writing answers reaches."""
ATTEMPTS = 2.0
"""Attempts of the teacher a sample."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions of one kind: how many of a checkpoint that is asked all and of one that is asked the screen, and their
    tokens."""

    rows: float
    screened: float
    prompt: float
    answer: float


def evaluation_figures(recipe: Recipe, a: Architecture, gpus: Gpus, extent: Extent) -> list[Figure]:
    """Tokens read and written for one checkpoint, GPU-hours for it, and node-hours for all of them."""
    evaluate = recipe.evaluate
    if not evaluate.measures_something:
        return []
    asked = _benchmarks(recipe)
    if evaluate.general:
        for task in evaluate.general.tasks:
            rows = task.limit or GENERAL.get(task.task, GENERAL_ROWS)
            asked.append(Asked(rows, 0, GENERAL_TOKENS, _written(task.max_new_tokens)))
    if evaluate.held_out:
        rows = (evaluate.held_out.limit or 500) * len(evaluate.held_out.conditions)
        asked.append(Asked(rows, rows, extent.tokens / 2, _written(evaluate.held_out.max_new_tokens)))
    read, written = sum(x.rows * x.prompt for x in asked), sum(x.rows * x.answer for x in asked)
    timed = [(x, _gpu_seconds(recipe, a, gpus, x)) for x in asked]
    longest = max((x.prompt for x in asked), default=0.0)
    of_all = sum(x.rows * seconds for x, seconds in timed)
    of_screen = sum(x.screened * seconds for x, seconds in timed)
    in_full, in_part = _times(recipe, extent)
    node_hours = (in_full * of_all + in_part * of_screen) / 3600 / gpus.count
    counted = f"{sum(x.rows for x in asked):,.0f} rows"
    if any(b.max_prompt_tokens for b in evaluate.benchmarks):
        counted += " at most: those over max_prompt_tokens are skipped, and counted here as if they were so long"
    times = f"{in_full} evaluations of all rows"
    if in_part:
        times += f", {in_part} of the screen alone ({sum(x.screened for x in asked):,.0f} rows)"
    if extent.checkpoints is None:
        times += ", as if there were 1 checkpoint"
    times += f"; answers take {WRITTEN:.0%} of their limit where it is above {SHORT:,}"
    name = "all evaluations" if extent.checkpoints is not None else "evaluations, at least"
    return [
        Figure("read for a checkpoint", read, "tokens", "assumed", counted),
        Figure("written for a checkpoint", written, "tokens", "assumed", f"prompts up to {longest:,.0f} tokens on average"),
        Figure("a checkpoint", of_all / 3600, "GPU hours", "assumed", "prompts at the training's FLOP/s, answers by memory"),
        Figure(name, node_hours, "node hours", "assumed", times),
    ]


def teacher_figures(recipe: Recipe, extent: Extent) -> list[Figure]:
    """Tokens that the teacher reads and writes, and their price where the recipe names one."""
    teacher = recipe.rationale.teacher
    asks = recipe.rationale.kind == "teacher" or recipe.quality.leakage != "off"
    if teacher is None or not asks or extent.samples is None:
        return []
    attempts = min(ATTEMPTS, teacher.attempts) if recipe.rationale.kind == "teacher" else 0.0
    if recipe.quality.leakage != "off":
        attempts += recipe.quality.leakage_attempts * 0.02  # the question alone is short
    mean = extent.step_tokens / recipe.train.global_batch
    read, written = extent.samples * attempts * mean, extent.samples * attempts * _written(teacher.max_tokens)
    if teacher.budget_tokens is not None and read + written > teacher.budget_tokens:
        part = teacher.budget_tokens / (read + written)
        read, written = read * part, written * part
    money = (read * teacher.price_prompt + written * teacher.price_completion) / 1e6
    found = [
        Figure("teacher reads", read, "tokens", "assumed", f"{extent.samples:,} samples × {attempts:.2g} attempts"),
        Figure("teacher writes", written, "tokens", "assumed", f"{WRITTEN:.0%} of its limit"),
    ]
    return [*found, Figure("teacher's price", money, "number", "assumed", "as the recipe's prices say")] if money else found


def _benchmarks(recipe: Recipe) -> list[Asked]:
    """Each benchmark of the recipe. Entries of one name and origin share a screen."""
    evaluate = recipe.evaluate
    sized = [(b, *_rows(b)) for b in evaluate.benchmarks]
    together: dict[tuple[str, bool], float] = {}
    for b, rows, _ in sized:
        kind = (b.name, b.synthetic is not None)
        together[kind] = together.get(kind, 0) + rows
    found = []
    for b, rows, tokens in sized:
        whole = together[b.name, b.synthetic is not None]
        part = min(1.0, (evaluate.screen or whole) / max(1.0, whole))
        asked = rows * evaluate.sampling.samples
        found.append(Asked(asked, asked * part, tokens, _written(b.max_new_tokens)))
    return found


def _rows(b: Benchmark) -> tuple[float, float]:
    """(rows, tokens of a prompt on average). Of MRCR a bin that begins above the longest prompt is left out; else all rows."""
    longest = float(b.max_prompt_tokens or BINS[-1])
    if b.synthetic is not None:
        rows, tokens = b.synthetic.rows, float(b.synthetic.tokens)
    elif b.name == "mrcr":
        bins = [n for n in BINS if n <= (b.max_bin_tokens or BINS[-1]) and n / 2 < longest]
        rows = ROWS_A_BIN * len(bins) * (len(b.needles) or NEEDLES)
        tokens = 0.75 * sum(bins) / max(1, len(bins))
    else:
        rows, tokens = GRAPHWALKS, float(GRAPHWALKS_TOKENS)
    return float(min(rows, b.limit or rows)), min(tokens, longest)


def _written(limit: int) -> float:
    return float(limit) if limit <= SHORT else max(SHORT, WRITTEN * limit)


def _gpu_seconds(recipe: Recipe, a: Architecture, gpus: Gpus, x: Asked) -> float:
    """Of one question: its prompt by FLOPs; its answer by what is read from memory for each token, which is the weights once a
    batch, and its own cache."""
    server = recipe.evaluate.server
    batch = server.concurrency if server else BATCH
    reached = EXPERT_PRODUCTS if a.experts else DENSE_PRODUCTS
    products, attention = 2.0 * a.met * x.prompt, 2.0 * a.layers * a.query * x.prompt * x.prompt
    cache = cache_bytes(a, 2) * (x.prompt + x.answer / 2)
    read = (products / reached + attention / ATTENTION) / gpus.flops
    return read + x.answer * (2.0 * a.total / batch + cache) / (REACHED * gpus.bandwidth)


def cache_bytes(a: Architecture, size: int) -> float:
    """Keys and values of a token, bytes, with elements of so many bytes."""
    return 2.0 * a.layers * a.key * size


def _times(recipe: Recipe, extent: Extent) -> tuple[int, int]:
    """How often all rows are asked, and how often those of the screen alone.

    The base, the best and the last checkpoint are asked the screen too, but as a part of all rows: an answer that is there is
    not asked for again.
    """
    evaluate, checkpoints = recipe.evaluate, extent.checkpoints or 1
    chosen = min(checkpoints, 1 + bool(recipe.train.best)) if has_screen(evaluate) else checkpoints
    return int(evaluate.base) + chosen, checkpoints - chosen
