"""What evaluation inline will cost is said before training, and refused where it is too much."""

import pytest

from acc.errors import UserError
from acc.evaluate.share import DECODED, check_share
from acc.recipe.loading import recipe_from
from acc.recipe.where import check_inline

MRCR = {"name": "mrcr", "synthetic": {"rows": 6, "tokens": 300}, "max_new_tokens": 10}


def recipe(student, train=None, **evaluate):
    sources = [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}]
    return recipe_from({"sources": sources, "model": {"path": str(student)}, "train": train or {}, "evaluate": evaluate})


def share(asked, compiled, folder, tokens=10**9, checkpoints=1):
    return check_share(asked, compiled, folder, trained_tokens=tokens, checkpoints=checkpoints)


def test_the_share_is_what_is_read_and_generated_over_what_is_trained(student, compiled, tmp_path):
    no_base = {"base": False, "held_out": {"conditions": ["full"], "measures": ["exact"], "max_new_tokens": 20}}
    short = share(recipe(student, **no_base), compiled, tmp_path)
    no_base["held_out"] = {**no_base["held_out"], "max_new_tokens": 120}
    long = share(recipe(student, **no_base), compiled, tmp_path)
    # Eight questions; recomputed activations make a trained token cost four passes.
    assert (long - short) * 4e9 == pytest.approx(8 * 100 * DECODED)
    plain = share(recipe(student, {"gradient_checkpointing": False}, **no_base), compiled, tmp_path)
    assert plain == pytest.approx(long * 4 / 3)
    assert share(recipe(student, **no_base), compiled, tmp_path, checkpoints=5) == pytest.approx(5 * long)
    assert share(recipe(student, **{**no_base, "base": True}), compiled, tmp_path) == pytest.approx(2 * long)


def test_several_answers_read_their_prompt_once_and_a_screen_asks_less(student, compiled, tmp_path):
    one = share(recipe(student, base=False, benchmarks=[MRCR]), compiled, tmp_path)
    sampling = {"temperature": 1.0, "samples": 3}
    three = share(recipe(student, base=False, benchmarks=[MRCR], sampling=sampling), compiled, tmp_path)
    assert (three - one) * 4e9 == pytest.approx(6 * 10 * 2 * DECODED)
    screen = recipe(student, base=False, benchmarks=[MRCR], screen=3)
    fewer = share(screen, compiled, tmp_path, checkpoints=10)
    assert 0.55 * 10 * one < fewer < 0.75 * 10 * one, "half at ten checkpoints, and all once for the last"


def test_too_much_is_refused_with_the_estimate_and_the_mends(student, compiled, tmp_path):
    asked = recipe(student, benchmarks=[MRCR])
    found = share(asked, compiled, tmp_path)
    tokens = int(found * 10**9 / 0.05)
    assert share(asked, compiled, tmp_path, tokens=tokens + 1) < 0.05
    with pytest.raises(UserError, match=r"about 10% of the training's time .* Set evaluate\.where: watch, ask less"):
        share(asked, compiled, tmp_path, tokens=tokens // 2)
    allowed = recipe(student, benchmarks=[MRCR], inline_share=0.5)
    assert share(allowed, compiled, tmp_path, tokens=tokens // 2) == pytest.approx(0.1, rel=1e-3)


START = {"start": "vllm"}
GIVEN = {"base_url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize(
    "evaluate, sentence",
    [
        ({"benchmarks": [MRCR], "server": START}, "vllm cannot be started on a checkpoint while the training holds the GPUs"),
        ({"held_out": {}, "server": GIVEN}, "does not answer as the checkpoint that was just saved"),
        ({"general": {"tasks": [{"task": "ifeval"}]}}, "take a time that cannot be told before"),
    ],
)
def test_what_cannot_be_asked_inline_is_refused_before_training(student, evaluate, sentence):
    with pytest.raises(UserError, match=sentence):
        check_inline(recipe(student, **evaluate))
    check_inline(recipe(student, where="watch", **evaluate))


def test_likelihoods_alone_need_no_server_and_may_be_measured_inline(student):
    check_inline(recipe(student, held_out={"measures": ["nll"]}, server=START))
    check_inline(recipe(student, held_out={}, benchmarks=[MRCR]))
