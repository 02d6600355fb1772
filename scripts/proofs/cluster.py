"""`acc submit` on a real Slurm of two nodes: unattended to the report; the same bytes when a node and the training are lost.

Two submissions of one recipe. Nobody touches the first. Of the second a node is taken down while its array compiles; its
training is told to stop as before its time limit, later queued again by `scontrol requeue`, and last its processes crash.
Both must end with the same samples, sequences, weights and answers. Needs two idle nodes that `sinfo` sees, and the right to
set their state; else it says so.

    ACC_PROVE_FOLDER    folder to work in and to keep; without it a temporary one
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from proofs.places import said, working_folder

ROOT = Path(__file__).resolve().parents[2]
ACC = ROOT / ".venv" / "bin" / "acc"
STEPS, EVERY = 24, 8
WAIT_S = 600.0
RECIPE = f"""\
extends: {ROOT}/recipes/quickstart.yaml
name: cluster
sources:
  - {{name: simulated, synth: {{search: 120, software: 30, database: 50, seed: 11, min_tokens: 600, max_tokens: 1200}}}}
  - {{name: held_out, split: held_out, synth: {{search: 20, database: 10, seed: 12, min_tokens: 600, max_tokens: 1200}}}}
compile: {{executor: slurm, task_bytes: 300000, slurm: {{mem_per_cpu_gb: 1, time: "00:30:00"}}}}
train: {{max_steps: {STEPS}, global_batch: 4, save_every_steps: {EVERY}}}
evaluate:
  where: job
  held_out: {{limit: 8, max_new_tokens: 16}}
  benchmarks: [{{name: mrcr, synthetic: {{rows: 4, tokens: 800}}, max_new_tokens: 16}}]
launch:
  nodes: 2
  processes: 1
  slurm:
    time: "00:30:00"
    signal_before_s: 60
    train: {{gpus: 0}}
    setup: export TORCH_EXTENSIONS_DIR={{folder}}/extensions
"""


def prove() -> bool:
    """Print what was done and compared; say whether it holds."""
    if shutil.which("sinfo") is None or len(nodes := said("sinfo", "-hN", "-o", "%N", "-t", "idle").split()) < 2:
        print("  NOT RUN: no `sinfo`, or no two idle nodes", flush=True)
        return True
    with working_folder() as folder:
        (folder / "cluster.yaml").write_text(RECIPE.replace("{folder}", str(folder)))
        whole, lost = (Run(folder, name) for name in ("whole", "lost"))
        held = whole.submitted() and whole.ended()
        held &= lost.submitted()
        if held:
            lost.lose_node(nodes)
            lost.stop_training(after=3, how=["scancel", "--batch", "--signal=USR1"])
            lost.stop_training(after=EVERY + 1, how=["scontrol", "requeue"])
            lost.stop_training(after=2 * EVERY + 1, how=["scancel", "--signal=ABRT"])
            held = lost.ended()
        if not held:
            return False
        differing = sorted(name for name, digest in whole.fingerprint().items() if lost.fingerprint().get(name) != digest)
        count = len(whole.fingerprint())
        print(f"  {count} files of both: {'the same bytes' if not differing else f'OTHER BYTES in {differing}'}", flush=True)
        return not differing and count > 0


class Run:
    """One submission in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.runs, self.recipe = name, folder / name, folder / "cluster.yaml"
        self.folder = self.runs / "cluster"
        self.begun = time.monotonic()

    def submitted(self) -> bool:
        shutil.rmtree(self.runs, ignore_errors=True)
        self.begun = time.monotonic()
        done = subprocess.run(
            [str(ACC), "submit", str(self.recipe), "--runs", str(self.runs)], capture_output=True, text=True, check=False
        )
        jobs = ", ".join(line.replace(" job ", "").replace("  ", " ") for line in done.stdout.splitlines()[:-1])
        print(f"  {self.name}: submitted {jobs}{done.stderr}", flush=True)
        return done.returncode == 0

    def lose_node(self, nodes: list[str]) -> None:
        """Take down a node on which only tasks of the array run."""
        while True:
            driver = said("squeue", "-h", "-t", "R", "-j", self._id("prepare"), "-o", "%N").strip()
            others = [
                n for n in nodes if driver and n != driver and said("squeue", "-h", "-t", "R", "-w", n, "-o", "%A").split()
            ]
            if others:
                break
            time.sleep(0.3)
        time.sleep(1)
        running = said("squeue", "-h", "-t", "R", "-w", others[0], "-o", "%A").split()
        subprocess.run(["scontrol", "update", f"nodename={others[0]}", "state=down", "reason=proof"], check=True)
        print(f"  {self.name}: {others[0]} is down, and with it job {', '.join(running)} of the array", flush=True)
        time.sleep(8)
        subprocess.run(["scontrol", "update", f"nodename={others[0]}", "state=resume"], check=False, capture_output=True)

    def stop_training(self, *, after: int, how: list[str]) -> None:
        """Stop the training once it has logged a step beyond `after`, and let it begin again at once."""
        job = self._id("train")
        self._wait(lambda: self._step() > after)
        attempt = self._attempts("train")
        subprocess.run([*how, job], check=True)
        self._wait(lambda: said("squeue", "-h", "-j", job, "-o", "%T").strip() == "PENDING")
        status = json.loads(said(str(ACC), "status", str(self.folder), "--json"))
        why = next(j for j in status["jobs"] if j["name"] == "train")["endings"][-1]
        print(f"  {self.name}: {' '.join(how)} after step {self._step()}; acc status: {why}", flush=True)
        subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], check=False, capture_output=True)
        self._wait(lambda: self._attempts("train") > attempt)

    def ended(self) -> bool:
        """Wait for the last job; say what there is."""
        finish = self.folder / "jobs" / "ids" / "finish"
        jobs = self.folder / "jobs"
        self._wait(lambda: finish.is_file() and not said("squeue", "-h", "-j", finish.read_text().strip()).strip())
        steps = [0, *range(EVERY, STEPS + 1, EVERY)]
        evaluated = [step for step in steps if (jobs / "logs" / f"evaluate-{step}").is_dir()]
        report = (self.folder / "report.html").is_file() and (self.folder / "evaluate" / "manifest.json").is_file()
        seconds = time.monotonic() - self.begun
        print(
            f"  {self.name}: {seconds:.0f} s, training in {self._attempts('train')} attempts, "
            f"evaluation jobs for steps {evaluated}, report {'written' if report else 'MISSING'}",
            flush=True,
        )
        return report and evaluated == steps

    def fingerprint(self) -> dict[str, str]:
        """Hashes of samples, rejections, sequences, the weights of every checkpoint, and its answers without their times."""
        run = self.folder
        paths = [*run.glob("compile/*.parquet"), *run.glob("pack/*.arrow"), run / "pack" / "tokens.bin"]
        contents = {path: path.read_bytes() for path in (*paths, *run.glob("train/checkpoint-*/*.safetensors"))}
        for path in run.glob("evaluate/responses/*/*.jsonl"):
            answers = [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
            contents[path] = "\n".join(sorted(json.dumps(answer, sort_keys=True) for answer in answers)).encode()
        return {str(path.relative_to(run)): hashlib.sha256(content).hexdigest() for path, content in contents.items()}

    def _id(self, name: str) -> str:
        return (self.folder / "jobs" / "ids" / name).read_text().strip()

    def _attempts(self, stage: str) -> int:
        return len(list((self.folder / "jobs" / "logs" / stage).glob("*-*/batch.log")))

    def _step(self) -> int:
        log = self.folder / "train" / "log.jsonl"
        found = (
            [json.loads(line)["step"] for line in log.read_text().splitlines() if line.endswith("}")] if log.is_file() else []
        )
        return int(max(found, default=0))

    def _wait(self, until: object) -> None:
        assert callable(until)
        begun = time.monotonic()
        while not until():
            if time.monotonic() - begun > WAIT_S:
                raise TimeoutError(f"{self.name}: waited {WAIT_S:.0f} s; see {self.folder}/jobs/logs")
            time.sleep(0.5)
