"""scores.jsonl has several writers, readers while they write, and processes that are killed."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from acc.records.scores import Score, append_scores, read_scores

FORK = multiprocessing.get_context("fork")


def score(step: int, value: float, group: str = "all") -> Score:
    return Score(step, "mrcr", "official", value, (0.0, 1.0), n=3, group=group, extra={"long": "x" * 2_000})


def write(path: Path, writer: int) -> None:
    for step in range(20):
        append_scores(path, [score(100 * writer + step, 0.5, str(i)) for i in range(10)])


def test_several_write_while_one_reads_and_every_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    writers = [FORK.Process(target=write, args=(path, w)) for w in range(3)]
    for w in writers:
        w.start()
    while any(w.is_alive() for w in writers):
        assert len(read_scores(path)) % 10 == 0, "all scores of one evaluation, or none"
    assert [w.exitcode for w in writers] == [0, 0, 0]
    assert len(read_scores(path)) == 3 * 20 * 10


def test_a_line_cut_by_a_kill_spoils_neither_its_neighbours_nor_what_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    append_scores(path, [score(1, 0.1), score(2, 0.2)])
    path.write_bytes(path.read_bytes()[:-100])
    append_scores(path, [score(3, 0.3)])
    assert {s.step: s.mean for s in read_scores(path)} == {1: 0.1, 3: 0.3}
    append_scores(path, [score(2, 0.4), score(1, 0.5)])
    assert {s.step: s.mean for s in read_scores(path)} == {1: 0.5, 2: 0.4, 3: 0.3}, "the last one written counts"


def test_slices_that_are_asked_no_more_are_gone_and_other_metrics_stay(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    append_scores(path, [Score(10, "held_out", "nll", 3.0, (2, 4), n=8)])
    compared = Score(10, "mrcr", "official_minus_base", 0.2, (0, 1), n=2)
    append_scores(path, [score(10, 0.5), score(10, 0.7, "8needle"), compared, score(20, 0.9, "8needle")])
    append_scores(path, [score(10, 0.1), score(10, 0.1, "2needle")])
    found = {(s.step, s.name): s.mean for s in read_scores(path)}
    kept = {(10, "held_out/nll"): 3.0, (20, "mrcr/official/8needle"): 0.9}
    assert found == {(10, "mrcr/official"): 0.1, (10, "mrcr/official/2needle"): 0.1, **kept}
