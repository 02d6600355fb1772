"""DeepSpeed's raw section: names it knows, nothing that breaks sizes or loss; offload as the recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_material import make_recipe

from acc.errors import UserError
from acc.train.deepspeed_config import set_names, zero3


def test_the_section_lies_over_ours() -> None:
    section = {"zero_optimization": {"stage3_max_live_parameters": 7, "sub_group_size": 9}, "steps_per_print": 3}
    config = zero3(make_recipe(Path("x"), deepspeed=section, parallel={"offload": ["optimizer"]}), gpu=True)
    zero = config["zero_optimization"]
    assert (zero["stage"], zero["stage3_max_live_parameters"], zero["sub_group_size"], config["steps_per_print"]) == (
        3,
        7,
        9,
        3,
    )
    assert zero["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    assert "offload_param" not in zero
    assert set_names(section) == [
        "zero_optimization.stage3_max_live_parameters",
        "zero_optimization.sub_group_size",
        "steps_per_print",
    ]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"steps_per_prnt": 1}, r"deepspeed.steps_per_prnt: .*nearest that it knows is steps_per_print"),
        ({"aio": {"block_sise": 1}}, r"deepspeed.aio.block_sise: .*nearest that it knows is block_size"),
        ({"zero_optimization": {"sub_group_sise": 1}}, r"zero_optimization.sub_group_sise: .*is sub_group_size"),
        ({"zero_optimization": {"sub_group_size": -1}}, r"zero_optimization.sub_group_size: .*not -1"),
        ({"amp": {"enabled": True}}, r"deepspeed: DeepSpeed refuses it: .*removed"),
    ],
)
def test_what_deepspeed_does_not_know_is_refused_with_the_nearest_name(section: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        zero3(make_recipe(Path("x"), deepspeed=section), gpu=False)


@pytest.mark.parametrize(
    "section",
    [{"train_batch_size": 8}, {"zero_optimization": {"stage": 2}}, {"gradient_clipping": 1.0}, {"fp16": {"enabled": True}}],
)
def test_what_would_break_sizes_or_loss_is_refused_by_the_recipe(section: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="can't be set here"):
        make_recipe(Path("x"), deepspeed=section)
