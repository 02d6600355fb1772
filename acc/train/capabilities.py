"""Which students are known to train rightly, by what the tests have shown of them. Others are refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acc.errors import UserError

RECURRENT = ("linear_attention", "mamba", "recurrent")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the parity tests compare with one plain process in float32 and find equal.

    `packing`: documents of a sequence do not see each other. `sequence`: Ulysses sequence parallelism. `zero3`: weights cut by
    ZeRO-3, mixture-of-experts blocks gathered as a whole. `expert_adapters`: LoRA on the fused experts and the router.
    """

    packing: bool
    sequence: bool
    zero3: bool
    expert_adapters: bool


STUDENTS = {
    "qwen3": Shown(packing=True, sequence=True, zero3=True, expert_adapters=False),
    "qwen3_moe": Shown(packing=True, sequence=True, zero3=True, expert_adapters=True),
    "llama": Shown(packing=True, sequence=True, zero3=True, expert_adapters=False),
}
"""model_type of config.json → what was shown. A new one is a line here and its cases in the parity tests."""


def check_capabilities(config: Any) -> Shown:
    """What was shown of a student.

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
            f"(shown: {', '.join(sorted(STUDENTS))})",
            where="model.path",
            mend="Take one of those, or add it to acc/train/capabilities.py with a case in the parity tests",
        )
    return STUDENTS[config.model_type]


def _refused(what: str) -> UserError:
    return UserError(what, where="model.path", mend="Take a model whose layers all have full attention")
