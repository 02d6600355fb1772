"""One training step on a row of 131,072 tokens in two processes: ZeRO-3, and the row shared by Ulysses.

Time and memory are predicted first, by the arithmetic of `acc plan` and one matrix product, and printed; then the step is
taken. Nothing is fitted afterwards.
"""

from __future__ import annotations

import tempfile
import time
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acc.recipe import Recipe

TOKENS, DOCUMENTS, PROCESSES, VOCABULARY = 131_072, 8, 2, 8192
WIDTHS = {"hidden_size": 256, "num_hidden_layers": 2, "head_dim": 32, "num_experts_per_tok": 2, "moe_intermediate_size": 128}
WITHIN = 2.0
"""What was found is at most so many times the prediction, and at least as small a part of it."""
SECONDS = 12 * 60
"""The step takes less."""


def prove() -> bool:
    """Print the prediction and what the step cost; say whether it went through and was foreseen."""
    from proofs.measured import measure
    from proofs.small_training import make_pack, make_recipe, make_student, uneven
    from transformers import AutoConfig

    lengths = uneven(TOKENS, DOCUMENTS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_student(folder / "student", vocabulary=VOCABULARY, **WIDTHS)
        make_pack(folder / "pack", [[(n, n // 100) for n in lengths]], vocabulary=VOCABULARY)
        config = AutoConfig.from_pretrained(folder / "student")
        print(f"  {TOKENS:,} tokens in {DOCUMENTS} documents of {min(lengths):,} to {max(lengths):,}, {PROCESSES} processes")
        seconds = predict_seconds(config, lengths)
        parts = predict_bytes(make_recipe(folder / "student", threads=1, sequence=PROCESSES))
        print("  predicted memory of a process above the loaded model's, MB:")
        for what, size in parts.items():
            print(f"    {what:<34} {size / 1e6:8,.0f}")
        costs = measure(folder, processes=PROCESSES, threads=1, timeout=3 * SECONDS)
    predicted, found = sum(parts.values()), max(c.above for c in costs)
    held = foreseen("memory, MB", predicted / 1e6, found / 1e6) & foreseen("time, s", seconds, costs[0].first)
    scores = PROCESSES * 4 * sum(n * n for n in lengths) / 1e6
    print(f"  loss {costs[0].losses[0]:.4f}, of {VOCABULARY:,} words at random {log(VOCABULARY):.4f}")
    print(
        f"  (a mask of the row would have taken {TOKENS**2 / 1e6:,.0f} MB, the documents' scores {scores:,.0f}, "
        f"all logits {4 * TOKENS * VOCABULARY / 1e6:,.0f})"
    )
    return held and costs[0].first < SECONDS and abs(costs[0].losses[0] - log(VOCABULARY)) < 0.5


def predict_seconds(config: Any, lengths: list[int]) -> float:
    """Model FLOPs, and the forward pass once more for recomputed activations, at a matrix product's speed on this machine."""
    from acc.train.speed import model_flops

    work, speed = model_flops(config, lengths, labelled=sum(lengths) // 100) * 4 / 3, _flops_per_second(config.hidden_size)
    print(f"  predicted work: {work / 1e12:.1f} TFLOP at {speed / 1e9:.0f} GFLOP/s of a matrix product: {work / speed:.0f} s")
    return work / speed


def predict_bytes(recipe: Recipe) -> dict[str, float]:
    """What `acc plan` says that each process holds at the largest moment of a step, bytes; the weights are there before."""
    from acc.launch.plan.architecture import architecture_of
    from acc.launch.plan.memory import Rows, memory_of
    from acc.launch.plan.setting import setting_of

    setting = setting_of(recipe, PROCESSES, gpu=False)
    plan = memory_of(architecture_of(recipe), setting, Rows(TOKENS, TOKENS // 100 + 1), processes=PROCESSES)
    states = [f for f in plan.states if f.name != "weights"]
    return {f.name: f.value for f in (*states, *plan.largest.parts)}


def foreseen(what: str, predicted: float, found: float) -> bool:
    """Print both; say whether they are alike."""
    good = 1 / WITHIN <= found / predicted <= WITHIN
    print(
        f"  {what}: predicted {predicted:,.0f}, found {found:,.0f}: {found / predicted:.2f} ×{'' if good else '  NOT FORESEEN'}"
    )
    return good


def _flops_per_second(width: int) -> float:
    """Of this machine's cores together, on a matrix product of the model's width."""
    import torch

    torch.set_num_threads(PROCESSES)
    left, right = torch.randn(8192, width), torch.randn(width, 4 * width)
    spent = []
    for _ in range(12):
        begin = time.perf_counter()
        left @ right
        spent.append(time.perf_counter() - begin)
    return 2 * left.numel() * right.shape[1] / sorted(spent)[len(spent) // 2]
