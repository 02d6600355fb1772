"""The base answers once for all runs."""

import multiprocessing

from answering import Scripted, by_name, lines, recipe, reply

from acc.evaluate import run
from acc.evaluate.base_answers import BaseAnswers, base_answers_of


def asked(section, compiled, runs, name, step, **options):
    backend = Scripted(reply, **options)
    scores = run(section, compiled, runs / name / "evaluate", "base", step, backend=backend)
    return len(backend.asked), by_name(scores)


def test_another_run_takes_the_bases_answers_over(student, compiled, tmp_path):
    section = recipe(student)
    first, scores = asked(section, compiled, tmp_path, "a", 0)
    again, same = asked(section, compiled, tmp_path, "b", 0)
    assert (first, again) == (18, 0)
    assert scores == same
    assert lines(tmp_path / "a" / "evaluate", 0) == lines(tmp_path / "b" / "evaluate", 0)
    assert (tmp_path / "base_answers" / "weights" / "synthetic_mrcr.jsonl").is_file()


def test_other_weights_sampling_or_steps_take_nothing(student, compiled, tmp_path):
    section = recipe(student)
    asked(section, compiled, tmp_path, "a", 0)
    assert asked(section, compiled, tmp_path, "b", 0, fingerprint="others")[0] == 18
    assert asked(recipe(student, sampling={"temperature": 1.0, "samples": 2}), compiled, tmp_path, "c", 0)[0] == 12
    assert asked(section, compiled, tmp_path, "d", 10)[0] == 18


def test_more_samples_ask_for_the_missing_ones(student, compiled, tmp_path):
    asked(recipe(student, sampling={"temperature": 0.6, "samples": 2}), compiled, tmp_path, "a", 0)
    assert asked(recipe(student), compiled, tmp_path, "b", 0)[0] == 6


def test_an_evaluation_outside_of_runs_keeps_nothing(tmp_path):
    assert base_answers_of(tmp_path / "elsewhere", "weights") is None
    assert base_answers_of(tmp_path / "x" / "evaluate", "a/b c").folder.parent == tmp_path / "base_answers"


def keep(folder, start):
    for i in range(start, start + 20):
        BaseAnswers(folder, "w").keep("mrcr", [{"key": f"{i % 30}", "finish": "stop"}])


def test_several_runs_may_keep_at_once_and_failures_are_not_kept(tmp_path):
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=keep, args=(tmp_path, first)) for first in (0, 10, 20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    answers = BaseAnswers(tmp_path, "w")
    answers.keep("mrcr", [{"key": "failed", "finish": "failed"}])
    wanted = [*map(str, range(30)), "failed"]
    assert sorted(int(line["key"]) for line in answers.known("mrcr", wanted)) == list(range(30))
