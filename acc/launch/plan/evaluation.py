"""What evaluation and the teacher will ask of models: rows, tokens, hours. Nothing of it is counted before it runs."""

from __future__ import annotations

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


def evaluation_figures(recipe: Recipe, a: Architecture, gpus: Gpus, extent: Extent) -> list[Figure]:
    """Tokens read and written for one checkpoint, GPU-hours for it, and node-hours for all of them."""
    evaluate = recipe.evaluate
    if not evaluate.measures_something:
        return []
    asked = [_benchmark(b, evaluate.sampling.samples) for b in evaluate.benchmarks]
    if evaluate.general:
        for task in evaluate.general.tasks:
            rows = task.limit or GENERAL.get(task.task, GENERAL_ROWS)
            asked.append((rows, GENERAL_TOKENS, _written(task.max_new_tokens)))
    if evaluate.held_out:
        rows = (evaluate.held_out.limit or 500) * len(evaluate.held_out.conditions)
        asked.append((rows, extent.tokens / 2, _written(evaluate.held_out.max_new_tokens)))
    read, written = sum(n * prompt for n, prompt, _ in asked), sum(n * answer for n, _, answer in asked)
    longest = max((prompt for _, prompt, _ in asked), default=0.0)
    seconds = _gpu_seconds(recipe, a, gpus, asked)
    times = _times(recipe, extent)
    node_hours = seconds / 3600 * times / gpus.count
    hours_why = f"{times} evaluations of all rows; answers take {WRITTEN:.0%} of their limit where it is above {SHORT:,}"
    return [
        Figure("read for a checkpoint", read, "tokens", "assumed", f"{sum(n for n, _, _ in asked):,.0f} rows"),
        Figure("written for a checkpoint", written, "tokens", "assumed", f"prompts up to {longest:,.0f} tokens on average"),
        Figure("a checkpoint", seconds / 3600, "GPU hours", "assumed", "prompts at the training's FLOP/s, answers by memory"),
        Figure("all evaluations", node_hours, "node hours", "assumed", hours_why),
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


def _benchmark(b: Benchmark, samples: int) -> tuple[float, float, float]:
    """(rows × answers, tokens of a prompt, tokens of an answer)."""
    written = _written(b.max_new_tokens)
    if b.synthetic is not None:
        rows, tokens = b.synthetic.rows, float(b.synthetic.tokens)
    elif b.name == "mrcr":
        bins = [n for n in BINS if n <= (b.max_bin_tokens or BINS[-1])]
        rows = ROWS_A_BIN * len(bins) * (len(b.needles) or NEEDLES)
        tokens = 0.75 * sum(bins) / max(1, len(bins))
    else:
        rows, tokens = GRAPHWALKS, float(GRAPHWALKS_TOKENS)
    return float(min(rows, b.limit or rows) * samples), tokens, written


def _written(limit: int) -> float:
    return float(limit) if limit <= SHORT else max(SHORT, WRITTEN * limit)


def _gpu_seconds(recipe: Recipe, a: Architecture, gpus: Gpus, asked: list[tuple[float, float, float]]) -> float:
    """Prompts by FLOPs; answers by what is read from memory for each token: the weights once a batch, and its own cache."""
    server = recipe.evaluate.server
    batch = server.concurrency if server else BATCH
    reached = EXPERT_PRODUCTS if a.experts else DENSE_PRODUCTS
    seconds = 0.0
    for rows, prompt, answer in asked:
        products, attention = 2.0 * a.met * prompt, 2.0 * a.layers * a.query * prompt * prompt
        seconds += rows * (products / reached + attention / ATTENTION) / gpus.flops
        cache = cache_bytes(a, 2) * (prompt + answer / 2)
        seconds += rows * answer * (2.0 * a.total / batch + cache) / (REACHED * gpus.bandwidth)
    return seconds


def cache_bytes(a: Architecture, size: int) -> float:
    """Keys and values of a token, bytes, with elements of so many bytes."""
    return 2.0 * a.layers * a.key * size


def _times(recipe: Recipe, extent: Extent) -> int:
    evaluate = recipe.evaluate
    if evaluate.screen is not None:
        return int(evaluate.base) + 1 + bool(recipe.train.best)
    return int(evaluate.base) + (extent.checkpoints or 1)
