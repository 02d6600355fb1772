"""A checkpoint has one holder at a time, whoever asks, dies or sleeps."""

import json
import multiprocessing
import os
import time

import pytest

from acc.evaluate.claims import Claim, claim

FORK = multiprocessing.get_context("fork")


def race(folder, steps, start, results, stale_s):
    start.wait()
    held = [c for step in steps if (c := claim(folder, step, stale_s=stale_s))]
    results.put([c.path.name for c in held])
    results.close()
    results.join_thread()
    os._exit(0)  # gone without a word, as by SIGKILL


def raced(folder, steps, *, stale_s=60.0, processes=8):
    """What each of several processes got that all ask for the same at once, and then die."""
    start, results = FORK.Barrier(processes), FORK.Queue()
    running = [FORK.Process(target=race, args=(folder, steps, start, results, stale_s)) for _ in range(processes)]
    for p in running:
        p.start()
    found = [results.get(timeout=30) for _ in running]
    for p in running:
        p.join()
    return [name for names in found for name in names]


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


def test_of_many_who_ask_at_once_one_gets_it(tmp_path):
    assert sorted(raced(tmp_path, range(30))) == sorted(f"{step}.1.json" for step in range(30))


def test_of_many_who_find_a_holder_gone_one_takes_over(tmp_path):
    raced(tmp_path, range(20))
    assert raced(tmp_path, range(20)) == [], "silent for a moment is not gone"
    for path in tmp_path.glob("*.json"):
        age(path, 100)
    assert sorted(raced(tmp_path, range(20), stale_s=60.0)) == sorted(f"{step}.2.json" for step in range(20))


def test_a_holder_is_named_is_heard_and_gives_back(tmp_path):
    with claim(tmp_path, 40, beat_s=0.05) as held:
        assert isinstance(held, Claim)
        holder = json.loads(held.path.read_text())
        assert holder["pid"] == os.getpid() and holder["host"] == os.uname().nodename and not holder["released"]
        age(held.path, 100)
        time.sleep(0.3)
        assert claim(tmp_path, 40, stale_s=60.0) is None, "its thread touches the file"
        assert claim(tmp_path, 45) is not None, "another checkpoint is free"
    assert json.loads(held.path.read_text())["released"] and not held.lost
    with claim(tmp_path, 40) as again:
        assert again.path.name == "40.2.json"


def test_who_slept_through_a_take_over_is_told_and_takes_nothing_back(tmp_path):
    slept = claim(tmp_path, 7, beat_s=100.0)
    age(slept.path, 100)
    with claim(tmp_path, 7, stale_s=60.0) as other:
        slept.release()
        assert slept.lost and not other.lost
        assert claim(tmp_path, 7) is None, "the one that took over still holds it"


def test_an_error_inside_gives_it_back(tmp_path):
    with pytest.raises(OSError), claim(tmp_path, 1):
        raise OSError
    assert claim(tmp_path, 1) is not None


def test_a_claim_that_is_just_being_written_is_held(tmp_path):
    (tmp_path / "3.1.json").touch()
    assert claim(tmp_path, 3) is None
