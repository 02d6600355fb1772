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
        append_scores(path, [score(step, 0.5, f"{writer}-{i}") for i in range(10)])


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
