"""A mixed run: what training sees of each source is what the recipe asks for, whichever of its three units weights are in.

Sources are simulated agents' logs as ACC samples and as the agent's turns, and a file of plain conversations. A tiny student is
trained on them; the shares are taken from the run's log.jsonl, not from the plan.
"""

from __future__ import annotations

import json
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

UNITS = {"samples": "samples_by_source", "tokens": "tokens_by_source", "labelled_tokens": "labelled_by_source"}
"""pack.weights_in → the group of log.jsonl that counts it."""
TARGETS = {"evidence": "acc", "answers": "answer_only", "turns": "agent_sft", "talk": "chat"}
WEIGHTS = {"evidence": 5.0, "answers": 0.0, "turns": 3.0, "talk": 2.0}
SYNTH = {"min_tokens": 512, "max_tokens": 768}


def prove(*, steps: int = 12, batch: int = 16) -> bool:
    """Print a table for each unit; say whether all shares are right."""
    held = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student = tiny_student(folder / "student")
        samples = compiled(student, folder, trajectories=24)
        total = sum(WEIGHTS.values())
        for unit in UNITS:
            lines = trained(student, samples, folder / unit, WEIGHTS, unit=unit, max_steps=steps, global_batch=batch)
            worst = max(deviations(lines, WEIGHTS, unit))
            print(f"  weights in {unit}: {steps} steps of {batch} samples")
            print(f"    {'source':<10}{'asked':>8}" + "".join(f"{u.replace('_', ' '):>17}" for u in UNITS))
            for source, weight in WEIGHTS.items():
                if weight:
                    shares = (
                        f"{share:>17.2%}" for share in (seen(lines, u)[source] / sum(seen(lines, u).values()) for u in UNITS)
                    )
                    print(f"    {source:<10}{weight / total:>8.2%}" + "".join(shares))
            good = worst <= 1 / steps
            print(
                f"    off by {worst:.2%} of the run at most, after any step; a step is {1 / steps:.2%}{'' if good else ' NO'}"
            )
            held &= good
    return held


def tiny_student(folder: Path) -> Path:
    """One layer of random weights under the embedded tokenizer and template."""
    import shutil

    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    from acc.recipe import recipe_from

    base = Path(recipe_from({"sources": [{"name": "s", "path": "x"}]}).student)
    torch.manual_seed(0)
    settings = {**json.loads((base / "config.json").read_text()), "hidden_size": 32, "head_dim": 8, "num_hidden_layers": 1}
    settings |= {"moe_intermediate_size": 32, "intermediate_size": 32}
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**settings)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(base / name, folder / name)
    return folder


def mixed_recipe(student: Path, weights: dict[str, float], *, unit: str = "samples", **sections: Any) -> Any:
    """The recipe: sources of all four targets, in one process on the CPU."""
    from acc.recipe import recipe_from

    sources = [
        {"name": name, "path": "logs", "target": target, "weight": weights[name], "accept_unverified": target == "chat"}
        for name, target in TARGETS.items()
    ]
    train = {"learning_rate": 1e-3, "gradient_checkpointing": False, **sections.pop("train", {})}
    return recipe_from(
        {
            "seed": 1,
            "sources": sources,
            "compile": {"budget_tokens": 4096, "target_reserve_tokens": 256},
            "pack": {"length": 4096, "weights_in": unit, "max_repeats": 1000.0},
            "model": {"path": str(student), "dtype": "float32"},
            "launch": {"threads": 1},
            "train": train,
            **sections,
        }
    )


def compiled(student: Path, folder: Path, *, trajectories: int) -> Path:
    """Simulate and compile so many logs a kind and source; return the folder with the samples."""
    from acc.compile import run
    from acc.synth import synthesize

    inputs = {}
    for seed, name in enumerate(n for n, target in TARGETS.items() if target != "chat"):
        inputs[name] = [folder / "logs" / name]
        synthesize(inputs[name][0], search=trajectories, software=trajectories // 2, seed=seed, workers=1, **SYNTH)
    inputs["talk"] = [folder / "logs" / "talk.jsonl"]
    with inputs["talk"][0].open("w", encoding="utf-8") as file:
        for n in range(trajectories):
            turns = [("user", f"Count from {n} on."), ("assistant", " ".join(str(n + i) for i in range(20 + 7 * (n % 9))))]
            turns += [("user", "And the sum of the first two?"), ("assistant", str(2 * n + 1))]
            file.write(json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}) + "\n")
    run(mixed_recipe(student, WEIGHTS), inputs, folder / "compile")
    return folder / "compile"


def trained(
    student: Path, samples: Path, out: Path, weights: dict[str, float], *, unit: str, **train: Any
) -> list[dict[str, Any]]:
    """Pack and train; the lines of log.jsonl."""
    import acc.pack
    import acc.train

    recipe = mixed_recipe(student, weights, unit=unit, train=train)
    acc.pack.run(recipe, samples, out / "pack", workers=1)
    acc.train.run(recipe, out / "pack", out / "train")
    return [json.loads(line) for line in (out / "train" / "log.jsonl").read_text().splitlines()]


def seen(lines: list[dict[str, Any]], unit: str) -> dict[str, int]:
    """Source → how much of it these steps saw."""
    return {name: sum(line[UNITS[unit]].get(name, 0) for line in lines) for name in TARGETS}


def deviations(lines: list[dict[str, Any]], weights: dict[str, float], unit: str) -> list[float]:
    """How far what was seen after each step is from each source's share of it, as a part of the run."""
    amounts = [line[UNITS[unit]] for line in lines]
    until = list(accumulate(sum(a.values()) for a in amounts))
    found = []
    for name, weight in weights.items():
        so_far = accumulate(a.get(name, 0) for a in amounts)
        share = weight / sum(weights.values())
        found += [abs(n - share * all_) / until[-1] for n, all_ in zip(so_far, until, strict=True)]
    return found
