"""A training killed with SIGKILL at ten random moments ends in the weights, log and order of rows of one that was not.

Two processes share each sequence (Ulysses, ZeRO-3); sequences are packed, and an epoch ends within a step. The moments are
drawn from four kinds, and at each either both processes die at once or one of them alone. Processes are forked from one that
has imported everything, so that a start takes seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from proofs import resume_worker

KILLS = 10
WORLD = 2
KINDS = ("within a step", "while saving", "between epochs", "in the first step after a start")
GRACE_S = 20.0
"""How long one process may live on when the other one is dead."""


@dataclass
class Times:
    """Medians of the uninterrupted run, seconds."""

    step: float
    save: float


@dataclass
class Running:
    """Two processes, and what the first one of them tells: (event, step)."""

    processes: list[BaseProcess]
    pipe: int
    rest: bytes = b""
    events: list[tuple[str, int]] = field(default_factory=list)

    def alive(self) -> bool:
        return any(p.is_alive() for p in self.processes)

    def follow(self) -> Iterator[tuple[str, int] | None]:
        """Events as they come, None where there is none yet; ends with the processes."""
        while True:
            living = self.alive()
            if select.select([self.pipe], [], [], 0.002)[0] and (found := os.read(self.pipe, 65_536)):
                *lines, self.rest = (self.rest + found).split(b"\n")
                for line in lines:
                    event, step = line.split()
                    self.events.append((event.decode(), int(step)))
                    yield self.events[-1]
            elif not living:
                return
            else:
                time.sleep(0.002)  # a pipe that everybody has closed is always readable
                yield None

    def kill(self, victims: list[int]) -> None:
        """Kill some at once; the others have a while to find out, then they are killed too."""
        for rank in victims:
            os.kill(self.processes[rank].pid or 0, signal.SIGKILL)
        end = time.monotonic() + GRACE_S
        while self.alive() and time.monotonic() < end:
            time.sleep(0.05)
        self.close()

    def close(self) -> None:
        for p in self.processes:
            p.kill()
            p.join()
        os.close(self.pipe)


def prove() -> bool:
    """Run both trainings, print each kill's moment, and say whether everything is the same."""
    resume_worker.preload()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _call(resume_worker.prepare, folder)
        times = _uninterrupted(folder)
        print(f"  uninterrupted: {times.step * 1e3:.0f} ms a step, {times.save * 1e3:.0f} ms a checkpoint", flush=True)
        seed = random.randrange(2**32)
        print(f"  moments drawn with seed {seed}", flush=True)
        half_written = _killed(folder, random.Random(seed), times)
        held = half_written > 0
        print(f"  {half_written} of the kills left a half-written checkpoint{'' if held else ': TOO FEW'}")
        return _same(folder) and held


def _uninterrupted(folder: Path) -> Times:
    running, at, last = _start(folder, "whole"), dict[tuple[str, int], float](), time.monotonic()
    for event in running.follow():
        if event:
            at[event] = last = time.monotonic()
        if time.monotonic() - last > 180:
            running.close()
            raise SystemExit(f"the uninterrupted run stands still:\n{_output(folder, 'whole')}")
    codes = [p.exitcode for p in running.processes]
    running.close()
    if codes != [0] * WORLD:
        raise SystemExit(f"the uninterrupted run ended with {codes}:\n{_output(folder, 'whole')}")

    def median(first: str, then: str) -> float:
        found = sorted(at[then, s] - moment for (event, s), moment in at.items() if event == first and (then, s) in at)
        return found[len(found) // 2]

    return Times(median("begin", "end"), median("end", "saved"))


def _killed(folder: Path, draw: random.Random, times: Times) -> int:
    """Kill and start again until it is done; give back how many kills left a folder without its marker."""
    out, half_written, kills = folder / "killed", 0, 0
    ways = [*range(WORLD), None]
    while True:
        running = _start(folder, "killed")
        if kills == KILLS:
            for _ in running.follow():
                pass
            codes = [p.exitcode for p in running.processes]
            running.close()
            if codes != [0] * WORLD:
                raise SystemExit(f"the last start ended with {codes}:\n{_output(folder, 'killed')}")
            return half_written
        kind, way = KINDS[kills % len(KINDS)], ways[kills % len(ways)]
        if not _wait(running, kind, out, draw, times):
            codes = [p.exitcode for p in running.processes]
            running.close()
            raise SystemExit(f"ended with {codes} after {kills} kills, before its moment:\n{_output(folder, 'killed')}")
        running.kill([way] if way is not None else list(range(WORLD)))
        kills += 1
        left = [p.name for p in _unmarked(out)]
        half_written += bool(left)
        event, step = running.events[-1] if running.events else ("start", 0)
        who = "all processes" if way is None else f"process {way} alone"
        half = f", {left[0]} half-written" if left else ""
        print(f"  kill {kills}: {kind}: {who}, after {event} of step {step}{half}", flush=True)


def _wait(running: Running, kind: str, out: Path, draw: random.Random, times: Times) -> bool:
    """Wait for a random moment of a kind; False where the processes ended before it."""
    ahead = draw.randint(2, 3)
    for event in running.follow():
        begun = sum(name == "begin" for name, _ in running.events)
        if kind == KINDS[1]:
            if _unmarked(out) and begun:
                time.sleep(draw.uniform(0, 0.5) * times.save)
                return True
        elif event is None:
            continue
        elif kind == KINDS[2]:
            if event[0] == "end" and event[1] in resume_worker.EPOCH_ENDS:
                time.sleep(draw.uniform(0, 0.2) * times.step)
                return True
        elif event[0] == "begin" and begun == (ahead if kind == KINDS[0] else 1):
            time.sleep(draw.uniform(0, 1) * times.step)
            return True
    return False


def _same(folder: Path) -> bool:
    whole, killed = folder / "whole", folder / "killed"
    last = f"checkpoint-{resume_worker.STEPS}/model.safetensors"
    rows = [_rows(folder, name) for name in ("whole", "killed")]
    logs = [resume_worker.read_log(out) for out in (whole, killed)]
    found = {
        "the same final weights, bit for bit": (whole / last).read_bytes() == (killed / last).read_bytes(),
        f"the same {len(logs[0])} lines of the log": logs[0] == logs[1],
        f"the same rows in the same order in {len(rows[0])} parts of steps": rows[0] == rows[1] != {},
    }
    for sentence, good in found.items():
        print(f"  {sentence}: {'yes' if good else 'NO'}")
    return all(found.values())


def _rows(folder: Path, name: str) -> dict[str, str]:
    """What each process was fed in each step; a step that was begun twice must have been fed the same."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"{name}-rows-*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut by a kill
            if found.setdefault(row["place"], line) != line:
                return {}
    return found


def _unmarked(out: Path) -> list[Path]:
    return [p for p in out.glob("checkpoint-*") if not (p / "acc_checkpoint.json").exists()]


def _start(folder: Path, name: str) -> Running:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    read, write = os.pipe()
    fork = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = [
        fork.Process(target=resume_worker.train, args=(folder, name, rank, WORLD, port, write)) for rank in range(WORLD)
    ]
    for p in processes:
        p.start()
    os.close(write)
    return Running(processes, read)


def _call(function: object, *args: object) -> None:
    """Run a function in a process of its own: this one must stay without threads, as it forks."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args)  # type: ignore[arg-type]
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the student and the sequences could not be made")


def _output(folder: Path, name: str) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob(f"{name}-output-*.txt")))


if __name__ == "__main__":
    sys.exit(not prove())
