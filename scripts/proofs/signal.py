"""Whether the likelihood of the gold answer shows that training makes the model use its evidence, and the right evidence.

On the held-out questions of a quickstart, by `acc eval` on the base and on each checkpoint: without the support the answer
becomes less likely, the more so the longer the model has trained; without as many distractors, chosen at random, it does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from acc.records.stats import Mean, mean, paired

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "quickstart.yaml"
CONDITIONS = ("full", "no_support", "exchanged", "question_only")
SMALL = 0.05
"""A control gap whose whole interval is within this share of the support's gap is called small."""
Values = dict[str, dict[str, float]]
"""Condition → row → negative log-likelihood of the gold answer, nats a token."""


def prove(run: Path = ROOT / "runs" / "quickstart") -> bool:
    """Measure, print the gaps with their 95% intervals, and say whether they are as they should be.

    Args:
        run: of the quickstart; trained first if it is not.
    """
    if not (run / "train" / "manifest.json").is_file():
        command = [sys.executable, "-m", "acc", "run", str(RECIPE), "--runs", str(run.parent)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    steps = sorted(int(p.parent.name.partition("-")[2]) for p in run.glob("train/checkpoint-*/acc_checkpoint.json"))
    with tempfile.TemporaryDirectory() as out:
        return _judge({step: _measure(run, step, Path(out)) for step in (0, *steps)})


def _measure(run: Path, step: int, out: Path) -> Values:
    """What `acc eval` finds for a checkpoint, or for the base as step 0."""
    held_out = {"limit": None, "conditions": list(CONDITIONS), "measures": ["nll"]}
    command = [
        sys.executable, "-m", "acc", "eval", "--recipe", str(RECIPE), "--compiled", str(run / "compile"), "--out", str(out),
        "--set", f"evaluate.held_out={json.dumps(held_out)}", "--set", "evaluate.benchmarks=[]",
        *(("--checkpoint", str(run / "train" / f"checkpoint-{step}")) if step else ()),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found: Values = {condition: {} for condition in CONDITIONS}
    for line in map(json.loads, (out / "responses" / str(step) / "held_out.jsonl").read_text().splitlines()):
        found[line["condition"]][line["row"]] = line["nll"]
    return found


def _judge(measured: dict[int, Values]) -> bool:
    first, *_, last = measured
    rows = measured[first]["exchanged"]  # those with distractors; of a database question all tables are support
    for step, values in measured.items():
        means = (f"{c} {mean(values[c][r] for r in rows).mean:.3f}" for c in CONDITIONS)
        print(f"  step {step}: {', '.join(means)} nats a token")
        for condition in CONDITIONS[1:]:
            _show(f"step {step}: {condition} − full", mean(_gap(values, condition, rows).values()))
    late, early = measured[last], measured[first]
    _show(f"step {last}: no_support − full, of all questions", mean(_gap(late, "no_support", late["full"]).values()))
    support, control = (mean(_gap(late, c, rows).values()) for c in ("no_support", "exchanged"))
    grown, drift = (paired(_gap(late, c, rows), _gap(early, c, rows)) for c in ("no_support", "exchanged"))
    _show(f"no_support − full, step {last} − step {first}", grown)
    _show(f"exchanged − full, step {last} − step {first}", drift)
    used = all(found.excludes_zero and found.mean > 0 for found in (support, grown))
    print(f"  the gap without the support is there and has grown: {'yes' if used else 'NO'}")
    if not control.excludes_zero:
        print("  the gap without distractors instead: none, its interval holds 0")
        return used
    share, small = control.mean / support.mean, max(map(abs, control.ci95)) <= SMALL * support.mean
    print(f"  the gap without distractors instead: not 0, but {share:.1%} of the support's{'' if small else ' NO'}")
    return used and small


def _gap(values: Values, condition: str, rows: Iterable[str]) -> dict[str, float]:
    """How much less likely the answer is than with everything, by row."""
    return {row: values[condition][row] - values["full"][row] for row in rows}


def _show(name: str, found: Mean) -> None:
    low, high = found.ci95
    print(f"    {name}: {found.mean:+.3f} [{low:+.3f}, {high:+.3f}] n={found.n}", flush=True)
