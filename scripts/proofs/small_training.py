"""What the trainer's proofs and its benchmark train: a small student on packed sequences of random tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3MoeConfig, Qwen3MoeForCausalLM

from acc.recipe import Recipe, recipe_from
from acc.records.sequences import SequenceWriter
from acc.stage.manifest import Manifest

Document = tuple[int, int]
"""(length, labelled tokens at its end)."""
WINDOW = 131_072


def make_student(folder: Path, *, vocabulary: int, **config: Any) -> Path:
    """Write a Qwen3-MoE with random weights and a tokenizer of whole words; unless told otherwise 4 layers of width 128."""
    torch.manual_seed(0)
    settings = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "decoder_sparse_step": 1,
        "norm_topk_prob": True,
        "max_position_embeddings": WINDOW,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "tie_word_embeddings": False,
        **config,
    }
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**settings)).save_pretrained(folder)
    words = {f"w{i}": i for i in range(vocabulary - 2)} | {"<|im_end|>": vocabulary - 2, "<unk>": vocabulary - 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m.content }} <|im_end|>{% endfor %}"
    fast.save_pretrained(folder)
    return folder


def make_pack(folder: Path, rows: Iterable[Sequence[Document]], *, vocabulary: int, per_step: int = 1) -> Path:
    """Write sequences of random tokens, so many a step."""
    rng = np.random.default_rng(0)
    writer = SequenceWriter(folder)
    steps = []
    for row, documents in enumerate(rows):
        numbers = [
            writer.add(
                rng.integers(0, vocabulary - 2, length),
                sample_id=f"sample-{row}-{place}",
                source="random",
                target="acc",
                label_spans=[(length - labelled, length)],
            )
            for place, (length, labelled) in enumerate(documents)
        ]
        steps.append((row // per_step, row % per_step, numbers))
    writer.close(steps)
    Manifest(stage="pack", key="random", seed=0).write(folder)
    return folder


def uneven(length: int, documents: int) -> list[int]:
    """Lengths of `documents` documents that add up to `length`; the longest is about four times the shortest."""
    shares = np.geomspace(1, 4, documents)
    lengths = np.floor(shares / shares.sum() * length).astype(int)
    lengths[-1] += length - lengths.sum()
    return [int(n) for n in np.random.default_rng(1).permutation(lengths)]


def make_recipe(student: Path, *, threads: int, sequence: int = 1, **train: Any) -> Recipe:
    """Full fine-tuning in float32 at a learning rate that leaves the weights nearly as they are."""
    return recipe_from(
        {
            "sources": [{"name": "random", "path": "logs"}],
            "pack": {"length": WINDOW},
            "launch": {"threads": threads},
            "model": {"path": str(student), "dtype": "float32"},
            "parallel": {"sequence": sequence},
            "train": {"learning_rate": 1e-5, "schedule": "constant", "global_batch": 1, **train},
        }
    )
