"""A response is on disk before it counts: never asked twice, never lost, never another model's."""

import multiprocessing
import os
import socket
import sys

import pytest
import torch
from answering import SAMPLING, Killed, Scripted, by_name, lines, prefix, recipe, reply

from acc.evaluate import run
from acc.evaluate.questions import Answer
from acc.records.scores import read_scores
from acc.records.stats import mean


def test_several_samples_are_a_line_each_and_one_row(student, compiled, tmp_path):
    scores = by_name(run(recipe(student), compiled, tmp_path, "x", 10, backend=Scripted(reply)))
    found = lines(tmp_path, 10)
    assert [(x["row"], x["sample"]) for x in found] == [(f"0-{i}", k) for i in range(6) for k in range(3)]
    rows = [sum(x["scores"]["official"] for x in found if x["row"] == f"0-{i}") / 3 for i in range(6)]
    score = scores["synthetic_mrcr/official"]
    assert 0 < score.mean < 1 / 3 + 1e-9
    assert (score.mean, score.ci95, score.n) == mean(rows)
    assert scores["synthetic_mrcr/official/all_bins"].n == 6


def test_killed_three_times_and_resumed_nothing_is_missing_or_asked_twice(student, compiled, tmp_path):
    asked = []
    for lives in (4, 5, 2):
        backend = Scripted(reply, lives=lives)
        with pytest.raises(Killed):
            run(recipe(student), compiled, tmp_path, "x", 10, backend=backend)
        asked += backend.asked
    assert not (tmp_path / "scores.jsonl").exists()
    last = Scripted(reply)
    scores = run(recipe(student), compiled, tmp_path, "x", 10, backend=last)
    names = [(q.row, q.sample) for q in (*asked, *last.asked)]
    assert len(names) == len(set(names)) == 18
    whole = run(recipe(student), compiled, tmp_path / "whole", "x", 10, backend=Scripted(reply))
    assert by_name(scores) == by_name(whole)
    assert not (tmp_path / "responses" / "10" / "parts").exists()


def test_the_screen_is_asked_first_and_its_answers_count_for_all_rows(student, compiled, tmp_path):
    screened = Scripted(reply)
    some = by_name(run(recipe(student, screen=3), compiled, tmp_path, "x", 10, rows="screen", backend=screened))
    assert len({q.row for q in screened.asked}) == 3
    assert some["screen_synthetic_mrcr/official"].n == 3
    assert all(s.screen for s in some.values())
    rest = Scripted(reply)
    both = by_name(run(recipe(student, screen=3), compiled, tmp_path, "x", 10, backend=rest))
    assert {q.row for q in rest.asked}.isdisjoint(q.row for q in screened.asked)
    assert both["synthetic_mrcr/official"].n == 6
    assert both["screen_synthetic_mrcr/official"] == some["screen_synthetic_mrcr/official"]
    # A later screen keeps the other rows' answers.
    again = Scripted(reply)
    run(recipe(student, screen=3), compiled, tmp_path, "x", 10, rows="screen", backend=again)
    assert again.asked == [] and len(lines(tmp_path, 10)) == 18


def test_the_screen_leaves_out_no_held_out_question(student, compiled, tmp_path):
    section = recipe(student, screen=3, held_out={"max_new_tokens": 4})
    scores = by_name(run(section, compiled, tmp_path, "x", 10, rows="screen", backend=Scripted(reply)))
    assert scores["held_out/exact"].n == 8 and not scores["held_out/exact"].screen


def test_a_question_that_failed_is_asked_again_and_the_others_are_not(student, compiled, tmp_path):
    def broken(question):
        return Answer("429", 0, "failed") if question.row == "0-2" and question.sample == 1 else reply(question)

    first = by_name(run(recipe(student), compiled, tmp_path, "x", 10, backend=Scripted(broken)))
    assert first["synthetic_mrcr/official"].failed == 1
    again = Scripted(reply)
    second = by_name(run(recipe(student), compiled, tmp_path, "x", 10, backend=again))
    assert [(q.row, q.sample) for q in again.asked] == [("0-2", 1)]
    assert second["synthetic_mrcr/official"].failed == 0
    assert read_scores(tmp_path / "scores.jsonl") == list(second.values())


def test_other_weights_or_sampling_inherit_nothing(student, compiled, tmp_path):
    run(recipe(student), compiled, tmp_path, "x", 10, backend=Scripted(reply))
    for section, fingerprint in (
        (recipe(student), "others"),
        (recipe(student, sampling={**SAMPLING, "top_p": 0.9}), "weights"),
    ):
        backend = Scripted(reply, fingerprint=fingerprint)
        run(section, compiled, tmp_path, "x", 10, backend=backend)
        assert len(backend.asked) == 18


def test_what_is_too_long_for_the_window_is_skipped_and_counted(student, compiled, tmp_path):
    backend = Scripted(reply)
    run(recipe(student), compiled, tmp_path, "x", 0, backend=backend)
    longest = max(len(q.prompt) for q in backend.asked) + 60
    scores = by_name(run(recipe(student), compiled, tmp_path, "x", 10, backend=Scripted(reply, window=longest - 1)))
    assert (scores["synthetic_mrcr/official"].n, scores["synthetic_mrcr/official"].skipped) == (5, 1)
    # Against the base only rows that both have.
    assert scores["synthetic_mrcr/official_minus_base"].n == 5
    assert scores["synthetic_mrcr/official_minus_base"].mean == 0


def test_a_change_of_the_base_is_measured_row_by_row(student, compiled, tmp_path):
    run(recipe(student), compiled, tmp_path, "x", 0, backend=Scripted(lambda q: prefix(q) if q.row == "0-1" else "nothing"))
    run(recipe(student), compiled, tmp_path, "y", 10, backend=Scripted(reply, fingerprint="y"))
    scores = by_name(read_scores(tmp_path / "scores.jsonl"))
    change = scores["synthetic_mrcr/official_minus_base"]
    rows = {step: {} for step in (0, 10)}
    for step, found in rows.items():
        for x in lines(tmp_path, step):
            found[x["row"]] = found.get(x["row"], 0) + x["scores"]["official"] / 3
    assert (change.mean, change.n) == (pytest.approx(sum(rows[10][r] - rows[0][r] for r in rows[0]) / 6), 6)


def test_likelihoods_come_from_the_training_where_the_server_gives_none(student, compiled, tmp_path, capsys):
    section = recipe(student, benchmarks=[], held_out={"max_new_tokens": 4, "conditions": ["full", "question_only"]})
    without = by_name(run(section, compiled, tmp_path, "x", 10, backend=Scripted(reply)))
    assert "held_out/exact" in without and not any("nll" in name for name in without)
    assert "nll is left out" in capsys.readouterr().err

    def likelihood(asked):
        return [float(len(prompt)) for prompt, target, (start, end) in asked]

    again = Scripted(reply)
    found = by_name(run(section, compiled, tmp_path, "x", 10, backend=again, likelihood=likelihood))
    assert again.asked == [], "answers are not asked again for it"
    measured = {x["row"]: x for x in lines(tmp_path, 10, "held_out") if x["condition"] == "full" and x["sample"] == 0}
    assert all(x["nll"] == x["prompt_tokens"] for x in measured.values())
    assert found["held_out/nll"].mean == pytest.approx(sum(x["prompt_tokens"] for x in measured.values()) / 8)
    assert found["held_out/nll_minus_question_only"].mean > 0


def test_likelihoods_alone_need_nobody_to_answer(student, compiled, tmp_path):
    section = recipe(student, benchmarks=[], held_out={"measures": ["nll"]})
    # The checkpoint is not loaded: there is none.
    scores = by_name(run(section, compiled, tmp_path, "no/such", 10, likelihood=lambda asked: [0.5] * len(asked)))
    assert scores["held_out/nll"].mean == 0.5
    assert not any("exact" in name for name in scores)


class Addressed(Scripted):
    """A backend that is a server, and counts how often it had to run."""

    def __init__(self, reply):
        super().__init__(reply)
        self.model, self.started = "student", 0

    @property
    def base_url(self):
        self.started += 1
        return "http://127.0.0.1:9/v1"


PROGRAM = """
import json, sys
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
right = {"one": 1.0, "two": float(sys.argv[1])}
json.dump({"rows": {name: {"solved": x} for name, x in right.items()}}, open(options["--out"], "w"))
"""


def test_a_users_program_is_scored_and_compared_with_the_base_by_row(student, compiled, tmp_path):
    (tmp_path / "p.py").write_text(PROGRAM)

    def section(second):
        commands = [{"name": "mine", "run": [sys.executable, str(tmp_path / "p.py"), second]}]
        return recipe(student, commands=commands, screen=3, server={"base_url": "http://127.0.0.1:9/v1"})

    base, screened, trained = Addressed(reply), Addressed(reply), Addressed(reply)
    run(section("0"), compiled, tmp_path, "base", 0, backend=base)
    run(section("1"), compiled, tmp_path, "trained", 10, rows="screen", backend=screened)
    assert (base.started, screened.started) == (1, 0), "the screen alone runs no program, so it needs no server for it"
    scores = by_name(run(section("1"), compiled, tmp_path, "trained", 10, backend=trained))
    assert (scores["command_mine/solved"].mean, scores["command_mine/solved"].n) == (1.0, 2)
    change = scores["command_mine/solved_minus_base"]
    assert (change.mean, change.n) == (0.5, 2)
    assert {s.name for s in read_scores(tmp_path / "scores.jsonl") if s.step == 10} == scores.keys()


def one_of_two(rank, port, section, compiled, out):
    environment = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= environment
    torch.distributed.init_process_group("gloo")
    backend, counts = Scripted(reply), []

    def likelihood(asked):
        """As the training's: every process has to call it with the same list."""
        counts.extend([None] * 2)
        torch.distributed.all_gather_object(counts, len(asked))
        return [0.5] * len(asked)

    scores = run(section, compiled, out, "x", 10, backend=backend, likelihood=likelihood)
    torch.distributed.destroy_process_group()
    assert counts == [24, 24]
    assert bool(scores) == bool(backend.asked) == (rank == 0)


@pytest.mark.processes
def test_of_several_processes_one_asks_a_server_and_all_measure_likelihoods(student, compiled, tmp_path):
    section = recipe(student, held_out={"max_new_tokens": 4}, server={"base_url": "http://127.0.0.1:9/v1"})
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=one_of_two, args=(rank, port, section, compiled, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    found = by_name(read_scores(tmp_path / "scores.jsonl"))
    assert (found["held_out/nll"].mean, found["held_out/nll"].n) == (0.5, 8)
    assert found["synthetic_mrcr/official"].n == 6
