"""Loading a checkpoint whole, beside a training that may be cutting every model it sees into shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import deepspeed as hf_deepspeed
from transformers.utils import logging as hf_logging

from acc.errors import UserError
from acc.records.adapters import BASE

MAX_PARAMETERS = 3_000_000_000
"""The largest model generated from in process: 12 GB in float32."""


def load_whole(checkpoint: str, options: dict[str, Any]) -> Any:
    """The model in float32 with stock attention, every weight from the checkpoint.

    Args:
        checkpoint: a folder, or a hub id.
        options: revision and trust_remote_code.

    Raises:
        UserError: it is not there, larger than `MAX_PARAMETERS`, or not whole.
    """
    with _without_zero3(), _without_progress_bars():
        try:
            base = Path(checkpoint) / BASE
            config = AutoConfig.from_pretrained(base if base.is_dir() else checkpoint, **options)
            with torch.device("meta"):
                empty = AutoModelForCausalLM.from_config(config, trust_remote_code=options["trust_remote_code"])
            _refuse_large(checkpoint, sum(p.numel() for p in empty.parameters()))
            model, found = AutoModelForCausalLM.from_pretrained(
                checkpoint, config=config, dtype=torch.float32, attn_implementation="sdpa", output_loading_info=True, **options
            )
        except (OSError, ValueError) as e:
            reason = str(e).split("\n")[0].rstrip(".")
            raise UserError(f"the checkpoint cannot be loaded ({reason})", where=checkpoint) from e
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            names = sorted(map(str, found[kind]))
            raise UserError(
                f"{len(names)} {kind.replace('_', ' ')} in the weights ({names[0]} first): this would not be the trained model",
                where=checkpoint,
                mend="Take a whole checkpoint of the architecture that its config.json names",
            )
    return model


def _refuse_large(checkpoint: str, parameters: int) -> None:
    if parameters > MAX_PARAMETERS:
        raise UserError(
            f"the model has {parameters / 1e9:.1f}B parameters, too many to generate from in process "
            f"(at most {MAX_PARAMETERS // 10**9}B)",
            where=checkpoint,
            mend="Set evaluate.server, and evaluate.where to watch (or job): a server answers for it, beside the training",
        )


def fingerprint_of(model: Any) -> str:
    """Hash of the configuration, but for where it came from, and of names and values of all weights."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("_name_or_path", "transformers_version")}
    found = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()[:32]


@contextmanager
def _without_zero3() -> Iterator[None]:
    """Inside a ZeRO-3 training process transformers would cut every model that it loads into shards: not this one."""
    reference = hf_deepspeed._hf_deepspeed_config_weak_ref
    config = reference() if reference is not None else None
    hf_deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            hf_deepspeed.set_hf_deepspeed_config(config)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """No bar for every checkpoint and process amid the training's own output."""
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()
