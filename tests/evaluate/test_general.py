"""General capabilities: small tasks of our own through lm-eval, on weights and on a scripted server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sums_server import Reply, Scripted, said

from acc.errors import UserError
from acc.evaluate.general import KNOWN, dry_run_lines, run_general
from acc.recipe import Recipe, recipe_from

pytestmark = pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed")
BASE = Path(__file__).parents[2] / "acc" / "synth" / "tiny_base"
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {data}}}
test_split: train
output_type: {output}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
{more}
metric_list: [{{metric: {metric}, aggregation: mean, higher_is_better: true}}]
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RANK", "3")  # a training process's: lm-eval is none
    monkeypatch.setenv("WORLD_SIZE", "4")


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], *, choices: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output, metric = ("multiple_choice", "acc") if choices else ("generate_until", "exact_match")
    more = 'doc_to_choice: "{{choices}}"' if choices else 'generation_kwargs: {until: ["Question:"]}'
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data, output=output, metric=metric, more=more))


def recipe(folder: Path, tasks: list[dict[str, Any]], **evaluate: Any) -> Recipe:
    sections = {"general": {"tasks": tasks, "include": "tasks"}, **evaluate}
    found = recipe_from({"sources": [{"name": "logs", "path": "logs"}], "model": {"path": str(BASE)}, "evaluate": sections})
    return found.in_folder(folder)


def lines_of(out: Path, task: str, step: int = 0) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (out / f"responses/{step}/general_{task}.jsonl").read_text().splitlines()]


def test_on_weights_in_process_scores_are_those_of_plain_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(BASE), AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    questions = [f"The keeper of house {n} is" for n in range(6)]
    turns = [[{"role": "user", "content": q}] for q in questions]
    texts = [tokenizer.apply_chat_template(t, add_generation_prompt=True, tokenize=False) for t in turns]
    prompts = [torch.tensor([tokenizer(text)["input_ids"]]) for text in texts]
    generated = []
    for ids in prompts:
        out = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        generated.append(tokenizer.decode(out, skip_special_tokens=True).strip())
    # Every other row's gold is what the model says.
    gold = [text if n % 2 else f"not {text}" for n, text in enumerate(generated)]
    tasks = tmp_path / "tasks"
    write_task(tasks, "said", [{"question": q, "answer": a} for q, a in zip(questions, gold, strict=True)])
    choices = ["a door", "Friday and then some more", "7"]
    # lm-eval counts the template's last line break to the choice.
    likelihoods = [[loglikelihood(model, tokenizer, text.rstrip(), f"\n{c}") for c in choices] for text in texts]
    best = [row.index(max(row)) for row in likelihoods]
    rows = [
        {"question": q, "choices": choices, "answer": (b + (n == 0)) % 3}
        for n, (q, b) in enumerate(zip(questions, best, strict=True))
    ]
    write_task(tasks, "chosen", rows, choices=True)
    (tasks / "both.yaml").write_text("group: both\ntask: [said, chosen]\n")

    run_general(
        recipe(tmp_path, [{"task": "both", "max_new_tokens": 6}]), checkpoint=str(BASE), server=None, out=tmp_path, step=0
    )

    lines = lines_of(tmp_path, "both")
    assert [x["row"] for x in lines] == [f"{task}/{n}" for task in ("chosen", "said") for n in range(6)]
    assert {x["kind"] for x in lines} == {"chosen", "said"}
    assert [x["scores"]["acc,none"] for x in lines[:6]] == [0, 1, 1, 1, 1, 1]
    assert [x["scores"]["exact_match,none"] for x in lines[6:]] == [0, 1, 0, 1, 0, 1]
    assert [x["response"].strip() for x in lines[6:]] == generated
    logged = [[float(choice[0][0]) for choice in json.loads(x["response"])] for x in lines[:6]]
    for row, expected in zip(logged, likelihoods, strict=True):
        assert row == pytest.approx(expected, abs=1e-3)


def loglikelihood(model: Any, tokenizer: Any, prompt: str, target: str) -> float:
    """Sum over the target's tokens, nats."""
    import torch

    ids = torch.tensor([tokenizer(prompt + target)["input_ids"]])
    start = len(tokenizer(prompt)["input_ids"])
    with torch.no_grad():
        logits = model(ids).logits[0, start - 1 : -1].log_softmax(-1)
    return float(logits.gather(1, ids[0, start:, None]).sum())


SUMS = [(a, b) for a in range(4) for b in range(3)]


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    write_task(tmp_path / "tasks", "sums", [{"question": f"What is {a}+{b}?", "answer": str(a + b)} for a, b in SUMS])
    return tmp_path


def reply(question: str, seed: int, turn: int) -> Reply:
    """Right where a < 3 or the thinking was cut; the thinking always holds a stop string and a wrong answer."""
    a, b = map(int, re.findall(r"\d+", question))
    if turn == 0 and (a, b) in ((0, 1), (1, 1)):
        return (429, {}) if a else None
    if (a, b) == (2, 2):
        return said("<think>\nQuestion: is it 4? 4", "length", tokens=7)
    if (a, b) == (1, 2):
        return said(str(a + b), reasoning="Let me see")
    return said(f"<think>\nQuestion: is it 0?\n</think>\n\n{a + b if a < 3 else 'none'}")


@pytest.fixture
def server() -> Iterator[Scripted]:
    found = Scripted(reply)
    yield found
    found.close()


def test_on_a_server_the_thinking_is_taken_off_and_every_answer_is_kept(
    sums: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "secret")
    asked = recipe(
        sums,
        [{"task": "sums", "max_new_tokens": 40}],
        server={"base_url": server.url, "api_key_env": "SERVER_KEY", "concurrency": 4, "parameters": {"min_p": 0.1}},
        sampling={"temperature": 0.7, "top_k": 20},
    )
    run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=3)

    lines = lines_of(sums, "sums", 3)
    assert [(x["row"], x["sample"]) for x in lines] == [(str(n), 0) for n in range(12)]
    right = [float(a < 3 and (a, b) != (2, 2)) for a, b in SUMS]
    assert [x["scores"] for x in lines] == [{"exact_match,none": v} for v in right]
    cut = SUMS.index((2, 2))
    assert [n for n, x in enumerate(lines) if x["finish"] == "length"] == [cut]
    assert lines[cut]["tokens"] == 7 and lines[cut]["prompt_tokens"] == 11 and not any(x["failed"] for x in lines)
    assert lines[0]["response"].startswith("<think>") and lines[0]["thinking_tokens"] > 0
    assert lines[SUMS.index((1, 2))]["reasoning"] == "Let me see"

    body = server.bodies[0]
    assert (body["temperature"], body["top_k"], body["max_tokens"], body["min_p"]) == (0.7, 20, 40, 0.1)
    assert body["authorization"] == "Bearer secret" and body["model"] == "tiny"
    assert len(server.bodies) == 12 + 2  # two questions met trouble once
    run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=3)
    assert len(server.bodies) == 14


def test_real_tasks_commands_are_what_lm_eval_accepts(tmp_path: Path) -> None:
    from lm_eval._cli.harness import HarnessCLI
    from lm_eval.tasks import TaskManager

    tasks = [{"task": name, "limit": 5} for name in KNOWN]
    served = recipe(tmp_path, tasks, server={"base_url": "http://host:8000/v1", "model": "the model, v2"})
    lines = dry_run_lines(served, "checkpoint-4")
    assert len(lines) == len(KNOWN) == 5
    known = TaskManager().all_tasks
    for line, task in zip(lines, KNOWN, strict=True):
        program, *arguments = shlex.split(line)
        found = HarnessCLI()._parser.parse_args(arguments)
        assert program == "lm_eval" and found.tasks == [task] and task in known
        assert found.gen_kwargs == {"max_gen_toks": 32_768, "until": [], "temperature": 0.6, "top_p": 0.95}
        assert found.model_args["base_url"] == "http://host:8000/v1/chat/completions"
        assert (found.model, found.model_args["model"]) == ("local-chat-completions", "the model, v2")
        assert found.limit == 5 and found.apply_chat_template is True and found.log_samples


def test_what_the_recipe_says_of_sampling_replaces_ours(tmp_path: Path) -> None:
    (line,) = dry_run_lines(recipe(tmp_path, [{"task": "ifeval", "max_new_tokens": 9}], sampling={"temperature": 0}), str(BASE))
    words = shlex.split(line)
    kwargs = json.loads(words[words.index("--gen_kwargs") + 1])
    assert kwargs == {"max_gen_toks": 9, "until": [], "temperature": 0, "top_p": 1, "do_sample": False}


FAKE = """\
import json, pathlib, sys, urllib.request

def argument(name):
    return sys.argv[sys.argv.index(name) + 1]

asked = json.loads(argument("--model_args"))
scores, told = SCORES
for question in "ab":
    messages = [{"role": "user", "content": question}]
    body = {"model": "m", "messages": messages, "seed": asked["seed"]}
    urllib.request.urlopen(urllib.request.Request(asked["base_url"], json.dumps(body).encode())).read()
folder = pathlib.Path(argument("--output_path")).parent
folder.mkdir(parents=True)
results = {"configs": {"sums": {}}, "results": {"sums": {"em,none": told}}}
(folder / "results_2026.json").write_text(json.dumps(results))
rows = [
    {"doc_id": n, "doc": {}, "doc_hash": f"hash {n}", "target": "x", "filter": "none", "metrics": ["em", "list"], "em": score,
     "list": [True], "resps": [["said"]], "arguments": {"gen_args_0": {"arg_0": [json.dumps(messages)]}}}
    for n, score in enumerate(scores)
]
(folder / "samples_sums_2026.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
"""
"""In place of lm-eval, whose start takes seconds: asks two questions and logs scores as lm-eval does."""


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float], told: float) -> None:
    (folder / "fake" / "lm_eval").mkdir(parents=True, exist_ok=True)
    (folder / "fake" / "lm_eval" / "__init__.py").write_text("")
    (folder / "fake" / "lm_eval" / "__main__.py").write_text(FAKE.replace("SCORES", repr((scores, told))))
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))


def test_several_answers_to_a_question_are_runs_with_seeds_of_their_own(
    sums: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(sums, monkeypatch, [1.0, 0.0], 0.5)
    server.reply = lambda *_: said("yes")
    sampling = {"temperature": 0.7, "samples": 3}
    asked = recipe(sums, [{"task": "sums"}], server={"base_url": server.url}, sampling=sampling)
    run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=0)
    lines = lines_of(sums, "sums")
    assert [(x["row"], x["sample"], x["scores"]) for x in lines] == [
        (str(n), sample, {"em,none": score}) for sample in range(3) for n, score in enumerate([1.0, 0.0])
    ]
    assert len({b["seed"] for b in server.bodies}) == 3 and len(server.bodies) == 6
    # Other weights at the same step are asked anew; these, asked again for another reason, are not.
    run_general(asked, checkpoint=str(other_weights(sums)), server=(server.url, "tiny"), out=sums, step=0)
    assert len(server.bodies) == 12
    (sums / "responses/0/general_sums.jsonl").unlink()
    run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=0)
    assert len(server.bodies) == 12


def other_weights(folder: Path) -> Path:
    found = folder / "checkpoint-1"
    shutil.copytree(BASE, found)
    weights = bytearray((BASE / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (found / "model.safetensors").write_bytes(weights)
    return found


@pytest.mark.parametrize(
    ("metric", "told", "says"),
    [("em,none", 0.7, "lm-eval says em,none is 0.7, but the mean over rows is 0.5"), ("f1", 0.5, r"no metric 'f1'.*: em,none")],
)
def test_a_metric_that_is_no_mean_over_rows_is_refused(
    sums: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch, metric: str, told: float, says: str
) -> None:
    fake(sums, monkeypatch, [1.0, 0.0], told)
    asked = recipe(sums, [{"task": "sums", "metric": metric}], server={"base_url": server.url})
    server.reply = lambda *_: said("yes")
    with pytest.raises(UserError, match=says):
        run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=0)


def test_mistakes_are_sentences(sums: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(sums, monkeypatch, [1.0], 1.0)
    server.reply = lambda *_: (401, {"error": "go away"})
    asked = recipe(sums, [{"task": "sums"}], server={"base_url": server.url})
    with pytest.raises(UserError, match=r"refuses with status 401.*Check the API key"):
        run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=0)
    (sums / "fake/lm_eval/__main__.py").write_text("raise SystemExit('Tasks not found: sums')")
    with pytest.raises(UserError, match=r"lm-eval on sums ended with exit code 1; it said last:\n  Tasks not found: sums"):
        run_general(asked, checkpoint=str(BASE), server=(server.url, "tiny"), out=sums, step=0)
    gone = recipe(sums / "elsewhere", [{"task": "sums"}])
    with pytest.raises(UserError, match="no such folder of tasks"):
        run_general(gone, checkpoint=str(BASE), server=None, out=sums, step=0)
    monkeypatch.setattr("acc.evaluate.general.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install \"acc\[eval\]\""):
        run_general(gone, checkpoint=str(BASE), server=None, out=sums, step=0)
