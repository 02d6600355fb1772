"""Generation in batches gives each row what the model gives it alone."""

import json
import math
import random

import pytest
import torch
from transformers import AutoModelForCausalLM

from acc.errors import UserError
from acc.evaluate.generation import InProcess, batches
from acc.evaluate.questions import Question

STOP = 299
NEW = 12


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def questions():
    draw = random.Random(0)
    lengths = [3, 41, 17, 17, 90, 1, 64, 30, 30, 31]
    return [
        Question(
            f"q{i}",
            "full",
            [draw.randrange(300) for _ in range(n)],
            max_new_tokens=NEW if i % 3 else 5,
            target=[draw.randrange(300) for _ in range(1 + i)],
            scored=(i // 2, 1 + i),
        )
        for i, n in enumerate(lengths)
    ]


def decode(ids):
    return " ".join(map(str, ids))


def answers(backend, questions, batch_tokens):
    backend.batch_tokens = batch_tokens
    return {q.row: a for batch in backend.answer(questions) for q, a in batch}


@pytest.fixture(scope="module")
def plain(student, questions):
    """What model.generate gives each prompt alone, and the target's likelihood from one plain forward pass."""
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32, attn_implementation="eager").eval()
    tokens, losses = {}, {}
    with torch.inference_mode():
        for q in questions:
            ids = torch.tensor([list(q.prompt)])
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=q.max_new_tokens, do_sample=False,
                eos_token_id=STOP, pad_token_id=0,
            )  # fmt: skip
            tokens[q.row] = out[0, len(q.prompt) :].tolist()
            both = torch.tensor([[*q.prompt, *q.target]])
            logp = model(both).logits[0].log_softmax(-1)
            at = range(len(q.prompt) + q.scored[0], len(q.prompt) + q.scored[1])
            losses[q.row] = -sum(float(logp[i - 1, both[0, i]]) for i in at) / len(at)
    return tokens, losses


@pytest.mark.parametrize("batch_tokens", [1, 130, 10_000])
def test_greedy_tokens_and_likelihoods_are_those_of_each_row_alone(student, questions, plain, batch_tokens):
    tokens, losses = plain
    backend = InProcess(str(student), stop_id=STOP, decode=decode)
    got = answers(backend, questions, batch_tokens)
    assert {r: [int(t) for t in a.text.split()] for r, a in got.items()} == {
        r: [t for t in ids if t != STOP] for r, ids in tokens.items()
    }
    assert {r: a.finish for r, a in got.items()} == {r: "stop" if STOP in ids else "length" for r, ids in tokens.items()}
    assert {r: a.nll for r, a in got.items()} == pytest.approx(losses, rel=1e-4)


def test_a_row_ends_at_the_stop_token_while_others_go_on(student, questions, plain):
    tokens, _ = plain
    # The stop token is chosen such that some rows meet it in the middle.
    stop = tokens["q4"][3]
    expected = {r: ids[: ids.index(stop)] if stop in ids else ids for r, ids in tokens.items()}
    got = answers(InProcess(str(student), stop_id=stop), questions, 10_000)
    assert {r: [int(t) for t in a.text.split()] for r, a in got.items()} == expected
    assert {a.finish for a in got.values()} == {"stop", "length"}
    assert got["q4"].finish == "stop"


def test_sampling_depends_on_the_row_and_seed_and_not_on_its_batch(student, questions):
    hot = InProcess(str(student), stop_id=STOP, decode=decode, temperature=1.0, seed=1)
    together, alone = answers(hot, questions, 10_000), answers(hot, questions, 1)
    assert {r: [int(t) for t in a.text.split()] for r, a in together.items()} == {
        r: [int(t) for t in a.text.split()] for r, a in alone.items()
    }
    other = InProcess(str(student), stop_id=STOP, decode=decode, temperature=1.0, seed=2)
    assert {r: [int(t) for t in a.text.split()] for r, a in answers(other, questions, 10_000).items()} != {
        r: [int(t) for t in a.text.split()] for r, a in together.items()
    }


def test_sampled_tokens_follow_the_models_distribution(student):
    backend = InProcess(str(student), stop_id=STOP, decode=decode, temperature=0.7)
    logits = torch.tensor([[1.0, 0.0, -1.0, 2.0]])
    draws = torch.Generator().manual_seed(0)
    picked = torch.cat([backend._pick(logits, [draws]) for _ in range(4000)])
    share = torch.bincount(picked, minlength=4) / 4000
    assert torch.allclose(share, (logits[0] / 0.7).softmax(-1), atol=0.03)


def test_batches_hold_every_question_once_within_the_limits():
    asked = [Question(str(i), "full", [0] * (1 + 37 * i % 400), 1) for i in range(50)]
    cut = list(batches(asked, 600, vocabulary=1000))
    assert sorted(q.row for b in cut for q in b) == sorted(q.row for q in asked)
    assert all(len(b) * max(len(q.prompt) for q in b) <= 600 for b in cut)
    long = [Question(str(i), "full", [0] * 20_000, 1) for i in range(3)]
    # The mask of two would have 800 million elements.
    assert [len(b) for b in batches(long, 10**6, vocabulary=1000)] == [1, 1, 1]


def test_a_checkpoint_with_a_missing_weight_is_refused(trained, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(trained)
    state = model.state_dict()
    del state["model.layers.1.mlp.gate.weight"]
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(UserError, match=r"missing keys.*model\.layers\.1\.mlp\.gate\.weight"):
        InProcess(str(tmp_path), stop_id=STOP)


def test_a_model_too_large_for_the_process_is_refused_before_its_weights_are_read(student, tmp_path):
    config = json.loads((student / "config.json").read_text())
    config |= {"hidden_size": 4096, "num_hidden_layers": 40, "moe_intermediate_size": 4096, "num_experts": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="parameters, too many to generate"):
        InProcess(str(tmp_path), stop_id=STOP)


def test_no_checkpoint_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        InProcess(str(tmp_path), stop_id=STOP)


def test_inside_a_zero3_run_the_model_is_loaded_whole(student):
    from transformers.integrations.deepspeed import HfDeepSpeedConfig, is_deepspeed_zero3_enabled

    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 1})
    backend = InProcess(str(student), stop_id=STOP, decode=decode)
    assert is_deepspeed_zero3_enabled()
    assert all(p.numel() for p in backend._model.parameters())
    assert math.isfinite(next(iter(answers(backend, [Question("q", "full", [1, 2], 2, [3], (0, 1))], 100).values())).nll)
    del config


def test_another_checkpoint_has_another_fingerprint(student, trained):
    first, second = (InProcess(str(c), stop_id=STOP, decode=decode).fingerprint for c in (student, trained))
    assert first != second
    assert first == InProcess(str(student), stop_id=STOP, decode=decode).fingerprint
