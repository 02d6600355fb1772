"""A student that was not shown to train rightly is refused by name, before anything is loaded."""

from __future__ import annotations

import pytest
from transformers import AutoConfig, Qwen3Config, Qwen3MoeConfig

from acc.errors import UserError
from acc.train.capabilities import STUDENTS, check_capabilities


@pytest.mark.parametrize("kind", STUDENTS)
def test_shown_students_are_taken(kind: str) -> None:
    check_capabilities(AutoConfig.for_model(kind))


def test_others_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"model\.path: mixtral models were not shown .*llama, qwen3, qwen3_moe.*parity tests"):
        check_capabilities(AutoConfig.for_model("mixtral"))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("linear_attention", "carry state from one packed document"), ("sliding_attention", "full attention only")],
)
def test_layers_that_packing_does_not_fit_are_refused(kind: str, sentence: str) -> None:
    config = Qwen3Config(num_hidden_layers=2)
    config.layer_types = ["full_attention", kind]
    with pytest.raises(UserError, match=f"{kind} layers.*{sentence}"):
        check_capabilities(config)


def test_quantised_students_are_refused() -> None:
    config = Qwen3MoeConfig()
    config.quantization_config = {"quant_method": "fp8"}
    with pytest.raises(UserError, match="quantised"):
        check_capabilities(config)
