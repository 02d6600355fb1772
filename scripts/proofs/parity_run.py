"""Runs the parity matrix: launches of many cells with the same number of processes, the plain training, then the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from proofs.parity_cells import STEPS, Cell, matrix, pairwise
from proofs.parity_material import write_pack, write_student
from proofs.parity_reference import Training, train_plainly
from proofs.parity_table import Difference, differ, page
from safetensors.torch import load_file

SCRIPTS = Path(__file__).resolve().parents[1]
LEARNING_RATE, MAX_GRAD_NORM = 0.5, 0.5
CELLS_A_LAUNCH = 26
"""Every cell makes process groups, whose threads stay until the processes end and slow down the later cells."""
SECONDS_A_CELL = 60
"""A launch is ended after so many seconds for each of its cells."""


def prove(asked: str, *, device: str, dtype: str, write: Path | None, command: str) -> bool:
    """Run the cells and print the table; whether all of them hold.

    Args:
        asked: "all", "pairwise", or a part of the cells' names.
        write: Markdown file for the table.
        command: what was called, for the file.
    """
    torch.set_num_threads(1)
    cells = matrix()
    if asked == "pairwise":
        cells = pairwise(cells)
    elif asked != "all":
        cells = [c for c in cells if asked in c.name]
    if device == "cuda":
        cells = [c for c in cells if c.world <= torch.cuda.device_count()]
    begin, found = time.monotonic(), dict[Cell, Difference | None]()
    with tempfile.TemporaryDirectory() as name:
        comparison = Comparison(Path(name), dtype)
        for world in sorted({c.world for c in cells}):
            alike = [c for c in cells if c.world == world]
            for start in range(0, len(alike), CELLS_A_LAUNCH):
                found |= comparison(alike[start : start + CELLS_A_LAUNCH], device)
    text, holds = page(found, device=device, dtype=dtype, command=command, minutes=(time.monotonic() - begin) / 60)
    print(text)
    if write:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(text, encoding="utf-8")
    return holds


class Comparison:
    """Trains cells and holds them against the plain training, which cells that differ in the split only share."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self.folder, self.dtype = folder, dtype
        self.students: dict[str, Path] = {}
        self.packs: dict[str, Path] = {}
        self.plain: list[tuple[Cell, dict[str, torch.Tensor], Training]] = []

    def __call__(self, cells: list[Cell], device: str) -> dict[Cell, Difference | None]:
        """Train cells of one number of processes, in one launch; a cell that did not end has no difference."""
        begin = time.monotonic()
        self._launch(cells, device)
        print(f"{len(cells)} cells with {cells[0].world} processes: {time.monotonic() - begin:.0f} s", flush=True)
        return {cell: self._compare(cell) for cell in cells}

    def _launch(self, cells: list[Cell], device: str) -> None:
        world = cells[0].world
        cases = []
        for cell in cells:
            if cell.kind not in self.students:
                self.students[cell.kind] = write_student(self.folder / cell.kind, cell.kind)
            if cell.data not in self.packs:
                self.packs[cell.data] = write_pack(self.folder / cell.data, cell)
            paths = {"student": self.students[cell.kind], "packed": self.packs[cell.data], "out": self.folder / cell.name}
            cases.append({"cell": cell.as_dict(), **{k: str(v) for k, v in paths.items()}})
        task = self.folder / f"task{world}.json"
        settings = {"dtype": self.dtype, "learning_rate": LEARNING_RATE, "max_grad_norm": MAX_GRAD_NORM, "steps": STEPS}
        task.write_text(json.dumps({**settings, "cells": cases}))
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(SCRIPTS.parent), str(SCRIPTS)]),
            # DeepSpeed's first start compiles with ninja, which lies beside Python.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}),
        }
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
        log = self.folder / f"task{world}.log"
        with log.open("w") as out:
            worker = [sys.executable, *torchrun, "-m", "proofs.parity_worker", str(task)]
            try:
                code = subprocess.run(worker, env=env, stdout=out, stderr=out, timeout=SECONDS_A_CELL * len(cells)).returncode
            except subprocess.TimeoutExpired:
                code = -1
        if code:
            print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-60:]), file=sys.stderr)

    def _compare(self, cell: Cell) -> Difference | None:
        out = self.folder / cell.name
        if not (out / "result.json").is_file():
            return None
        result = json.loads((out / "result.json").read_text())
        values = load_file(out / "values.safetensors")
        adapters = {k.removeprefix("start/"): v for k, v in values.items() if k.startswith("start/")}
        updates = {k: v for k, v in values.items() if not k.startswith("start/")}
        plain = self._plain(cell, adapters)
        return differ(Training(result["losses"], result["norms"], updates), plain, result["seconds"])

    def _plain(self, cell: Cell, adapters: dict[str, torch.Tensor]) -> Training:
        def training(c: Cell) -> tuple[str, ...]:
            return (c.data, c.kind, c.trained, c.reduction, str(c.clipped))

        for other, start, plain in self.plain:
            if training(other) == training(cell) and all(torch.equal(adapters[k], start[k]) for k in start):
                return plain
        plain = train_plainly(
            cell,
            self.students[cell.kind],
            adapters,
            learning_rate=LEARNING_RATE,
            max_grad_norm=MAX_GRAD_NORM if cell.clipped else 0.0,
        )
        self.plain.append((cell, adapters, plain))
        return plain
