"""A checkpoint is asked everything once, whatever is killed and however many processes ask."""

import argparse
import json
import multiprocessing
import os
import socket
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerControl

from acc.errors import UserError
from acc.evaluate import CheckpointEvaluation, cli, run
from acc.evaluate.generation import InProcess
from acc.recipe.loading import recipe_from
from acc.records.scores import read_scores
from acc.records.stats import mean, paired

SUITES = ["held_out", "synthetic_graphwalks", "synthetic_mrcr"]


def recipe_data(student, **evaluate):
    benchmarks = [
        {"name": "mrcr", "synthetic": {"rows": 3, "tokens": 300}, "max_new_tokens": 6},
        {"name": "graphwalks", "synthetic": {"rows": 2, "tokens": 300}, "max_new_tokens": 6},
        {"name": "graphwalks", "synthetic": {"rows": 2, "tokens": 900}, "max_new_tokens": 6, "max_prompt_tokens": 700},
    ]
    return {
        "sources": [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}],
        "model": {"path": str(student)},
        "evaluate": {"held_out": {"max_new_tokens": 6}, "benchmarks": benchmarks, "batch_tokens": 2000, **evaluate},
    }


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def evaluated(student, trained, compiled, tmp_path_factory):
    """The base and a checkpoint, evaluated in one process without interruption."""
    out = tmp_path_factory.mktemp("evaluate")
    recipe = recipe_from(recipe_data(student))
    return out, run(recipe, compiled, out, str(student), 0), run(recipe, compiled, out, str(trained), 10)


def lines(out, step, suite):
    return [json.loads(text) for text in (out / "responses" / str(step) / f"{suite}.jsonl").read_text().splitlines()]


def by_name(scores):
    return {s.name: s for s in scores}


def test_every_question_has_a_line_and_every_score_follows_from_the_lines(evaluated):
    out, _, scores = evaluated
    found = by_name(scores)
    assert sorted(p.name for p in (out / "responses" / "10").iterdir()) == [f"{s}.jsonl" for s in SUITES]

    held = lines(out, 10, "held_out")
    assert len(held) == 8 * 3
    value = {
        c: {r["sample_id"]: r["nll"] for r in held if r["condition"] == c} for c in ("full", "no_support", "question_only")
    }
    # Where all evidence is support, two conditions have the same prompt; each still has its own line.
    assert {c: len(v) for c, v in value.items()} == {"full": 8, "no_support": 8, "question_only": 8}
    before = {r["sample_id"]: r["nll"] for r in lines(out, 0, "held_out") if r["condition"] == "full"}
    for name, expected in {
        "held_out/nll": mean(value["full"].values()),
        "held_out/nll/question_only": mean(value["question_only"].values()),
        "held_out/nll_minus_no_support": paired(value["full"], value["no_support"]),
        "held_out/nll_minus_base": paired(value["full"], before),
        "held_out/nll/search": mean(r["nll"] for r in held if r["condition"] == "full" and r["domain"] == "search"),
    }.items():
        assert (found[name].mean, found[name].ci95, found[name].n) == expected
    assert found["held_out/nll/search"].n == 4
    # The conversation among the held-out samples has no question to ask.
    assert found["held_out/exact"].skipped == 1
    assert {"exact", "nll", "tokens", "finish", "response", "sample_id", "condition"} <= held[0].keys()

    mrcr = lines(out, 10, "synthetic_mrcr")
    assert found["synthetic_mrcr/official"].mean == pytest.approx(sum(r["scores"]["official"] for r in mrcr) / 3)
    assert {f"synthetic_mrcr/official/{k}needle" for k in (2, 4, 8)} <= found.keys()


def test_over_long_rows_are_skipped_counted_and_not_in_the_mean(evaluated):
    out, _, scores = evaluated
    score = by_name(scores)["synthetic_graphwalks/f1"]
    assert (score.n, score.skipped) == (2, 2)
    assert len(lines(out, 10, "synthetic_graphwalks")) == 2
    assert all(s.synthetic for s in scores if s.benchmark != "held_out")


def test_scores_are_one_file_and_the_base_has_no_difference_to_itself(evaluated):
    out, base, scores = evaluated
    assert {(s.step, s.name) for s in read_scores(out / "scores.jsonl")} == {(s.step, s.name) for s in [*base, *scores]}
    assert not any("minus_base" in s.name for s in base)


def test_a_killed_evaluation_goes_on_where_it_was(evaluated, student, trained, compiled, tmp_path, monkeypatch):
    out, _, scores = evaluated
    recipe = recipe_from(recipe_data(student))
    parts = tmp_path / "responses" / "10" / "parts"
    parts.mkdir(parents=True)
    # As a kill of two processes leaves it: some answers in two parts, the last line of one torn.
    held = (out / "responses" / "10" / "held_out.jsonl").read_text().splitlines(keepends=True)
    (parts / "held_out.0.jsonl").write_text("".join(held[::3]) + held[1][:40])
    (parts / "held_out.1.jsonl").write_text("".join(held[1::3]))
    asked = []
    answer = InProcess.answer
    monkeypatch.setattr(InProcess, "answer", lambda self, questions: asked.extend(questions) or answer(self, questions))
    again = run(recipe, compiled, tmp_path, str(trained), 10)
    assert len(asked) == len(held[2::3]) + 3 + 2
    for suite in SUITES:
        assert [strip(r) for r in lines(tmp_path, 10, suite)] == [strip(r) for r in lines(out, 10, suite)]
    assert by_name(again)["held_out/exact"] == by_name(scores)["held_out/exact"]
    asked.clear()
    run(recipe, compiled, tmp_path, str(trained), 10)
    assert asked == []


def strip(line):
    """A line without its time and its last digits: rounding depends on the batch."""
    line = {**line, "seconds": 0}
    return {**line, "nll": round(line["nll"], 3)} if "nll" in line else line


def test_another_checkpoint_or_recipe_never_inherits_an_answer(evaluated, student, trained, compiled, tmp_path):
    recipe = recipe_from(recipe_data(student))
    run(recipe, compiled, tmp_path, str(student), 10)
    run(recipe, compiled, tmp_path, str(trained), 10)
    for suite in SUITES:
        assert [strip(r) for r in lines(tmp_path, 10, suite)] == [strip(r) for r in lines(evaluated[0], 10, suite)]
    shorter = recipe_from(recipe_data(student, held_out={"max_new_tokens": 3}))
    run(shorter, compiled, tmp_path, str(trained), 10)
    assert max(r["tokens"] for r in lines(tmp_path, 10, "held_out")) == 3


def one_of_two(rank, port, student, trained, compiled, out):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo")
    scores = run(recipe_from(recipe_data(student)), compiled, out, str(trained), 10)
    torch.distributed.destroy_process_group()
    # Only rank 0 scores.
    sys.exit(bool(scores) != (rank == 0))


@pytest.mark.processes
def test_two_processes_answer_what_one_does(evaluated, student, trained, compiled, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    # Forked, because importing torch and transformers twice takes longer than the test.
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=one_of_two, args=(rank, port, student, trained, compiled, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert not (tmp_path / "responses" / "10" / "parts").exists()
    for suite in SUITES:
        assert [strip(r) for r in lines(tmp_path, 10, suite)] == [strip(r) for r in lines(evaluated[0], 10, suite)]


def test_without_a_process_group_rank_0_asks_everything_and_the_others_nothing(
    student, trained, compiled, tmp_path, monkeypatch
):
    recipe = recipe_from(recipe_data(student, benchmarks=[]))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert run(recipe, compiled, tmp_path, str(trained), 10) == []
    assert not any(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    assert run(recipe, compiled, tmp_path, str(trained), 10)
    assert len(lines(tmp_path, 10, "held_out")) == 24


def test_the_callback_scores_the_base_once_and_every_checkpoint_and_logs_them(evaluated, student, trained, compiled, tmp_path):
    recipe = recipe_from(recipe_data(student, benchmarks=[]))
    logged = []

    def training():
        callback = CheckpointEvaluation(recipe, compiled, tmp_path, trained.parent)
        callback.attach(logged.append)
        callback.on_train_begin(None, SimpleNamespace(global_step=0), TrainerControl())
        callback.on_save(None, SimpleNamespace(global_step=10), TrainerControl())

    torch.manual_seed(5)
    state = torch.get_rng_state()
    training()
    assert torch.equal(torch.get_rng_state(), state), "evaluating must not change what training draws"
    assert len(logged) == 2
    expected = by_name(evaluated[2])
    assert logged[1]["held_out/nll"] == pytest.approx(expected["held_out/nll"].mean, rel=1e-4)
    training()
    assert len(logged) == 2, "after a restart nothing is evaluated again"


def test_official_rows_are_the_benchmark_and_a_bad_row_is_a_sentence(evaluated, student, compiled, tmp_path):
    from acc.evaluate.benchmarks import read_rows, write_rows

    generated = next((evaluated[0] / "rows").glob("synthetic_mrcr-*.parquet"))
    rows = [row for _, row in read_rows(generated, ["prompt", "answer", "random_string_to_prepend", "n_needles"])]
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows" / "a.parquet", rows)
    data = recipe_data(
        student, held_out=None, benchmarks=[{"name": "mrcr", "rows": str(tmp_path / "rows"), "max_new_tokens": 6}]
    )
    scores = run(recipe_from(data), compiled, tmp_path / "out", str(student), 0)
    assert by_name(scores)["mrcr/official"].n == 3
    assert [r["response"] for r in lines(tmp_path / "out", 0, "mrcr")] == [
        r["response"] for r in lines(evaluated[0], 0, "synthetic_mrcr")
    ]
    rows[1]["prompt"] = "not JSON"
    write_rows(tmp_path / "rows" / "a.parquet", rows)
    with pytest.raises(UserError, match="rows row 1: the prompt is not a JSON list"):
        run(recipe_from(data), compiled, tmp_path / "out", str(student), 0)


def test_acc_eval_prints_names_means_and_counts(student, trained, compiled, tmp_path, capsys):
    data = recipe_data(student, benchmarks=[])
    (tmp_path / "r.yaml").write_text(json.dumps(data))

    def main(*options):
        parser = argparse.ArgumentParser()
        cli.add_arguments(parser)
        common = ["--recipe", str(tmp_path / "r.yaml"), "--compiled", str(compiled), "--out", str(tmp_path / "out")]
        assert cli.main(parser.parse_args([*common, *options])) == 0
        return capsys.readouterr().out

    table = main("--checkpoint", str(trained))
    assert any(text.startswith("held_out/exact ") and text.endswith("n 8  skipped 1") for text in table.splitlines()), table
    assert {s["step"] for s in json.loads(main("--checkpoint", str(trained), "--step", "30", "--json"))} == {30}
    assert {s.step for s in read_scores(tmp_path / "out" / "scores.jsonl")} == {10, 30}
    with pytest.raises(UserError, match="Give --step"):
        main("--checkpoint", str(student))
    with pytest.raises(UserError, match="needs a --checkpoint"):
        main("--step", "3")
    with pytest.raises(UserError, match="evaluates nothing"):
        main("--set", "evaluate.held_out=null")
