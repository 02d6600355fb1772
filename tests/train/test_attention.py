"""Packed documents never see each other, and the attention is the one that was asked for."""

from __future__ import annotations

import itertools
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from training_material import make_student
from transformers import AutoModelForCausalLM, PreTrainedModel

from acc.errors import UserError
from acc.train import attention, kernels
from acc.train.attention import at_once, choose_attention, documents_sdpa, explain_attention
from acc.train.documents import Documents, bounds_of, documents_at

LENGTHS = [9, 1, 14, 8]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    folder = make_student(tmp_path_factory.mktemp("student"))
    return AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation=choose_attention("auto"), dtype=torch.float32
    ).eval()


@pytest.fixture
def documents() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 290, (n,), generator=generator) for n in LENGTHS]


@torch.no_grad()
def logits(model: PreTrainedModel, documents: list[torch.Tensor]) -> list[torch.Tensor]:
    """The logits of documents packed into one sequence, document by document."""
    positions = torch.cat([torch.arange(len(d)) for d in documents])
    out = model(input_ids=torch.cat(documents)[None], position_ids=positions[None], use_cache=False).logits[0]
    return list(out.split([len(d) for d in documents]))


def test_another_canary_changes_nothing_in_its_neighbours(model: PreTrainedModel, documents: list[torch.Tensor]) -> None:
    before = logits(model, documents)
    canary = [documents[0], documents[1], (documents[2] + 7) % 290, documents[3]]
    after = logits(model, canary)
    assert (before[2] - after[2]).abs().max() > 0.1
    for i in (0, 1, 3):
        # Not bit for bit: which tokens share an expert's matrix product moves the last bits.
        torch.testing.assert_close(before[i], after[i], rtol=1e-5, atol=1e-5)


def test_packed_is_separate(model: PreTrainedModel, documents: list[torch.Tensor]) -> None:
    for packed, document in zip(logits(model, documents), documents, strict=True):
        torch.testing.assert_close(packed, logits(model, [document])[0], rtol=1e-4, atol=1e-5)


def test_a_long_sequence_of_short_documents_needs_no_square_of_its_length() -> None:
    n = 16_384
    q, k = torch.zeros(1, 4, n, 8), torch.zeros(1, 2, n, 8)
    positions = (torch.arange(n) % 64)[None]
    # A mask of n × n booleans alone would be 268 MB, and scores in float32 four times four times that.
    out, _ = documents_sdpa(torch.nn.Module(), q, k, k, None, position_ids=positions)
    assert out.shape == (1, n, 4, 8)


def test_grouped_heads_are_as_repeated_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, h, 12, 8, generator=generator) for h in (4, 2, 2))
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6]])
    grouped, _ = documents_sdpa(torch.nn.Module(), q, k, v, None, position_ids=positions)
    repeated = (x.repeat_interleave(2, dim=1) for x in (k, v))
    full, _ = documents_sdpa(torch.nn.Module(), q, *repeated, None, position_ids=positions)
    torch.testing.assert_close(grouped, full)


def test_a_sliding_window_is_refused_and_not_ignored() -> None:
    x = torch.zeros(1, 2, 4, 8)
    with pytest.raises(UserError, match="sliding window"):
        documents_sdpa(torch.nn.Module(), x, x, x, None, position_ids=torch.arange(4)[None], sliding_window=2)


def test_documents_are_found_where_positions_begin_anew() -> None:
    found = documents_at(bounds_of(torch.tensor([0, 1, 2, 0, 0, 1])))
    assert (found.bounds, found.lengths, found.longest) == ((0, 3, 4, 6), [3, 1, 2], 3)
    assert found.cumulative.dtype == torch.int32


def test_documents_of_another_sequence_are_refused() -> None:
    x = torch.zeros(1, 2, 4, 8)
    with pytest.raises(RuntimeError, match="bug"):
        documents_sdpa(torch.nn.Module(), x, x, x, None, documents=documents_at(torch.tensor([0, 3])))


@torch.no_grad()
def test_documents_found_beforehand_reach_every_layer(
    model: PreTrainedModel, documents: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = torch.cat(logits(model, documents))
    positions = torch.cat([torch.arange(len(d)) for d in documents])[None]
    given = documents_at(bounds_of(positions[0]))
    monkeypatch.setattr(attention, "documents_at", lambda _: pytest.fail("the documents were looked for in a layer"))
    out = model(input_ids=torch.cat(documents)[None], position_ids=positions, use_cache=False, documents=given).logits[0]
    assert torch.equal(out, expected)


def exact_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scale: float | None, dropout: float
) -> torch.Tensor:
    """What the kernels compute, in float64 and position by position; they themselves need a GPU."""
    grouped = query.shape[1] // key.shape[1]
    k, v = (x.double().repeat_interleave(grouped, dim=1) for x in (key, value))
    out = torch.empty_like(query, dtype=torch.float64)
    for start, end in itertools.pairwise(documents.cumulative.tolist()):
        for i in range(start, end):
            scores = torch.einsum("hd,jhd->hj", query[i].double(), k[start : i + 1]) * (scale or query.shape[2] ** -0.5)
            out[i] = torch.einsum("hj,jhd->hd", scores.softmax(-1), v[start : i + 1])
    return out.to(query.dtype)


def varlen_2_13(query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, **options: Any) -> Any:
    """torch 2.12's and later."""
    assert options["window_size"] == (-1, 0)
    assert options["enable_gqa"] or query.shape[1] == key.shape[1]
    return varlen(query, key, value, cu_seq_q, max_q, options["scale"])


def varlen_2_10(
    query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, is_causal: bool = False
) -> Any:
    """The first one: no scale, no grouped heads."""
    assert is_causal
    assert query.shape[1] == key.shape[1]
    return varlen(query, key, value, cu_seq_q, max_q, None)


def varlen(query: Any, key: Any, value: Any, bounds: torch.Tensor, longest: int, scale: float | None) -> torch.Tensor:
    assert bounds.dtype == torch.int32
    assert longest == bounds.diff().max()
    return exact_kernel(query, key, value, documents_at(bounds), scale, 0.0)


def flash_varlen(
    q: Any, k: Any, v: Any, *, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: int, max_seqlen_k: int, **options: Any
) -> Any:
    assert options.pop("causal")
    assert not options.pop("dropout_p", 0.0)
    scale = options.pop("softmax_scale")
    assert not options
    return varlen(q, k, v, cu_seqlens_q, max_seqlen_q, scale), None


@pytest.mark.parametrize(
    ("kernel", "module", "function", "stand_in"),
    [
        (kernels.torch_varlen, "torch.nn.attention.varlen", "varlen_attn", "keywords"),
        (kernels.torch_varlen, "torch.nn.attention.varlen", "varlen_attn", varlen_2_10),
        (kernels.flash_attention_2, "flash_attn", "flash_attn_varlen_func", flash_varlen),
        (kernels.flash_attention_3, "flash_attn_interface", "flash_attn_varlen_func", flash_varlen),
    ],
)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_kernels_get_what_makes_them_the_same_attention(
    kernel: kernels.Kernel, module: str, function: str, stand_in: Any, scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stand_in == "keywords":

        def stand_in(
            query: Any,
            key: Any,
            value: Any,
            cu_seq_q: Any,
            cu_seq_k: Any,
            max_q: int,
            max_k: int,
            *,
            scale: Any = None,
            window_size: Any = (-1, -1),
            enable_gqa: bool = False,
        ) -> Any:
            options = {"scale": scale, "window_size": window_size, "enable_gqa": enable_gqa}
            return varlen_2_13(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **options)

    package = ModuleType(module)
    setattr(package, function, stand_in)
    monkeypatch.setitem(sys.modules, module, package)
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, h, 12, 8, generator=generator) for h in (4, 2, 2))
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6]])
    expected, _ = documents_sdpa(torch.nn.Module(), q, k, v, None, scaling=scale, position_ids=positions)
    found, _ = at_once(kernel)(torch.nn.Module(), q, k, v, None, scaling=scale, position_ids=positions)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["torch_varlen", "flash_attention_2", "flash_attention_3"])
def test_a_model_runs_each_kernel_as_it_runs_sdpa(
    model: PreTrainedModel, documents: list[torch.Tensor], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the kernel, which is replaced: without a GPU it can't run."""
    expected = logits(model, documents)
    monkeypatch.setattr(kernels, name, exact_kernel)
    attention.register()
    other = AutoModelForCausalLM.from_pretrained(
        model.name_or_path, attn_implementation=attention.REGISTERED[name], dtype=torch.float32
    ).eval()
    for a, b in zip(logits(other, documents), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_kernels_get_the_type_of_autocast() -> None:
    def kernel(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any) -> torch.Tensor:
        assert q.dtype == k.dtype == v.dtype == torch.bfloat16
        return q

    q, k = torch.zeros(1, 2, 4, 8), torch.zeros(1, 2, 4, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = at_once(kernel)(torch.nn.Module(), q, q, k, None, position_ids=torch.arange(4)[None])
    assert out.shape == (1, 4, 2, 8)


def test_dropout_that_a_kernel_does_not_have_is_refused() -> None:
    x = torch.zeros(4, 2, 8)
    for kernel in (kernels.torch_varlen, kernels.flash_attention_3):
        with pytest.raises(UserError, match="dropout"):
            kernel(x, x, x, documents_at(torch.tensor([0, 4])), None, 0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3", "torch_varlen"])
def test_attention_without_a_gpu_is_refused_when_named(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} needs a GPU"):
        choose_attention(name)


def test_auto_takes_the_best_there_is_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_attention("auto") == "documents_sdpa"
    assert explain_attention("auto") == ("documents_sdpa", "there is no GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert explain_attention("auto") == (
        "torch_varlen",
        "flash_attention_3 is not installed; flash_attention_2 is not installed",
    )
    assert explain_attention("auto", "float32")[0] == "documents_sdpa"
    with pytest.raises(UserError, match=r"model\.dtype is float32"):
        choose_attention("torch_varlen", "float32")
    monkeypatch.setattr(attention, "is_flash_attn_3_available", lambda: True)
    assert explain_attention("auto") == ("flash_attention_3", "the fastest there is")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    assert explain_attention("auto")[0] == "torch_varlen"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert explain_attention("auto")[0] == "documents_sdpa"
