"""One process of the resume proof: trains a small student, tells how far it is, and writes down what it was fed."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEQUENCES, PER_STEP, EPOCHS = 9, 2, 8
STEPS = math.ceil(SEQUENCES * EPOCHS / PER_STEP)
EPOCH_ENDS = {math.ceil(SEQUENCES * epoch / PER_STEP) for epoch in range(1, EPOCHS)}
"""Steps in or after which an epoch ends; every other epoch ends within a step."""
VOCABULARY = 512
PRELOADED = (
    "deepspeed",
    "peft",
    "transformers.models.qwen3_moe.modeling_qwen3_moe",
    "acc.train.stage",
    "proofs.small_training",
)
MEASURED = ("tokens_per_second", "peak_", "mfu")


def preload() -> None:
    """Import what every process needs, once."""
    for module in PRELOADED:
        importlib.import_module(module)


def prepare(folder: Path) -> None:
    """Write the student, and sequences of one to four documents with their labels at the end, some with none."""
    import numpy as np
    from proofs.small_training import make_student

    from acc.records.sequences import SequenceWriter
    from acc.stage.manifest import Manifest

    make_student(folder / "student", vocabulary=VOCABULARY, hidden_size=64, num_hidden_layers=2, head_dim=16)
    rng, writer, rows = np.random.default_rng(0), SequenceWriter(folder / "pack"), []
    for sequence in range(SEQUENCES):
        numbers = []
        for place in range(int(rng.integers(1, 5))):
            length = int(rng.integers(40, 200))
            sample, spans = (f"sample-{sequence}-{place}", [(length - 9, length)]) if place != 1 else ("", [])
            ids = rng.integers(0, VOCABULARY - 2, length)
            numbers.append(writer.add(ids, sample_id=sample, source="random", target="acc", label_spans=spans))
        rows.append((-1, sequence, numbers))
    writer.close(rows)
    Manifest(stage="pack", key="resume", seed=0).write(folder / "pack")


def train(folder: Path, name: str, rank: int, world: int, port: int, pipe: int) -> None:
    """Train in `folder`/`name`; rank 0 writes its events to `pipe`."""
    output = os.open(folder / f"{name}-output-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ.update({k: str(v) for k, v in ranks.items()}, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

    from transformers import TrainerCallback

    import acc.train
    import acc.train.stage
    from acc.recipe import recipe_from
    from acc.train.batches import StepLoader

    class Tell(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.tell("begin", state.global_step + 1)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.tell("end", state.global_step)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.tell("saved", state.global_step)

        def tell(self, event: str, step: int) -> None:
            if rank == 0:
                os.write(pipe, f"{event} {step}\n".encode())

    class Written(StepLoader):
        """Writes down what it gives, before it gives it."""

        def __iter__(self) -> Iterator[Any]:
            first = self.first_step()
            with (folder / f"{name}-rows-{rank}.jsonl").open("a") as f:
                for n, batch in enumerate(super().__iter__()):
                    step, slot = first + n // PER_STEP, n % PER_STEP
                    held = b"".join(batch[k].numpy().tobytes() for k in ("input_ids", "position_ids", "targets"))
                    samples = [d.sample_id for d in self.store[self.slots(step)[slot]].documents]
                    row = {"place": f"{step + 1}/{slot}/{rank}", "samples": samples, "fed": hashlib.sha256(held).hexdigest()}
                    f.write("\n" * bool(f.tell()) + json.dumps(row) + "\n")
                    f.flush()
                    yield batch

    acc.train.stage.StepLoader = Written  # type: ignore[misc]
    recipe = recipe_from(
        {
            "sources": [{"name": "random", "path": "logs"}],
            "launch": {"threads": 1},
            "model": {"path": str(folder / "student"), "dtype": "float32"},
            "parallel": {"sequence": world},
            "train": {
                "learning_rate": 1e-3,
                "global_batch": PER_STEP,
                "epochs": EPOCHS,
                "save_every_steps": 2,
                "keep_checkpoints": 1,
                "keep_weights": 2,
            },
        }
    )
    code = acc.train.run(recipe, folder / "pack", folder / name, [Tell()])
    sys.stdout.flush()
    os._exit(int(code))


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines of the log without what is measured."""
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if not any(m in k for m in MEASURED)} for line in lines]
