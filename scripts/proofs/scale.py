"""Many trajectories: the same bytes from one process, four, and a Slurm array, also when a node goes; and bounded memory.

    ACC_PROVE_RECORDS   trajectories of the large run, number (20,000); the small run has a tenth of them
    ACC_PROVE_LONG      trajectories of 64K to 128K tokens, number (2,000)
    ACC_PROVE_FOLDER    folder to work in and to keep; without it a temporary one

The Slurm part needs a cluster that `sinfo` sees and the right to set the state of its nodes; else it says that it was not run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from proofs.places import said, working_folder

ACC = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "acc"
RECORDS = int(os.environ.get("ACC_PROVE_RECORDS", "20000"))
LONG = int(os.environ.get("ACC_PROVE_LONG", "2000"))
GROWTH = 1.10
"""Peak memory of the large run over that of the small one, at most."""
TASK_BYTES = 4_000_000
"""Small tasks, so that the small run too has more than a few."""
FILES = ("samples.parquet", "rejections.parquet", "merged.parquet", "manifest.json")


def prove() -> bool:
    """Print what was compared and measured; say whether it holds."""
    with working_folder() as folder:
        small, large = _synth(folder, RECORDS // 10), _synth(folder, RECORDS)
        peaks = {n: _compile(folder, logs, f"one-{n}", workers=1) for n, logs in ((RECORDS // 10, small), (RECORDS, large))}
        _compile(folder, large, "four", workers=4)
        held = _same(folder, f"one-{RECORDS}", "four", "one process and four")
        growth = peaks[RECORDS] / peaks[RECORDS // 10]
        shown = ", ".join(f"{n:,} records {peak / 1e6:,.2f} GB" for n, peak in peaks.items())
        print(f"  peak memory of a process: {shown} ({growth:.2f}×, at most {GROWTH:.2f}×)", flush=True)
        return held & (growth <= GROWTH) & _slurm(folder, large)


def prove_long() -> bool:
    """Compile and pack long samples; print their lengths, times and peak memory."""
    with working_folder() as folder:
        logs = _synth(folder, LONG, tokens="64K:128K")
        peak = _compile(folder, logs, "long", workers=2)
        counts = json.loads((folder / "long" / "manifest.json").read_text())["counts"]["all"]
        print(f"  {counts['written']:,} samples, tokens {counts['tokens']}, {peak / 1e6:,.2f} GB at most in a process")
        shutil.rmtree(folder / "packed", ignore_errors=True)
        seconds = _run([str(ACC), "pack", "long", "-o", "packed"], folder)
        packed = json.loads((folder / "packed" / "manifest.json").read_text())
        print(f"  packed in {seconds:.0f} s: {packed['written']:,} written, rejected {packed['rejected']}", flush=True)
        return counts["tokens"]["p50"] >= 64_000 and packed["written"] == counts["written"]


def _synth(folder: Path, records: int, tokens: str = "1K:2K") -> Path:
    """Simulated trajectories, three in five of search agents; what an earlier run left is taken."""
    out = folder / f"synth-{records}-{tokens.replace(':', '-')}"
    marker = out / "whole"
    if not marker.is_file():
        shutil.rmtree(out, ignore_errors=True)
        search, software = records * 3 // 5, records // 10
        numbers = ["--search", str(search), "--software", str(software), "--database", str(records - search - software)]
        seconds = _run([str(ACC), "synth", str(out), *numbers, "--tokens", tokens, "--seed", "11", "--workers", "2"], folder)
        marker.write_text("")
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        print(f"  {records:,} trajectories of {tokens} tokens simulated in {seconds:.0f} s, {size:,.0f} MB", flush=True)
    return out


def _recipe(folder: Path, logs: Path, executor: str = "local") -> Path:
    path = folder / f"{logs.name}-{executor}.yaml"
    slurm = "{mem_per_cpu_gb: 1, time: '00:30:00'}"
    path.write_text(
        f"name: scale\nsources:\n  - {{name: {logs.name}, path: {logs.name}}}\n"
        f"compile: {{task_bytes: {TASK_BYTES}, executor: {executor}, slurm: {slurm}}}\n"
    )
    return path


def _compile(folder: Path, logs: Path, out: str, *, workers: int) -> int:
    """Compile into `out`; return the peak memory of its largest process, KB."""
    shutil.rmtree(folder / out, ignore_errors=True)
    arguments = ["compile", "--recipe", str(_recipe(folder, logs)), "-o", out, "--workers", str(workers)]
    program = (
        "import resource, subprocess, sys\n"
        "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(code)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, str(ACC), *arguments], cwd=folder, stdout=subprocess.PIPE, check=True)
    print(f"  {logs.name} with {workers} processes: {time.monotonic() - started:.0f} s", flush=True)
    return int(done.stdout)


def _slurm(folder: Path, logs: Path) -> bool:
    """Compile as an array; once its first tasks run, take a node down with whatever runs on it, and later bring it back."""
    if shutil.which("sinfo") is None or not (nodes := said("sinfo", "-hN", "-o", "%N", "-t", "idle").split()):
        print("  NOT RUN: the Slurm array (no `sinfo`, or no idle node)", flush=True)
        return True
    recipe = _recipe(folder, logs, "slurm")
    for out, kills in (("slurm", False), ("slurm-killed", True)):
        shutil.rmtree(folder / out, ignore_errors=True)
        started = time.monotonic()
        command = [str(ACC), "compile", "--recipe", str(recipe), "-o", out]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        if kills:
            _take_down(nodes[-1])
        if process.wait():
            return False
        how = f"{len(nodes)} nodes{f', {nodes[-1]} taken down' if kills else ''}"
        print(f"  Slurm array over {how}: {time.monotonic() - started:.0f} s", flush=True)
        if not _same(folder, f"one-{RECORDS}", out, f"one process and {out}"):
            return False
    return True


def _take_down(node: str) -> None:
    while not (running := said("squeue", "-h", "-t", "R", "-w", node, "-o", "%A").split()):
        time.sleep(0.5)
    time.sleep(3)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=proof"], check=True)
    print(f"  {node} is down, and with it job {', '.join(running)}", flush=True)
    time.sleep(10)
    # A node whose daemon lives may be back by itself, which makes this an error.
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)


def _same(folder: Path, one: str, other: str, what: str) -> bool:
    differing = [name for name in FILES if (folder / one / name).read_bytes() != (folder / other / name).read_bytes()]
    print(f"  {what}: {'the same bytes' if not differing else f'OTHER BYTES in {differing}'}", flush=True)
    return not differing


def _run(command: Sequence[str], folder: Path) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started
