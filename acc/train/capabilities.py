"""Which students are known to train rightly, by what the tests have shown of them. Others are refused by name."""

from __future__ import annotations

from typing import Any

from acc.errors import UserError

RECURRENT = ("linear_attention", "mamba", "recurrent")


STUDENTS = ("llama", "qwen3", "qwen3_moe")
"""model_type of config.json. Of each the parity cells have shown that packed documents do not see each other, and that ZeRO-3,
Ulysses and adapters (of qwen3_moe on its fused experts and router too) train as one plain process does. A new one is a line
here and its cases there."""


def check_capabilities(config: Any) -> None:
    """Refuse a student that nothing was shown of.

    Args:
        config: of transformers.

    Raises:
        UserError: nothing was shown of this model_type, its weights are quantised, or its layers carry state from one packed
            document to the next or attend in windows.
    """
    text = config.get_text_config()
    kinds = sorted(set(getattr(text, "layer_types", None) or []))
    if found := next((k for k in kinds if any(r in k for r in RECURRENT)), None):
        raise _refused(f"the student has {found} layers, which carry state from one packed document to the next")
    if found := next((k for k in kinds if k != "full_attention"), None):
        raise _refused(f"the student has {found} layers, and attention within packed documents is full attention only")
    if getattr(config, "quantization_config", None):
        raise UserError(
            "the student's weights are quantised", where="model.path", mend="Take the checkpoint in bfloat16 or float32"
        )
    if config.model_type not in STUDENTS:
        raise UserError(
            f"{config.model_type} models were not shown to train rightly packed, cut and under sequence parallelism "
            f"(shown: {', '.join(STUDENTS)})",
            where="model.path",
            mend="Take one of those, or add it to acc/train/capabilities.py with a case in the parity tests",
        )


def _refused(what: str) -> UserError:
    return UserError(what, where="model.path", mend="Take a model whose layers all have full attention")
