"""Two watchers, one of them killed, give a finished quickstart the scores that its training gave inline; and the scores rise.

They share the base and the checkpoints of a copy of the run whose evaluation was taken away. As soon as the first one has
answered some of its questions it is killed with SIGKILL; the other one takes over.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from acc.records.scores import SCORES, Score, read_scores

ROOT = Path(__file__).resolve().parents[2]
STALE_S = 20
"""After so long without a heartbeat a watcher counts as gone, s; two minutes by default."""
WATCH = f"import sys, acc.evaluate.claims as c; c.STALE_S = {STALE_S}; from acc.cli import main; sys.exit(main(sys.argv[1:]))"
ANSWERED = 20
"""The base's questions with an answer when the watcher is killed, number at least."""
PATIENCE_S = 1_800
TOLERANCE = 1e-4
"""Likelihoods may differ by so much, nats a token: batches are put together otherwise than in two processes."""
RISES = {"held_out/exact_minus_base": 1, "held_out/nll_minus_base": -1}
"""Paired differences to the base, and which way is up."""


def prove(run: Path = ROOT / "runs" / "quickstart") -> bool:
    """Watch, print what was found, and say whether it is as it should be.

    Args:
        run: a finished quickstart, evaluated inline.
    """
    inline = read_scores(run / "evaluate" / SCORES)
    if not (run / "train" / "manifest.json").is_file() or not inline:
        print(f"  {run} holds no quickstart that was evaluated: run scripts/quickstart")
        return False
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "runs" / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("evaluate", "synth", "report.html"))
        held = _watched(copy)
        return _compared(inline, read_scores(copy / "evaluate" / SCORES)) and held


def _watched(copy: Path) -> bool:
    """Evaluate by two watchers and a kill; whether every model was evaluated, and every question answered once."""
    evaluate = copy / "evaluate"
    watchers = [_start(copy) for _ in range(2)]
    try:
        # Whoever claims the base: the other one waits for it, because all are compared with the base.
        claim = evaluate / "claims" / "0.1.json"
        _until(lambda: claim.is_file() and _answered(evaluate) >= ANSWERED)
        holder, answered = json.loads(claim.read_text())["pid"], _answered(evaluate)
        os.kill(holder, signal.SIGKILL)
        print(f"  process {holder} was killed after {answered} answers to the base's questions", flush=True)
        (other,) = [w for w in watchers if w.pid != holder]
        third = _start(copy)
        watchers.append(third)
        codes = [w.wait(PATIENCE_S) for w in (other, third)]
    finally:
        for w in watchers:
            w.kill()
            w.wait()
    claims = [json.loads(p.read_text()) for p in sorted(evaluate.glob("claims/*.json"))]
    steps = sorted(int(p.name.partition("-")[2]) for p in copy.glob("train/checkpoint-*"))
    done = sorted(int(p.name.partition("-")[0]) for p in evaluate.glob("done/*-full.json"))
    begun = Counter(int(p.name.partition(".")[0]) for p in evaluate.glob("claims/*.json"))
    twice = {step: n for step, n in begun.items() if n > 1}
    repeated = _repeated(evaluate)
    found = {
        f"the watchers that were not killed ended with {codes}": codes == [0, 0],
        f"base and checkpoints {done} are evaluated, by {len({c['pid'] for c in claims})} processes": done == [0, *steps],
        f"claimed again: {twice or 'none'} (the killed one's)": set(twice) <= {0},
        f"{repeated} questions have two answers, and none has none": repeated == 0,
    }
    for sentence, good in found.items():
        print(f"  {sentence}{'' if good else ': NO'}")
    return all(found.values())


def _answered(evaluate: Path) -> int:
    """Answers of the base on disk that are not merged yet."""
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in evaluate.glob("responses/0/parts/*"))


def _repeated(evaluate: Path) -> int:
    keys = [json.loads(line)["key"] for p in evaluate.glob("responses/*/*.jsonl") for line in p.read_text().splitlines()]
    return len(keys) - len(set(keys))


def _compared(inline: list[Score], watched: list[Score]) -> bool:
    """The same numbers, but for times; and a last checkpoint that is better than the base by the paired interval."""
    before, now = ({(s.step, s.name): s for s in scores if s.metric != "seconds"} for scores in (inline, watched))
    differing = [
        key for key in before.keys() & now.keys() if (before[key].n != now[key].n or not _close(before[key], now[key]))
    ]
    missing = before.keys() - now.keys()
    last = max(s.step for s in watched)
    print(f"  {len(before)} scores inline: {len(missing)} are not among those watched, {len(differing)} differ")
    for key in sorted(differing)[:10]:
        print(f"    {key}: {before[key].mean} inline, {now[key].mean} watched")
    if differing or missing:
        return False
    held = True
    for name, way in RISES.items():
        score = now[last, name]
        low, high = score.ci95
        good = (low if way > 0 else -high) > 0
        means = {s.step: s.mean for s in watched if s.name == name.removesuffix("_minus_base")}
        rise = " → ".join(f"{means[step]:.3f}" for step in sorted(means))
        print(f"  {name}: {score.mean:+.3f} [{low:+.3f}, {high:+.3f}] n={score.n}; {rise}{'' if good else ' NO'}")
        held &= good
    return held


def _close(a: Score, b: Score) -> bool:
    return abs(a.mean - b.mean) <= (TOLERANCE if a.metric.startswith("nll") else 1e-9)


def _start(run: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WATCH, "eval", "--watch", str(run)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise SystemExit("the watchers stand still")
        time.sleep(0.2)
