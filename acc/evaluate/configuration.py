"""What can be known of a checkpoint without loading it: its window, its RoPE scaling, its generation settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.recipe.training import Rope
from acc.records.adapters import BASE


def read_config(checkpoint: str, revision: str | None) -> tuple[dict[str, Any], dict[str, Any], str]:
    """(config.json, generation_config.json or {}, the folder or `hub id@commit` that they are of).

    Raises:
        UserError: there is no config.json.
    """
    folder, name = Path(checkpoint), checkpoint
    if not folder.is_dir():
        folder = _from_hub(checkpoint, revision)
        name = f"{checkpoint}@{folder.name}"  # snapshots lie in folders that are called as their commits
    elif (folder / BASE / "config.json").is_file():
        folder = folder / BASE
    config, generation = (_json(folder / f) for f in ("config.json", "generation_config.json"))
    if not config:
        raise UserError("there is no config.json", where=checkpoint, mend="Name a whole checkpoint")
    return config, generation, name


def refuse_adapters(checkpoint: str) -> None:
    """Refuse a checkpoint of adapters: servers are started on whole models.

    Raises:
        UserError: it is one.
    """
    if (Path(checkpoint) / "adapter_config.json").is_file():
        raise UserError(
            "these are adapters, and a server is started on whole models",
            where=checkpoint,
            mend=f"Merge them first (acc merge {checkpoint} -o FOLDER) and evaluate FOLDER, or leave out evaluate.server",
        )


def window_of(config: dict[str, Any]) -> int | None:
    """Longest prompt and answer together, tokens, as the model's configuration says; RoPE scaling included.

    None where it says nothing.
    """
    text: dict[str, Any] = config.get("text_config") or config
    limit: int | None = text.get("max_position_embeddings")
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor")
    if limit is None or factor is None or kind not in ("yarn", "linear"):
        return limit
    if kind == "linear":
        return int(factor * limit)
    return max(limit, int(factor * rope.get("original_max_position_embeddings", limit)))


def scaled(config: dict[str, Any], rope: Rope | None) -> dict[str, Any]:
    """What a server must be told beyond config.json so that the model's RoPE is scaled as the training scales it.

    Returns:
        Overrides of the configuration; {} where it says so already, as every trained checkpoint's does.
    """
    text: dict[str, Any] = config.get("text_config") or config
    now: dict[str, Any] = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if rope is None or (now.get("rope_type", now.get("type")), now.get("factor")) == (rope.kind, rope.factor):
        return {}
    native = rope.native_window or now.get("original_max_position_embeddings") or text["max_position_embeddings"]
    kept = {name: value for name in ("rope_theta", "partial_rotary_factor") if (value := now.get(name, text.get(name)))}
    parameters = {**kept, "rope_type": rope.kind, "factor": rope.factor}
    found = {"rope_parameters": parameters, "max_position_embeddings": native}
    if rope.kind == "yarn":
        parameters["original_max_position_embeddings"] = native
        found["max_position_embeddings"] = int(native * rope.factor)
    return {"text_config": found} if "text_config" in config else found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as e:
        raise UserError(f"this is no JSON ({e})", where=str(path)) from e
    return found if isinstance(found, dict) else {}


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=["config.json", "generation_config.json"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as e:
        raise UserError(
            f"{name!r} is neither a folder here nor a checkpoint that the hub gives ({type(e).__name__})",
            mend="Check the name, or download the checkpoint first and name its folder",
        ) from e
