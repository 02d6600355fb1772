"""The student's config.json, read as the trainer's own checks read a configuration of transformers, without transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.launch.check.hub import Hub
from acc.launch.plan.architecture import KNOWN, check_values, is_path, no_folder
from acc.recipe import Recipe

__all__ = ["Configuration", "Student", "is_path", "read_student"]


class Configuration:
    """A config.json with the attributes that transformers would give it, as far as our checks ask for them.

    Args:
        raw: the JSON object. `rope_parameters`, key-value heads and the layers' types are filled in as transformers does.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.model_type = ""
        self.num_attention_heads = 0
        self.num_key_value_heads = 0
        self.__dict__.update(_filled(raw))
        inner = raw.get("text_config")
        self._text = Configuration(inner) if isinstance(inner, Mapping) else self

    def get_text_config(self) -> Configuration:
        """The configuration of the language model in it."""
        return self._text


@dataclass(frozen=True, slots=True)
class Student:
    """`raw` is config.json as it stands, `origin` says where it was read; `folder` holds it, None for our own table."""

    raw: dict[str, Any]
    origin: str
    folder: Path | None

    def configuration(self) -> Configuration:
        """A fresh one: `acc.train.rope.apply_rope` changes what it is given."""
        return Configuration(self.raw)


def read_student(recipe: Recipe, hub: Hub) -> Student | None:
    """The student's config.json: from its folder, the hub's cache, the hub, or our table of the shipped recipes' students.

    None where the hub has to be asked and can't be.

    Raises:
        UserError: the folder has none, it is no JSON object, or a value in it is of the wrong kind.
    """
    name = recipe.student
    if Path(name).is_dir():
        path = Path(name) / "config.json"
        if not path.is_file():
            raise UserError("there is no config.json", where=f"model.path {name}", mend="Name a folder that holds a checkpoint")
        return Student(_read(path), "config.json", path.parent)
    if is_path(name):
        raise no_folder(name)
    found = hub.file(name, recipe.model.revision, "config.json")
    if found is not None:
        return Student(_read(found), "the hub's config.json", found.parent)
    if name in KNOWN:
        return Student(dict(KNOWN[name]), "acc's own table, since its config.json is not here", None)
    return None


def _filled(raw: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(raw)
    limit, heads = raw.get("max_position_embeddings"), raw.get("num_attention_heads", 0)
    found["num_key_value_heads"] = raw.get("num_key_value_heads") or heads
    rope = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    if rope or "rope_theta" in raw or raw.get("model_type") in ("llama", "qwen3", "qwen3_moe"):
        rope["rope_type"] = rope.get("rope_type", rope.get("type", "default"))
        rope.setdefault("rope_theta", raw.get("rope_theta", 10_000.0))
        if rope["rope_type"] == "yarn" and limit:
            rope.setdefault("original_max_position_embeddings", limit)
        found["rope_parameters"] = rope
    if raw.get("layer_types") is None and raw.get("use_sliding_window") and raw.get("sliding_window"):
        layers = raw.get("num_hidden_layers") or 0
        first = raw.get("max_window_layers") or 0
        found["layer_types"] = ["sliding_attention" if i >= first else "full_attention" for i in range(layers)]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(f"it can't be read ({e})", where=f"model.path {path}", mend="Download the checkpoint again") from e
    if not isinstance(found, dict):
        raise UserError("it is no JSON object", where=f"model.path {path}", mend="Download the checkpoint again")
    check_values(found, f"model.path {path}")
    return found
