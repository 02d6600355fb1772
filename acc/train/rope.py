"""RoPE: positions that the model was not trained for are scaled as the recipe says, or refused."""

from __future__ import annotations

from typing import Any

from acc.errors import UserError
from acc.recipe import Recipe

REPLACED = ("default", "yarn", "linear")
"""Kinds that `model.rope` may replace; a model trained with another has its scaling in its weights."""
BY_LENGTH = ("dynamic", "longrope")
"""Kinds whose frequencies follow the longest document of the row, so that a document depends on its neighbours."""


def apply_rope(recipe: Recipe, config: Any) -> Any:
    """Write the recipe's RoPE scaling into a model's configuration, and give it back; every checkpoint then carries it.

    Applied to a configuration that has it already, it changes nothing.

    Raises:
        UserError: the model has no RoPE, or one that can't be scaled or trained packed.
    """
    text = config.get_text_config()
    now = getattr(text, "rope_parameters", None) or {}
    kind = now.get("rope_type", "default")
    if kind in BY_LENGTH:
        raise UserError(
            f"the student's RoPE is {kind}, which changes with the longest document of a packed sequence",
            where="model.path",
            mend='Set rope_type "yarn" or "linear" in its config.json',
        )
    if recipe.model.rope is None:
        return config
    if "rope_theta" not in now or kind not in REPLACED:
        # Without rope_theta at the top there is no RoPE at all, or one for each type of layer.
        raise UserError(
            "the student's RoPE can't be scaled: it has " + (f"its own scaling, {kind}" if kind not in REPLACED else "none"),
            where="model.rope",
            mend="Leave model.rope out",
        )
    rope = recipe.model.rope
    native = rope.native_window or now.get("original_max_position_embeddings") or text.max_position_embeddings
    kept = {name: now[name] for name in ("rope_theta", "partial_rotary_factor") if name in now}
    text.rope_parameters = {**kept, "rope_type": rope.kind, "factor": rope.factor}
    text.max_position_embeddings = native
    if rope.kind == "yarn":
        text.rope_parameters["original_max_position_embeddings"] = native
        text.max_position_embeddings = int(native * rope.factor)
    return config


def check_window(config: Any, longest: int) -> None:
    """Refuse a document that is longer than the model's window, RoPE scaling included.

    Args:
        config: of the model, as `apply_rope` gives it.
        longest: length of the longest document, tokens; positions begin anew in each, so the row's length does not matter.

    Raises:
        UserError: it does not fit.
    """
    text = config.get_text_config()
    window = _window(text)
    if window is not None and longest > window:
        scaled = getattr(text, "rope_parameters", None) or {}
        native = scaled.get("original_max_position_embeddings") or text.max_position_embeddings
        raise UserError(
            f"the longest packed sample has {longest:,} tokens, and the student's window is {window:,}",
            where="model.rope",
            mend=f"Set model.rope with kind yarn and factor {-(-longest // native)}, lower pack.length to {window}, "
            "or take a student with a longer window",
        )


def _window(text: Any) -> int | None:
    """Positions that the model is made for, number; None if its configuration has no limit."""
    limit: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    kind, factor = rope.get("rope_type"), rope.get("factor")
    if limit is None or factor is None or kind not in ("yarn", "linear"):
        return limit
    return max(limit, int(factor * rope["original_max_position_embeddings"])) if kind == "yarn" else int(factor * limit)
