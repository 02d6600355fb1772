"""Real small inputs for training: a tiny Qwen3-MoE with random weights, and packed sequences written by hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    TrainerCallback,
)

from acc.recipe import Recipe, recipe_from
from acc.records.sequences import SequenceStore, SequenceWriter
from acc.stage.manifest import Manifest

VOCABULARY = 300
STUDENTS: dict[str, tuple[Any, Any]] = {
    "moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig),
    "dense": (Qwen3ForCausalLM, Qwen3Config),
    "llama": (LlamaForCausalLM, LlamaConfig),
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
}
SECTIONS = ("parallel", "lora", "moe", "seed", "model", "evaluate", "launch", "deepspeed")
Document = tuple[int, list[tuple[int, int]]]
"""(length, label spans)."""


def make_student(folder: Path, seed: int = 0, *, kind: str = "moe", **config: Any) -> Path:
    """Write a checkpoint with 4 query and 2 key-value heads and tied embeddings.

    Args:
        kind: "moe" (Qwen3-MoE with 4 experts), "dense" (Qwen3) or "llama".
        config: what is to be otherwise in its configuration.
    """
    torch.manual_seed(seed)
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "initializer_range": 0.1,
        **(EXPERTS if kind == "moe" else {}),
        **config,
    }
    model, configuration = STUDENTS[kind]
    model(configuration(**settings)).save_pretrained(folder)
    words = {f"w{i}": i for i in range(VOCABULARY - 2)} | {"<|im_end|>": VOCABULARY - 2, "<unk>": VOCABULARY - 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m.content }} <|im_end|>{% endfor %}"
    fast.save_pretrained(folder)
    return folder


def make_pack(
    folder: Path, sequences: Iterable[tuple[int, Sequence[Document]]], *, seed: int = 0, sources: int = 2, key: str = "pack"
) -> Path:
    """Write packed sequences: (step, documents); slots count up within a step. A document without labels is a filler."""
    rng = np.random.default_rng(seed)
    writer = SequenceWriter(folder)
    rows, slots, count = [], dict[int, int](), iter(range(1_000_000))
    for step, documents in sequences:
        numbers = [
            writer.add(
                rng.integers(0, VOCABULARY - 2, length),
                sample_id=f"sample{number}" if spans else "",
                source=f"source{number % sources}",
                target="acc",
                label_spans=spans,
            )
            for (length, spans), number in zip(documents, count, strict=False)
        ]
        rows.append((step, slots.get(step, 0), numbers))
        slots[step] = slots.get(step, 0) + 1
    writer.close(rows)
    Manifest(stage="pack", key=key, seed=0).write(folder)
    return folder


def make_recipe(student: Path, **train: Any) -> Recipe:
    """A recipe for a student in float32 with steps, samples and attention to suit; `parallel`, `lora` and `moe` as sections."""
    sections = {k: train.pop(k) for k in SECTIONS if k in train}
    data = {
        "sources": [{"name": "s", "path": "logs"}],
        "pack": {"length": 131_072},
        **sections,
        "launch": {"threads": 1, **sections.get("launch", {})},
        "model": {"path": str(student), "dtype": "float32", **sections.get("model", {})},
        "train": {"learning_rate": 1e-2, "schedule": "constant", "gradient_checkpointing": False, **train},
    }
    return recipe_from(data)


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl without what differs from run to run: speed and memory."""
    measured = {"tokens_per_second", "labelled_tokens_per_second", "peak_rss_gb"}
    lines = (json.loads(line) for line in (out / "log.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in measured} for line in lines]


def reference(student: Path, documents: Iterable[tuple[np.ndarray, list[tuple[int, int]]]]) -> tuple[float, float]:
    """Loss and gradient norm of one step in float64, each document alone through the plain model.

    Args:
        documents: token ids and label spans of every document of the step.
    """
    model = AutoModelForCausalLM.from_pretrained(
        student, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
    )
    losses = []
    for ids, spans in documents:
        tokens = torch.from_numpy(ids)
        labelled = torch.tensor([i for start, end in spans for i in range(max(start, 1), end)], dtype=torch.long)
        logits = model(input_ids=tokens[None], use_cache=False).logits[0]
        losses.append(F.cross_entropy(logits[labelled - 1], tokens[labelled], reduction="none"))
    loss = torch.cat(losses).mean()
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return loss.item(), torch.stack([g.norm() for g in gradients]).norm().item()


class Asking(TrainerCallback):
    """Measures the likelihood of `ASKED` by the model before training and at each checkpoint; writes it as every process
    found it."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def attach(self, log: Any, likelihood: Any) -> None:
        self.likelihood = likelihood

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        modes = [m.training for m in model.modules()]
        found = self.likelihood(ASKED)
        assert [m.training for m in model.modules()] == modes
        assert all(p.grad is None for p in model.parameters())
        path = self.out.with_suffix(f".likelihood{args.process_index}.jsonl")
        with path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(found) + "\n")

    on_save = on_train_begin


def _asked() -> list[tuple[list[int], list[int], tuple[int, int]]]:
    rng = np.random.default_rng(5)
    shapes = [(1, 1, (0, 1)), (40, 9, (3, 8)), (13, 4, (0, 4)), (70, 20, (19, 20)), (6, 3, (0, 0))]
    return [(rng.integers(0, 290, a).tolist(), rng.integers(0, 290, b).tolist(), scored) for a, b, scored in shapes]


ASKED = _asked()
"""(prompt, answer, scored range): of odd number and lengths; one answer with nothing scored."""


def plain_likelihoods(model: Any) -> list[float | None]:
    """The likelihood of `ASKED` by one plain forward pass for each."""
    found: list[float | None] = []
    for prompt, answer, (start, end) in ASKED:
        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0]
        at = slice(len(prompt) + start - 1, len(prompt) + end - 1)
        targets = ids[0, len(prompt) + start : len(prompt) + end]
        found.append(F.cross_entropy(logits[at], targets).item() if end > start else None)
    return found


def documents_of_step(packed: Path, step: int) -> list[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Token ids and label spans of every document that a step trains on."""
    store = SequenceStore(packed)
    found = [d for i in np.flatnonzero(store.steps == step) for d in store[int(i)].documents]
    return [(store.tokens(d), d.label_spans) for d in found]


def launch(
    world: int, cases: list[dict[str, Any]], folder: Path, *, timeout: float = 400, program: str = "training_worker.py"
) -> list[int | None]:
    """Run cases one after the other in `world` processes; give back the processes' exit codes.

    A case holds `student`, `packed`, `out` and, as it likes, `recipe` (options of `make_recipe`), `optimizer`, `kill_at` and
    `terminate_at` (a step in which every process gets SIGKILL, or the last one alone SIGTERM), `leaks` (an attention that
    lets documents see their neighbours) and `asks` (measure likelihoods beside the training).
    """
    path = folder / f"cases{world}.json"
    path.write_text(json.dumps(cases))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    running = []
    for rank in range(world):
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        ranks = {} if world == 1 else {**ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        # DeepSpeed's first start compiles with ninja, which lies beside Python.
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        env = {**os.environ, **{k: str(v) for k, v in ranks.items()}, "PATH": search, "OMP_NUM_THREADS": "1"}
        worker = Path(__file__).with_name(program)
        running.append(subprocess.Popen([sys.executable, str(worker), str(path)], env=env))
    end = time.monotonic() + timeout
    # When one has ended the others are given a little time to end too, then they are ended.
    while any(p.poll() is None for p in running) and time.monotonic() < end:
        if any(p.poll() is not None for p in running):
            end = min(end, time.monotonic() + 15)
        time.sleep(0.1)
    codes = [p.poll() for p in running]
    for p in running:
        p.kill()
    return codes


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by name."""
    return load_file(checkpoint / "model.safetensors")
