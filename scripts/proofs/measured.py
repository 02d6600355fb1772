"""A training in processes of its own, and what it cost: `python -m proofs.measured TASK.json` is one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

SCRIPTS = Path(__file__).resolve().parents[1]


@dataclass
class Cost:
    """What a training cost a process.

    `base` is its memory when the trainer was made, with the model loaded; `peak` the most from then to the end of the last
    step, both bytes. `first` is the time of the first step, seconds, and `seconds` those of the others, each from the end of
    the step before.
    """

    base: int = 0
    peak: int = 0
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def above(self) -> int:
        """Peak memory above the base, bytes."""
        return self.peak - self.base


class Meter(TrainerCallback):
    """Fills in a `Cost` as a Trainer of transformers goes on."""

    def __init__(self) -> None:
        self.cost = Cost()
        self._end = 0.0

    def on_init_end(self, *_: Any, **__: Any) -> None:
        self.cost.base = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._end = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now, cost = time.perf_counter(), self.cost
        if cost.first:
            cost.seconds.append(now - self._end)
        else:
            cost.first = now - self._end
        self._end = now
        cost.peak = max(cost.peak, _status("VmHWM"))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if "loss" in logs:
            self.cost.losses.append(float(logs["loss"]))


def measure(folder: Path, *, processes: int = 1, threads: int, timeout: float = 900, **train: Any) -> list[Cost]:
    """Train the student on the pack in `folder` by acc's own trainer, and give back what it cost each process.

    Args:
        folder: with student/ and pack/.
        processes: number; more than one are started by torchrun and share each row.
        threads: of each process.
        timeout: seconds.
        train: settings of the section train.

    Raises:
        RuntimeError: it failed; the message ends in what it printed.
    """
    with tempfile.TemporaryDirectory() as out:
        task = Path(out) / "task.json"
        settings = {"folder": str(folder), "out": out, "threads": threads, "sequence": processes, "train": train}
        task.write_text(json.dumps(settings))
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
        command = [sys.executable, *torchrun, "-m", "proofs.measured", str(task)]
        done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"the training ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
        found = [json.loads((Path(out) / f"cost{rank}.json").read_text()) for rank in range(processes)]
        return [Cost(**cost) for cost in found]


def environment(threads: int) -> dict[str, str]:
    """That of a measured process: this tree's trainer, no network, so many threads."""
    # DeepSpeed's first start compiles with ninja, which lies beside Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    trees = os.pathsep.join([str(SCRIPTS.parent), str(SCRIPTS)])
    return {
        **os.environ,
        "PYTHONPATH": trees,
        "PATH": path,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",  # threads that spin while others use the cores make steps ten times as long
        "TOKENIZERS_PARALLELISM": "false",
    }


def _train(task: Path) -> None:
    from proofs.small_training import make_recipe

    import acc.train

    settings = json.loads(task.read_text())
    folder, out = Path(settings["folder"]), Path(settings["out"])
    recipe = make_recipe(folder / "student", threads=settings["threads"], sequence=settings["sequence"], **settings["train"])
    meter = Meter()
    acc.train.run(recipe, folder / "pack", out / "train", [meter])
    (out / f"cost{os.environ.get('RANK', '0')}.json").write_text(json.dumps(asdict(meter.cost)))


def _status(name: str) -> int:
    """A line of /proc/self/status, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
