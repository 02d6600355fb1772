"""A smoke from rows to table."""

from __future__ import annotations

import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acc.errors import ExitCode, UserError
from acc.launch.processes import is_launched, start
from acc.launch.smoke.recipes import SAVED, STEPS, alone, smoke_recipe, write_recipe
from acc.launch.smoke.rows import longest_rows, simulated_pack
from acc.launch.smoke.table import Row, table
from acc.launch.standing import lines
from acc.recipe import Recipe
from acc.records.scores import SCORES, read_scores
from acc.stage.files import write_json, write_text
from acc.stage.manifest import MANIFEST, read_manifest

PARITY = {"float32": 1e-3, "bfloat16": 2e-2}
"""How far the first step's loss may be from that of one process, relative."""
RESUMED = {"float32": 1e-4, "bfloat16": 1e-2}
"""How far a step's loss after going on from a checkpoint may be from the same step without, relative."""
STATE_BYTES = 18
"""Bytes of a weight in full training by one process: it, its gradient and Adam's, and what comes and goes."""
OVER_PLAN = 1.10
"""Measured memory over planned, at most."""


class Failed(Exception):
    """What had to pass did not; the rest cannot be tried."""


def smoke(recipe: Recipe, runs: Path) -> ExitCode:
    """Try this machine with a recipe and print the table.

    Args:
        runs: folder of runs; runs/<name>/pack gives the rows where it is there.

    Returns:
        OK, or FINDINGS when a row failed.

    Raises:
        UserError: the recipe's processes cannot share a sequence; it was started by a launcher.
    """
    if is_launched():
        raise UserError("--smoke starts the processes itself", mend="Start it without torchrun, accelerate or srun's tasks")
    recipe.check_sources()
    if recipe.launch.processes % recipe.parallel.sequence:
        raise UserError(
            f"one node's {recipe.launch.processes} processes cannot share a sequence among {recipe.parallel.sequence}",
            where="parallel.sequence",
            mend="Lower it for the smoke, as --set parallel.sequence=1",
        )
    smoked = Smoke(recipe, runs)
    try:
        for part in (
            smoked.choose_rows,
            smoked.train,
            smoked.speed,
            smoked.memory,
            smoked.parity,
            smoked.save,
            smoked.resume,
            smoked.evaluate,
        ):
            part()
    except Failed:
        pass
    write_json(smoked.out / "smoke.json", [row.as_dict() for row in smoked.table])
    shown = table(smoked.table)
    write_text(smoked.out / "smoke.txt", shown)
    print(shown, end="")
    return ExitCode.OK if all(row.passed is not False for row in smoked.table) else ExitCode.FINDINGS


@dataclass
class Smoke:
    """The parts of a smoke; each adds its rows to `table`. `out` is runs/<name>-smoke, begun anew."""

    recipe: Recipe
    runs: Path
    table: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.out = self.runs / f"{self.recipe.name}-smoke"
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self.run = self.runs / self.recipe.name
        self.per_step = self.recipe.launch.processes // self.recipe.parallel.sequence
        compiled = read_manifest(self.run / "compile") is not None
        self.small = smoke_recipe(self.recipe, per_step=self.per_step, compiled=compiled)
        self.path = write_recipe(self.small, self.out / "recipe.yaml")
        self.pack, self.trained, self.log = self.out / "pack", self.out / "train", self.out / "smoke.log"

    def choose_rows(self) -> None:
        """The longest rows of the run, or simulated ones."""
        packed, lengthened, where = self.run / "pack", None, "of the run"
        if read_manifest(packed) is None:
            where = "simulated as long as a sample may be: the run is not packed"
            packed = simulated_pack(self.recipe, self.out / "simulated", sequences=STEPS * self.per_step)
            lengthened = self.recipe.compile.budget_tokens
        steps = {"steps": STEPS, "per_step": self.per_step}
        lengths = longest_rows(self.recipe, packed, self.pack, **steps, lengthened=lengthened)
        self._add("rows", None, f"{len(lengths)} rows of {lengths[-1]:,} to {lengths[0]:,} tokens ({where})")

    def train(self) -> None:
        """Load, the canary, the witness, five steps, two checkpoints."""
        seconds = self._started("load and train", ["--recipe", str(self.path)], self.small.launch.processes, self.trained)
        manifest, logged = read_manifest(self.trained), list(lines(self.trained / "log.jsonl"))
        counts = manifest.counts if manifest else {}
        self._add(
            "load", True, f"{counts.get('trainable_parameters', 0):,} of {counts.get('parameters', 0):,} parameters trained"
        )
        # Either would have ended the training in its first step.
        self._add("canary", True, "packed documents give what each gives alone")
        self._add("witness", True, self._seen())
        losses = [line["loss"] for line in logged]
        finite = len(losses) == STEPS and all(isinstance(x, float) and math.isfinite(x) for x in losses)
        self._add(
            "steps", finite, f"{len(losses)} of {STEPS} in {seconds:.0f} s with loading, loss {' '.join(map(_short, losses))}"
        )

    def speed(self) -> None:
        """Tokens a second, without the first step, which warms up."""
        logged = list(lines(self.trained / "log.jsonl"))[1:]
        speed = statistics.median(line["tokens_per_second"] for line in logged)
        mfu = [line["mfu"] for line in logged if "mfu" in line]
        self._add(
            "speed", None, f"{speed:,.0f} tokens/s" + (f", {statistics.median(mfu):.0%} of the GPUs' arithmetic" if mfu else "")
        )

    def memory(self) -> None:
        """The peak of a process against the plan's."""
        logged = list(lines(self.trained / "log.jsonl"))
        rss = max(line["peak_rss_gb"] for line in logged)
        gpu = max((line["peak_gpu_gb"] for line in logged if "peak_gpu_gb" in line), default=None)
        if gpu is None:
            self._add("memory", None, f"{rss:.2f} GB resident at most; the plan counts GPUs, and there is none")
            return
        planned = self._planned()
        if isinstance(planned, str):
            self._add("memory", None, f"{gpu:.1f} GB of a GPU at most, {rss:.1f} GB resident; no plan: {planned}")
            return
        shown = f"{gpu:.1f} GB of a GPU at most, the plan said {planned:.1f} GB; {rss:.1f} GB resident"
        self._add("memory", gpu <= OVER_PLAN * planned, shown)

    def parity(self) -> None:
        """The first step's loss in one process, without ZeRO and sequence parallelism, where one holds the model."""
        if self.small.launch.processes == 1:
            self._add("parity", None, "one process has none to differ from")
            return
        manifest = read_manifest(self.trained)
        need, there = (manifest.counts["parameters"] if manifest else 0) * STATE_BYTES, _memory()
        if need > there / 2:
            self._add("parity", None, f"not measured: one process would need {need / 1e9:,.0f} GB of {there / 1e9:,.0f} GB")
            return
        out = self.out / "alone"
        path = write_recipe(alone(self.small), self.out / "alone.yaml")
        if start(1, self.small.launch.threads, self._train(["--recipe", str(path)], out), log=self.log):
            self._add("parity", None, f"not measured: one process cannot hold a row ({self._said()})")
            return
        one, many = (next(lines(folder / "log.jsonl"))["loss"] for folder in (out, self.trained))
        off = abs(many - one) / max(abs(one), 1e-12)
        limit = PARITY[self.recipe.model.dtype]
        shown = f"first loss {many:.6f}, {one:.6f} in one process: off by {off:.1e} (at most {limit:.0e})"
        self._add("parity", off <= limit, shown)
        shutil.rmtree(out)

    def save(self) -> None:
        """The checkpoints are whole."""
        folders = [self.trained / f"checkpoint-{step}" for step in (SAVED, STEPS)]
        whole = [folder for folder in folders if (folder / "acc_checkpoint.json").is_file()]
        size = sum(path.stat().st_size for path in folders[0].rglob("*") if path.is_file()) / 1e9
        self._add("save", whole == folders, f"{len(whole)} of {len(folders)} checkpoints whole, {size:,.2f} GB each")

    def resume(self) -> None:
        """Training goes on from the first checkpoint and has the same losses again."""
        before = {line["step"]: line["loss"] for line in lines(self.trained / "log.jsonl")}
        shutil.rmtree(self.trained / f"checkpoint-{STEPS}")
        (self.trained / MANIFEST).unlink()
        self._started("resume", ["--recipe", str(self.path)], self.small.launch.processes, self.trained)
        after = {line["step"]: line["loss"] for line in lines(self.trained / "log.jsonl")}
        again = range(SAVED + 1, STEPS + 1)
        off = max(abs(after[s] - before[s]) / max(abs(before[s]), 1e-12) for s in again)
        limit = RESUMED[self.recipe.model.dtype]
        shown = f"steps {again[0]} to {again[-1]} again from checkpoint-{SAVED}: losses off by {off:.1e} (at most {limit:.0e})"
        self._add("resume", off <= limit, shown)

    def evaluate(self) -> None:
        """A few questions to the last checkpoint, by whom the recipe asks them."""
        out, begun = self.out / "evaluate", time.monotonic()
        command = [sys.executable, "-m", "acc", "eval", "--recipe", str(self.path), "--compiled", str(self.run / "compile")]
        command += ["--checkpoint", str(self.trained / f"checkpoint-{STEPS}"), "--out", str(out)]
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode:
            self._add("evaluate", False, self._said())
            return
        scores = read_scores(out / SCORES)
        failed = sum(score.failed for score in scores)
        shown = f"{len(scores)} scores in {time.monotonic() - begun:.0f} s with loading, {failed} answers failed"
        self._add("evaluate", bool(scores) and not failed, shown)

    def _started(self, row: str, arguments: list[str], processes: int, out: Path) -> float:
        """Train; return how long it took, s.

        Raises:
            Failed: it did not end well; the row says why.
        """
        begun = time.monotonic()
        code = start(processes, self.small.launch.threads, self._train(arguments, out), log=self.log)
        if code:
            self._add(row, False, f"exit code {code}: {self._said()} (see {self.log})")
            raise Failed
        return time.monotonic() - begun

    def _train(self, arguments: list[str], out: Path) -> list[str]:
        return ["train", *arguments, "--packed", str(self.pack), "--out", str(out)]

    def _add(self, name: str, passed: bool | None, shown: str) -> None:
        self.table.append(Row(name, passed, shown))
        print(f"acc run: {name}: {shown}", file=sys.stderr, flush=True)

    def _said(self) -> str:
        from acc.launch.endings import last_line

        return last_line(self.log.read_text(encoding="utf-8", errors="replace"))

    def _seen(self) -> str:
        found = re.search(r"^seen in (.+):$", self.log.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        return f"{found[1]} run what was asked" if found else "training runs as asked"

    def _planned(self) -> float | str:
        """What the plan has allocated on a GPU at the peak, GB: without the context, NCCL and gaps, which torch does not count.
        A sentence where there is no plan."""
        from acc.launch.plan import gpus_of, plan_of

        name = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
        ).stdout.splitlines()
        try:
            plan = plan_of(self.small, gpus_of(f"{self.small.launch.processes}x{name[0] if name else ''}"), runs=self.runs)
        except UserError as e:
            return e.what
        return (plan.memory.peak - sum(figure.value for figure in plan.memory.fixed)) / 1e9


def _memory() -> float:
    """Bytes that one process may use: of a GPU where there is one, else of the machine."""
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
        if said:
            return float(said[0]) * 2**20
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _short(loss: Any) -> str:
    return f"{loss:.3f}" if isinstance(loss, float) else str(loss)
