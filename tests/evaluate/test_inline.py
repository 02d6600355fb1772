"""What the training processes evaluate: everything inline, and beside a watcher what its server cannot give."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from scripted import Scripted, choice, reply_of
from transformers import TrainerControl

from acc.evaluate import CheckpointEvaluation
from acc.evaluate.runner import Evaluation
from acc.recipe.loading import recipe_from
from acc.records.evaluated import evaluation_key, is_evaluated
from acc.records.markers import MARKER, Marker
from acc.records.scores import SCORES, read_scores
from acc.stage.files import write_json

SERVER = {"base_url": "http://127.0.0.1:1/v1", "model": "{checkpoint}"}
MRCR = {"name": "mrcr", "synthetic": {"rows": 4, "tokens": 300}, "max_new_tokens": 4}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(student, **evaluate):
    sources = [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}]
    return recipe_from({"sources": sources, "model": {"path": str(student)}, "evaluate": evaluate})


class Training:
    """Calls the callback as a training does; its likelihood is the step's number plus a quarter of the target's length."""

    def __init__(self, asked, compiled, out, trained, *, begun=0):
        self.logged, self.asked_for = [], []
        self.callback = CheckpointEvaluation(asked, compiled, out, trained.parent)
        self.callback.attach(self.logged.append, self.likelihood)
        self.state = SimpleNamespace(global_step=begun, max_steps=20, is_world_process_zero=True)

    def likelihood(self, asked):
        self.asked_for.append(len(asked))
        return [self.state.global_step + len(target) / 4 for _, target, _ in asked]

    def run(self, *saves, stops=False):
        control = TrainerControl(should_training_stop=stops)
        self.callback.on_train_begin(None, self.state, control)
        for step in saves:
            self.state.global_step = step
            self.callback.on_save(None, self.state, control)
        self.callback.on_train_end(None, self.state, control)
        return self


def test_beside_a_watcher_only_the_likelihoods_that_its_server_cannot_give(student, trained, compiled, tmp_path):
    asked = recipe(student, where="watch", server=SERVER, held_out={}, benchmarks=[MRCR], screen=2)
    training = Training(asked, compiled, tmp_path, trained).run(10)
    scores = read_scores(tmp_path / SCORES)
    assert {s.benchmark for s in scores} == {"held_out"} and {s.metric.partition("_minus")[0] for s in scores} == {"nll"}
    by_name = {(s.step, s.name): s.mean for s in scores}
    assert by_name[10, "held_out/nll"] == by_name[0, "held_out/nll"] + 10
    assert by_name[10, "held_out/nll_minus_base"] == 10
    assert training.asked_for == [24, 24] and len(training.logged) == 2
    assert not (tmp_path / "responses").exists(), "the watcher writes there"
    lines = (tmp_path / "likelihood" / "responses" / "10" / "held_out.jsonl").read_text().splitlines()
    assert len(lines) == 24 and all(json.loads(line)["nll"] is not None for line in lines)
    assert is_evaluated(tmp_path, 10, "likelihood", evaluation_key(asked)) and not is_evaluated(tmp_path, 10, "screen")
    assert Training(asked, compiled, tmp_path, trained, begun=10).run().asked_for == [], "once, after a restart too"


def test_after_a_restart_the_model_in_training_is_not_taken_for_the_base(student, trained, compiled, tmp_path):
    asked = recipe(student, held_out={"measures": ["nll"]})
    training = Training(asked, compiled, tmp_path, trained, begun=10).run()
    assert {s.step for s in read_scores(tmp_path / SCORES)} == {10} and training.asked_for == [24]


def test_who_told_us_to_stop_does_not_wait_for_an_evaluation(student, trained, compiled, tmp_path):
    asked = recipe(student, base=False, held_out={"measures": ["nll"]})
    assert Training(asked, compiled, tmp_path, trained).run(10, stops=True).asked_for == []
    assert Training(asked, compiled, tmp_path, trained, begun=10).run().asked_for == [24], "it is made up for"
    assert Training(asked, compiled, tmp_path, trained).run(20, stops=True).asked_for == [24], "the last one has all its time"


def test_a_checkpoint_beside_the_schedule_is_not_evaluated(student, compiled, tmp_path):
    asked = recipe(student, base=False, held_out={"measures": ["nll"]})
    checkpoint = tmp_path / "train" / "checkpoint-7"
    checkpoint.mkdir(parents=True)
    write_json(checkpoint / MARKER, asdict(Marker(7, "k", 0, 1, 1, state=True, files={}, scheduled=False)))
    assert Training(asked, compiled, tmp_path / "evaluate", checkpoint, begun=7).run().asked_for == []


def test_a_watcher_without_a_server_measures_everything_itself(student, trained, compiled, tmp_path):
    training = Training(recipe(student, where="watch", held_out={}), compiled, tmp_path, trained).run(10)
    assert training.asked_for == [] and training.logged == [] and not any(tmp_path.iterdir())


def test_inline_the_base_is_asked_all_rows_and_a_checkpoint_the_screen(student, trained, compiled, tmp_path, capsys):
    training = Training(recipe(student, benchmarks=[MRCR], screen=2), compiled, tmp_path, trained).run(10)
    n = {(s.step, s.name): s.n for s in read_scores(tmp_path / SCORES)}
    assert n[0, "synthetic_mrcr/official"] == 4 and n[0, "screen_synthetic_mrcr/official"] == 2
    assert n[10, "screen_synthetic_mrcr/official"] == 2 and (10, "synthetic_mrcr/official") not in n
    assert [("synthetic_mrcr/official" in logged) for logged in training.logged] == [True, False]
    assert "evaluation took" in capsys.readouterr().err


def test_a_server_that_has_several_models_is_asked_by_the_checkpoints_name(student, trained, compiled, tmp_path):
    def answer(body):
        return reply_of(choice(body["model"]))

    with Scripted(answer) as server:
        settings = {"base_url": server.url, "model": "{checkpoint}@{step}"}
        asked = recipe(student, where="watch", server=settings, benchmarks=[MRCR])
        evaluation = Evaluation(asked, compiled, tmp_path)
        evaluation.run(str(student), 0)
        evaluation.run(str(trained), 10)
    assert {body["model"] for body in server.bodies} == {f"{student}@0", f"{trained}@10"}
