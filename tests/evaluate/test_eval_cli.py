"""`acc eval`: which checkpoints, which rows, and what is said before anything is asked."""

import argparse
import json
from pathlib import Path

import pytest

from acc.errors import UserError
from acc.evaluate import cli
from acc.evaluate.cli import checkpoints_of
from acc.records.scores import read_scores


@pytest.fixture
def recipe(student, tmp_path):
    data = {
        "sources": [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}],
        "model": {"path": str(student)},
        "evaluate": {
            "held_out": {"max_new_tokens": 4, "conditions": ["full"]},
            "benchmarks": [{"name": "mrcr", "synthetic": {"rows": 6, "tokens": 300}, "max_new_tokens": 4}],
            "screen": 3,
        },
    }
    (tmp_path / "r.yaml").write_text(json.dumps(data))
    return tmp_path / "r.yaml"


def main(*words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.main(parser.parse_args([str(w) for w in words]))


def test_the_base_comes_first_and_steps_come_from_names(tmp_path):
    for step in (80, 120):
        (tmp_path / f"checkpoint-{step}").mkdir()
    folders = [str(tmp_path / f"checkpoint-{step}") for step in (120, 80)]
    assert checkpoints_of([], [], "hub/base") == {0: "hub/base"}
    assert checkpoints_of([*folders, "base"], [], "hub/base") == {0: "hub/base", 80: folders[1], 120: folders[0]}
    assert list(checkpoints_of([*folders, "base"], [], "hub/base")) == [0, 80, 120]
    assert checkpoints_of(["base", "hub/one", "hub/two"], [], "hub/base") == {0: "hub/base", 1: "hub/one", 2: "hub/two"}
    assert checkpoints_of(folders, [5, 6], "hub/base") == {5: folders[0], 6: folders[1]}


@pytest.mark.parametrize(
    ("given", "steps", "sentence"),
    [
        ([], [3], "needs a --checkpoint"),
        (["a/b", "c/d"], [3], "2 checkpoints and 1 steps"),
        (["a/b", "c/d"], [3, 3], "both step 3"),
        ([str(Path(__file__).parent)], [], "the step of .* is not known"),
    ],
)
def test_a_step_that_is_not_known_is_a_sentence(given, steps, sentence):
    with pytest.raises(UserError, match=sentence):
        checkpoints_of(given, steps, "hub/base")


def test_a_dry_run_says_what_would_be_asked_and_writes_nothing(recipe, compiled, tmp_path, capsys):
    more = ["evaluate.sampling={temperature: 0.6, samples: 3}", "evaluate.benchmarks.0.max_prompt_tokens=600"]
    sets = [word for text in more for word in ("--set", text)]
    out = tmp_path / "out"
    assert main("--recipe", recipe, "--compiled", compiled, "--out", out, "--dry-run", *sets) == 0
    said = capsys.readouterr().out
    assert "answered by: transformers in process" in said
    assert "sampling: temperature 0.6, top_p 1, top_k 0; answers to a question: 3" in said
    suites = dict(line.split(": ", 1) for line in said.splitlines() if line.startswith(("synthetic_mrcr", "held_out")))
    assert suites["held_out"].startswith("8 rows; 8 prompts of ") and "24 answers of 4 tokens at most" in suites["held_out"]
    assert "4 rows skipped as too long" in suites["synthetic_mrcr"], suites
    assert "2 of them are the screen" in suites["synthetic_mrcr"]
    assert not out.exists()
    main("--recipe", recipe, "--compiled", compiled, "--dry-run", "--screen", "--base-url", "http://127.0.0.1:1/v1")
    said = capsys.readouterr().out
    assert "synthetic_mrcr: 3 rows" in said and "the server http://127.0.0.1:1/v1" in said


def test_the_screen_alone_can_be_asked_and_several_checkpoints_are_told_apart(
    recipe, student, trained, compiled, tmp_path, capsys
):
    out = tmp_path / "out"
    main("--recipe", recipe, "--compiled", compiled, "--out", out, "--screen", "--checkpoint", trained, "--checkpoint", "base")
    said = capsys.readouterr().out
    assert said.index(f"step 0: {student}") < said.index(f"step 10: {trained}")
    found = {(s.step, s.name): s for s in read_scores(out / "scores.jsonl")}
    assert found[10, "screen_synthetic_mrcr/official"].n == 3
    assert found[10, "screen_synthetic_mrcr/official_minus_base"].n == 3
    assert (10, "synthetic_mrcr/official") not in found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no recipe is named"),
        (["--watch", "runs/x", "--screen"], "--screen has no meaning"),
        (["--watch", "runs/x", "--base-url", "http://h/v1"], "--base-url has no meaning"),
        (["--recipe", "none.yaml", "--once"], "--once says how long to watch"),
        (["--recipe", "none.yaml"], "there is no such recipe"),
        (["--recipe", "none.yaml", "--json", "--published"], "not JSON"),
    ],
)
def test_words_that_do_not_fit_together_are_a_sentence(words, sentence):
    with pytest.raises(UserError, match=sentence):
        main(*words)


def test_a_dry_run_says_what_it_knows_before_what_it_must_fetch(recipe, capsys):
    with pytest.raises(UserError, match="acc compile"):
        main("--recipe", recipe, "--compiled", "no/such", "--dry-run")
    assert "answered by: transformers in process" in capsys.readouterr().out


def test_a_wrong_recipe_is_a_sentence(recipe, compiled):
    with pytest.raises(UserError, match=r"no evaluate\.screen"):
        main("--recipe", recipe, "--set", "evaluate.screen=null", "--screen")
    with pytest.raises(UserError, match=r"evaluate.sampling.*above 1 needs a temperature"):
        main("--recipe", recipe, "--set", "evaluate.sampling={samples: 3}")
    with pytest.raises(UserError, match="there is no such file"):
        main(
            "--recipe",
            recipe,
            "--compiled",
            compiled,
            "--dry-run",
            "--set",
            "evaluate.benchmarks.0={name: mrcr, rows: no.parquet}",
        )
