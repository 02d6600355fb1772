"""Students and packs of the parity matrix: random weights, random tokens, and labels where a cell wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from proofs.parity_cells import STEPS, Cell
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

VOCABULARY = 256
RANK, ALPHA = 4, 8.0
"""Of the adapters."""
TARGETS = {"moe": ["attention", "experts", "router"], "dense": ["attention", "mlp"], "llama": ["attention", "mlp"]}
"""lora.targets by kind of student."""
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
    "tie_word_embeddings": False,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "norm_topk_prob": True}
STUDENTS: Mapping[str, Any] = {
    "moe": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(**SHAPE, **EXPERTS)),
    "dense": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**{**SHAPE, "tie_word_embeddings": True})),
}
Document = tuple[NDArray[np.int64], list[tuple[int, int]]]
"""Token ids and label spans."""


def write_student(folder: Path, kind: str) -> Path:
    """Write a checkpoint with random weights."""
    torch.manual_seed(11)
    STUDENTS[kind]().save_pretrained(folder)
    return folder


def documents(cell: Cell) -> list[list[list[Document]]]:
    """The documents of a cell: of each step, of each sequence of it.

    Lengths are odd, so most sequences need padding to be shared, and a label span may begin at a document's first token, which
    nothing predicts.
    """
    steps = []
    for step in range(STEPS):
        rows = []
        for row in range(cell.rows):
            rng = np.random.default_rng([step, row, cell.packed])
            lengths = [23 + 2 * row, 9, 31 + 2 * step] if cell.packed else [61 + 2 * row + 4 * step]
            without = cell.labels == "none" and (row + step) % 2 == 1
            rows.append(
                [
                    (
                        rng.integers(0, VOCABULARY, n),
                        [] if without else _spans(cell.labels, n, row + step, place, place == len(lengths) - 1),
                    )
                    for place, n in enumerate(lengths)
                ]
            )
        steps.append(rows)
    return steps


def _spans(labels: str, length: int, row: int, place: int, last: bool) -> list[tuple[int, int]]:
    """Where the labels of a document are."""
    if labels == "last":
        return [(length - 5 - row % 3, length)] if last else []
    number = (7, 3, 1, 6)[(3 * row + place) % 4]
    match (row + place) % 3:
        case 0:
            return [(length - number, length)]
        case 1:
            return [(0, number + 1)]
        case _:
            return [(1, 1 + (number + 1) // 2), (length - 1 - number // 2, length - 1)] if number > 1 else []


def write_pack(folder: Path, cell: Cell) -> Path:
    """Write a cell's documents as acc's pack stage would, in planned steps."""
    from acc.records.sequences import SequenceWriter
    from acc.stage.manifest import Manifest

    writer, sequences = SequenceWriter(folder), []
    for step, rows in enumerate(documents(cell)):
        for slot, row in enumerate(rows):
            numbers = [
                writer.add(
                    ids,
                    sample_id=f"{step}.{slot}.{place}" if spans else "",
                    source=("one", "two")[place % 2],
                    target="acc",
                    label_spans=spans,
                )
                for place, (ids, spans) in enumerate(row)
            ]
            sequences.append((step, slot, numbers))
    writer.close(sequences)
    Manifest(stage="pack", key=cell.data, seed=0).write(folder)
    return folder
