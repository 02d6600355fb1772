"""Generation in batches gives each row what the model gives it alone."""

import dataclasses
import json
import math
import random
import time

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from acc.errors import UserError
from acc.evaluate import generation
from acc.evaluate.generation import InProcess, batches
from acc.evaluate.questions import Question
from acc.evaluate.sampling import Sampler

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
    got = answers(InProcess(str(student), stop_id=stop, decode=decode), questions, 10_000)
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


@pytest.mark.parametrize(("top_p", "top_k"), [(1.0, 0), (0.7, 0), (1.0, 3), (0.8, 4)])
def test_sampled_tokens_follow_the_distribution_that_transformers_makes(top_p, top_k):
    sampler = Sampler(0.7, top_p, top_k)
    logits = torch.tensor([[1.0, 0.0, -1.0, 2.0, 1.5, 0.5]])
    # As GenerationMixin makes them of the same settings.
    settings = GenerationConfig(do_sample=True, temperature=0.7, top_p=top_p, top_k=top_k)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, head_dim=8))
    warpers = model._get_logits_processor(settings)
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), logits)[0].softmax(-1)
    draws = sampler.draws(Question("q", "full", [], 1))
    picked = torch.cat([sampler.pick(logits, [draws]) for _ in range(8000)])
    share = torch.bincount(picked, minlength=6) / 8000
    assert torch.allclose(share, expected, atol=0.02)
    assert (share[expected == 0] == 0).all()
    assert (expected == 0).any() == (top_p < 1 or top_k > 0)


def test_each_answer_to_a_question_is_drawn_anew(student, questions):
    hot = InProcess(str(student), stop_id=STOP, decode=decode, temperature=1.0, seed=1)
    several = [dataclasses.replace(q, sample=n) for q in questions for n in range(3)]

    def drawn(batch_tokens):
        hot.batch_tokens = batch_tokens
        return {(q.row, q.sample): a.text for batch in hot.answer(several) for q, a in batch}

    together = drawn(10_000)
    assert len(together) == 3 * len(questions)
    assert all(len({together[q.row, n] for n in range(3)}) == 3 for q in questions)
    assert together == drawn(1) == drawn(100)
    assert {r: t for (r, n), t in together.items() if n == 0} == {r: a.text for r, a in answers(hot, questions, 10_000).items()}


def test_the_prompt_of_several_answers_is_read_once(student, questions, monkeypatch):
    backend = InProcess(str(student), stop_id=STOP, decode=decode, temperature=1.0)
    read = []
    forward = backend._model.forward

    def watch(**inputs):
        read.append(inputs["input_ids"].numel())
        return forward(**inputs)

    monkeypatch.setattr(backend._model, "forward", watch)
    several = [dataclasses.replace(questions[4], sample=n, max_new_tokens=2, target=()) for n in range(4)]
    several = [dataclasses.replace(q, scored=(0, 0)) for q in several]
    assert len(next(backend.answer(several))) == 4
    assert read == [90, 4]


def test_the_likelihood_is_that_of_the_answer_that_wants_it(student, questions, plain):
    several = [dataclasses.replace(q, sample=n, target=q.target * (n == 1)) for q in questions[:4] for n in range(3)]
    several = [q if q.target else dataclasses.replace(q, scored=(0, 0)) for q in several]
    backend = InProcess(str(student), stop_id=STOP, decode=decode, temperature=1.0)
    got = {(q.row, q.sample): a.nll for batch in backend.answer(several) for q, a in batch}
    assert {r: nll for (r, n), nll in got.items() if n == 1} == pytest.approx(
        {q.row: plain[1][q.row] for q in questions[:4]}, rel=1e-4
    )
    assert {nll for (_, n), nll in got.items() if n != 1} == {None}


def test_without_new_tokens_only_the_likelihood_is_measured(student, questions, plain, monkeypatch):
    backend = InProcess(str(student), stop_id=STOP, decode=decode)
    monkeypatch.setattr(backend.sampler, "pick", None)
    got = answers(backend, [dataclasses.replace(q, max_new_tokens=0) for q in questions], 10_000)
    assert {r: a.nll for r, a in got.items()} == pytest.approx(plain[1], rel=1e-4)
    assert {(a.text, a.tokens, a.finish) for a in got.values()} == {("", 0, "stop")}


def test_the_time_of_a_batch_is_shared_by_its_answers(student, questions):
    backend = InProcess(str(student), stop_id=STOP, decode=decode)
    begun = time.perf_counter()
    got = answers(backend, questions, 10_000)
    assert len({a.seconds for a in got.values()}) == 1
    assert 0 < sum(a.seconds for a in got.values()) <= time.perf_counter() - begun


@pytest.mark.parametrize("kind", ["moe", "dense"])
@pytest.mark.parametrize("prefill_tokens", [8_192, 40])
def test_greedy_tokens_are_those_of_generate_on_32_prompts(student, tmp_path, kind, prefill_tokens):
    if kind == "dense":
        torch.manual_seed(0)
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16}
        config = Qwen3Config(vocab_size=320, num_key_value_heads=2, initializer_range=0.3, **small)
        Qwen3ForCausalLM(config).save_pretrained(tmp_path)
        student = tmp_path
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32).eval()
    draw = random.Random(3)
    prompts = [[draw.randrange(290) for _ in range(draw.choice([1, 7, 50, 200, 400]) + i)] for i in range(32)]
    expected = {}
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0)
        expected[str(i)] = out[0, len(prompt) :].tolist()
    backend = InProcess(str(student), stop_id=-1, decode=decode, prefill_tokens=prefill_tokens)
    asked = [Question(str(i), "full", p, 8) for i, p in enumerate(prompts)]
    got = answers(backend, asked, 3_000)
    assert {r: [int(t) for t in a.text.split()] for r, a in got.items()} == expected


def test_a_prompt_is_read_in_pieces_within_the_limits(student, monkeypatch):
    backend = InProcess(str(student), stop_id=STOP, decode=decode, prefill_tokens=64)
    shapes = []
    forward = backend._model.forward

    def watch(**inputs):
        mask = inputs["attention_mask"]
        shapes.append((*inputs["input_ids"].shape, 0 if mask is None else mask.shape[1]))
        return forward(**inputs)

    monkeypatch.setattr(backend._model, "forward", watch)
    asked = [Question("a", "full", [5] * 190, 0, [1] * 40, (0, 40)), Question("b", "full", [6] * 200, 0)]
    next(backend.answer(asked))
    assert [s for s in shapes if s[1]] == [
        *((2, 32, 32 * n) for n in range(1, 7)), (2, 8, 200), (2, 32, 232), (2, 7, 239)
    ]  # fmt: skip
    shapes.clear()
    # Of the target the logits, of the prompt the mask.
    monkeypatch.setattr(generation, "MAX_ELEMENTS", 2 * 320 * 10)
    next(backend.answer(asked))
    assert all(2 * columns * seen <= 6400 for _, columns, seen in shapes[:7])
    assert max(columns for _, columns, seen in shapes if seen > 200) == 10


def test_batches_hold_every_question_once_within_the_limits():
    asked = [Question(str(i), "full", [0] * (1 + 37 * i % 400), 1, sample=n) for n in range(2) for i in range(50)]
    cut = list(batches(asked, 600, vocabulary=1000))
    assert sorted((q.row, q.sample) for b in cut for g in b for q in g) == sorted((q.row, q.sample) for q in asked)
    assert all([q.sample for q in g] == [0, 1] for b in cut for g in b)
    assert all(sum(map(len, b)) * len(b[-1][0].prompt) <= 600 or len(b) == 1 for b in cut)
    wide = list(batches(asked, 10**6, vocabulary=2**25))
    assert [len(b) for b in wide] == [4] * 12 + [2]


def test_a_checkpoint_with_a_missing_weight_is_refused(trained, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(trained)
    state = model.state_dict()
    del state["model.layers.1.mlp.gate.weight"]
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(UserError, match=r"missing keys.*model\.layers\.1\.mlp\.gate\.weight"):
        InProcess(str(tmp_path), stop_id=STOP, decode=decode)


def test_a_model_too_large_for_the_process_is_refused_before_its_weights_are_read(student, tmp_path):
    config = json.loads((student / "config.json").read_text())
    config |= {"hidden_size": 4096, "num_hidden_layers": 40, "moe_intermediate_size": 4096, "num_experts": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"parameters, too many to generate.*evaluate\.server.*watch"):
        InProcess(str(tmp_path), stop_id=STOP, decode=decode)


def test_no_checkpoint_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        InProcess(str(tmp_path), stop_id=STOP, decode=decode)


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
