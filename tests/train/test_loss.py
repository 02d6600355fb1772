"""The loss is a sum over labelled tokens, and the head never sees a position that it need not see."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from training_material import VOCABULARY, make_student
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM, PreTrainedModel

from acc.errors import UserError
from acc.train import loss
from acc.train.attention import choose_attention

LENGTH = 200


class Widest(TorchDispatchMode):
    """Notes the most rows that any tensor over the vocabulary had."""

    rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else [out]:
            if isinstance(t, torch.Tensor) and t.ndim > 1 and t.shape[-1] == VOCABULARY:
                self.rows = max(self.rows, t.numel() // VOCABULARY)
        return out


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    folder = make_student(tmp_path_factory.mktemp("student"), tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=choose_attention("auto"), dtype=torch.float32)
    loss.prepare_head(model.lm_head)
    return model


def inputs(labelled: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    ids = torch.randint(0, VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(0))
    labels = torch.full_like(ids, -100)
    labels[0, labelled] = ids[0, labelled]
    return {"input_ids": ids, "position_ids": torch.arange(LENGTH)[None]}, loss.shift(labels)


@pytest.mark.parametrize("labelled", [[5], [190, 191, 199], list(range(1, LENGTH))])
def test_losses_and_gradients_are_those_of_the_full_logits(
    model: PreTrainedModel, labelled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", 64)
    fed, targets = inputs(labelled)
    losses, kept = loss.token_losses(model, model.lm_head, fed, targets)
    assert (kept + 1).tolist() == labelled
    losses.sum().backward()
    gradient = model.model.layers[0].self_attn.q_proj.weight.grad.clone(), model.lm_head.weight.grad.clone()
    model.zero_grad()
    del model.lm_head.forward
    logits = model(**fed, use_cache=False).logits
    full = torch.nn.functional.cross_entropy(logits[0], targets[0], reduction="none")[kept]
    full.sum().backward()
    torch.testing.assert_close(losses, full, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient[0], model.model.layers[0].self_attn.q_proj.weight.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(gradient[1], model.lm_head.weight.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("labelled", "rows"), [([7], 1), (list(range(100, 120)), 20), (list(range(1, LENGTH)), 64), ([], 1)])
def test_no_tensor_of_sequence_times_vocabulary(
    model: PreTrainedModel, labelled: list[int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", 64)
    # The weights themselves are [vocabulary, width] and their transpose [width, vocabulary]: keep those apart.
    width = model.config.hidden_size
    fed, targets = inputs(labelled)
    with Widest() as seen:
        losses, _ = loss.token_losses(model, model.lm_head, fed, targets)
        losses.sum().backward()
    assert seen.rows == max(rows, width)


def test_what_the_backward_pass_keeps_of_a_labelled_row_does_not_grow_with_it(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", 16)
    rows = []
    for labelled in (32, LENGTH - 1):
        kept: dict[int, int] = {}

        def pack(t: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            if t.ndim == 2 and t.shape[-1] == VOCABULARY and not isinstance(t, torch.nn.Parameter):
                kept[t.untyped_storage().data_ptr()] = t.shape[0]
            return t

        fed, targets = inputs(list(range(1, labelled + 1)))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss.token_losses(model, model.lm_head, fed, targets)
        # The transposed weights have one column a word too.
        rows.append(sum(n for n in kept.values() if n != model.config.hidden_size))
    assert rows == [0, 0]


def test_the_heads_gradient_is_as_exact_in_many_chunks_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rows, width = 2048, 32
    head, exact = torch.nn.Linear(width, VOCABULARY, bias=False), torch.nn.Linear(width, VOCABULARY, bias=False).double()
    head.bfloat16()
    exact.weight.data.copy_(head.weight.data)
    hidden = torch.randn(1, rows, width).bfloat16()
    targets, weights = torch.randint(0, VOCABULARY, (rows,)), torch.rand(rows)
    full = torch.nn.functional.cross_entropy(exact(hidden[0].double()), targets, reduction="none")
    (full * weights).sum().backward()
    loss.prepare_head(head)
    errors = []
    for chunk in (rows, rows // 128):
        monkeypatch.setattr(loss, "CHUNK", chunk)
        head.targets, head.weight.grad = targets, None
        (head(hidden) * weights).sum().backward()
        errors.append(float((head.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm()))
    assert errors[1] < 1.5 * errors[0] < 0.02


@pytest.mark.parametrize("kind", ["bias", "adapters"])
def test_a_bias_and_adapters_get_the_gradients_of_the_full_logits(
    model: PreTrainedModel, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", 64)
    torch.manual_seed(0)
    trained: torch.nn.Module = model
    if kind == "bias":
        model.lm_head.bias = torch.nn.Parameter(torch.randn(VOCABULARY))
        watched = [model.lm_head.bias, model.lm_head.weight]
    else:
        trained = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
        watched = [p for p in trained.parameters() if p.requires_grad]
        assert not model.lm_head.weight.requires_grad
    fed, targets = inputs(list(range(1, LENGTH)))
    with Widest() as seen:
        losses, kept = loss.token_losses(trained, model.lm_head, fed, targets)
        losses.sum().backward()
    assert seen.rows == 64
    ours = [p.grad.clone() for p in watched]
    trained.zero_grad()
    del model.lm_head.forward
    logits = trained(**fed, use_cache=False).logits
    full = torch.nn.functional.cross_entropy(logits[0], targets[0], reduction="none")[kept]
    full.sum().backward()
    torch.testing.assert_close(losses, full, rtol=1e-5, atol=1e-5)
    for gradient, parameter in zip(ours, watched, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_model_that_scales_its_logits_is_refused(scaled: bool) -> None:
    config = GraniteConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        logits_scaling=8.0 if scaled else 1.0,
    )
    model = GraniteForCausalLM(config)
    loss.prepare_head(model.lm_head)
    fed, targets = inputs([5, 6])
    losses, _ = loss.token_losses(model, model.lm_head, fed, targets)
    with pytest.raises(UserError, match="scales or caps its logits") if scaled else nullcontext():
        loss.check_head(model.lm_head, losses)


def test_a_part_without_labels_gives_nothing_and_reaches_every_parameter(model: PreTrainedModel) -> None:
    fed, targets = inputs([])
    losses, kept = loss.token_losses(model, model.lm_head, fed, targets)
    assert losses.tolist() == [0.0]
    assert kept.tolist() == [0]
    losses.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name
