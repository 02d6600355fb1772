"""The student before its weights: configuration, model with shapes only, tokenizer."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from acc.errors import UserError
from acc.recipe import Recipe
from acc.train.rope import apply_rope

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


def load_config(recipe: Recipe) -> Any:
    """The student's configuration, RoPE scaled as the recipe says.

    Raises:
        UserError: there is no such checkpoint, or its RoPE can't be scaled so.
    """
    try:
        config = AutoConfig.from_pretrained(
            recipe.student, revision=recipe.model.revision, trust_remote_code=recipe.model.trust_remote_code
        )
    except (OSError, ValueError) as e:
        raise UserError(
            f"the student {recipe.model.path!r} can't be read ({str(e).splitlines()[0]})",
            where="model.path",
            mend="Name a folder with config.json, or a hub id that this machine can reach",
        ) from e
    return apply_rope(recipe, config)


def build_student(recipe: Recipe, config: Any, *, attention: str, dtype: torch.dtype) -> PreTrainedModel:
    """The model with the shapes of its parameters and none of their values (`acc.train.zero_loading.fill` gives them).

    No cache, no router loss, experts as the recipe says. Buffers, such as RoPE's frequencies, are real.

    Args:
        config: the student's, with what the recipe changes in it.
        dtype: type of the parameters.
    """
    options: dict[str, Any] = {"trust_remote_code": recipe.model.trust_remote_code}
    if count_experts(config):
        options["experts_implementation"] = recipe.moe.experts
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention, **options)
    model.tie_weights()
    model.config.use_cache = False
    model.config.output_router_logits = False
    with suppress(OSError):  # without a file, what config.json said stays
        model.generation_config = GenerationConfig.from_pretrained(recipe.student, revision=recipe.model.revision)
    model.eval()
    return model


def count_experts(config: Any) -> int:
    """Experts in each block of a mixture-of-experts model, 0 for a dense one."""
    text = config.get_text_config()
    return next((n for n in (getattr(text, k, None) for k in ("num_experts", "num_local_experts", "n_routed_experts")) if n), 0)


def copy_tokenizer(recipe: Recipe, folder: Path) -> None:
    """Copy the student's tokenizer and chat template, byte for byte, so that `folder` loads alone."""
    origin = Path(recipe.student)
    if not origin.is_dir():
        from huggingface_hub import snapshot_download

        origin = Path(snapshot_download(recipe.student, revision=recipe.model.revision, allow_patterns=list(TOKENIZER_FILES)))
    for name in TOKENIZER_FILES:
        if (origin / name).is_file():
            shutil.copyfile(origin / name, folder / name)
