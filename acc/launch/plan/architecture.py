"""The student in numbers, from its config.json alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.launch.plan.figures import Tag
from acc.recipe import Recipe
from acc.train.capabilities import STUDENTS

_QWEN3 = {"vocab_size": 151_936, "head_dim": 128, "num_attention_heads": 32, "max_position_embeddings": 262_144}
KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-30B-A3B-Thinking-2507": {
        **_QWEN3,
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 48,
        "num_key_value_heads": 4,
        "intermediate_size": 6144,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "tie_word_embeddings": False,
    },
    "Qwen/Qwen3-4B-Thinking-2507": {
        **_QWEN3,
        "model_type": "qwen3",
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "intermediate_size": 9728,
        "tie_word_embeddings": True,
    },
}
"""Hub id → config.json, for planning where neither files nor hub are: the students of the shipped recipes."""
REQUIRED = ("num_attention_heads", "hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size")
OF_EXPERTS = ("num_experts_per_tok", "moe_intermediate_size")
OPTIONAL = ("num_experts", "num_local_experts", "num_key_value_heads", "head_dim", "decoder_sparse_step", "max_window_layers")
"""Whole numbers of config.json: what every student has, what one with experts has, and what may be left out or null."""
OWN = "Take the student's own config.json"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of one of the kinds that the trainer takes.

    `origin` says where the numbers come from. `sparse` counts the layers with experts, the others have a dense MLP of width
    `intermediate`; `chosen` experts of width `expert_width` see each token.
    """

    name: str
    kind: str
    origin: str
    tag: Tag
    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    experts: int
    chosen: int
    expert_width: int
    sparse: int
    tied: bool
    normed_heads: bool
    biases: bool
    window: int

    @property
    def query(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        """Width of all key heads together; that of the value heads is the same."""
        return self.key_heads * self.head_size

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters by part, number. A tied head is in the embeddings."""
        dense = self.layers - self.sparse
        bias = self.query + 2 * self.key + self.width if self.biases else 0
        return {
            "embeddings": self.vocabulary * self.width,
            "head": 0 if self.tied else self.vocabulary * self.width,
            "attention": self.layers * (2 * self.width * (self.query + self.key) + bias),
            "experts": self.sparse * self.experts * 3 * self.width * self.expert_width,
            "router": self.sparse * self.experts * self.width,
            "mlp": dense * 3 * self.width * self.intermediate,
            "norms": self.layers * (2 * self.width + 2 * self.head_size * self.normed_heads) + self.width,
        }

    @property
    def total(self) -> int:
        """All parameters, number."""
        return sum(self.parameters.values())

    @property
    def met(self) -> int:
        """Weights that a token's products meet, without embeddings and head: what counts for FLOPs."""
        p = self.parameters
        unseen = 1 - self.chosen / self.experts if self.experts else 0
        return round(p["attention"] + p["mlp"] + p["router"] + p["experts"] * (1 - unseen))

    @property
    def gathered_at_once(self) -> int:
        """Parameters of the largest module that ZeRO-3 gathers as a whole, number: a block of experts, or an embedding."""
        block = self.experts * (3 * self.expert_width + 1) * self.width
        return max(block, self.vocabulary * self.width)


def architecture_of(recipe: Recipe) -> Architecture:
    """The recipe's student: from its folder, else from the hub's cache, else from `KNOWN`. Asks no network.

    Raises:
        UserError: its numbers are nowhere here, or it is no model that the trainer takes.
    """
    name = recipe.student
    config, origin, tag = _config(name, recipe.model.revision)
    return architecture_from(config, name=recipe.model.path, origin=origin, tag=tag)


def architecture_from(
    config: Mapping[str, Any], *, name: str, origin: str = "config.json", tag: Tag = "computed"
) -> Architecture:
    """The numbers of a config.json, as transformers writes it.

    Raises:
        UserError: the model_type is none of the trainer's students, or a number is missing or none.
    """
    kind = str(config.get("model_type"))
    if kind not in STUDENTS:
        raise UserError(
            f"{kind} models are none that acc trains (it trains {', '.join(STUDENTS)})",
            where="model.path",
            mend="Take one of those",
        )
    check_values(config, name)
    if missing := [field for field in REQUIRED if field not in config]:
        raise UserError(f"config.json has no {missing[0]}", where=name, mend=OWN)
    heads, width, layers = config["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"]
    experts = (config.get("num_experts") or config.get("num_local_experts") or 0) if kind == "qwen3_moe" else 0
    if experts and (missing := [field for field in OF_EXPERTS if config.get(field) is None]):
        raise UserError(f"config.json has no {missing[0]}", where=name, mend=OWN)
    dense = set(config.get("mlp_only_layers") or [])
    every = config.get("decoder_sparse_step") or 1
    return Architecture(
        name=name,
        kind=kind,
        origin=origin,
        tag=tag,
        vocabulary=config["vocab_size"],
        width=width,
        layers=layers,
        heads=heads,
        key_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or width // heads,
        intermediate=config["intermediate_size"],
        experts=experts,
        chosen=config["num_experts_per_tok"] if experts else 0,
        expert_width=config["moe_intermediate_size"] if experts else 0,
        sparse=sum(i not in dense and (i + 1) % every == 0 for i in range(layers)) if experts else 0,
        tied=bool(config.get("tie_word_embeddings", False)),
        normed_heads=kind != "llama",
        biases=bool(config.get("attention_bias", False)),
        window=config.get("max_position_embeddings") or 0,
    )


def check_values(config: Mapping[str, Any], where: str) -> None:
    """Refuse a config.json whose values are of a kind that no arithmetic can be done on. What it lacks is not looked for.

    Of a model that is none of the trainer's students only window and RoPE are looked at: others keep lists where these have
    numbers.

    Raises:
        UserError: the first such value.
    """
    text = config.get("text_config")
    if text is not None and not isinstance(text, Mapping):
        raise _odd("text_config", text, "a section", where)
    if text:
        check_values(text, where)
    counts = (*REQUIRED, *OF_EXPERTS, *OPTIONAL) if config.get("model_type") in STUDENTS else ()
    for field in (*counts, "max_position_embeddings"):
        value, needed = config.get(field), field in counts and field in REQUIRED
        if (field in config and needed and not value) or not (value is None or _counts(value)):
            raise _odd(field, value, "a whole number above 0" if needed else "a whole number", where)
    layers = config.get("mlp_only_layers")
    if layers is not None and not (isinstance(layers, list) and all(map(_counts, layers))):
        raise _odd("mlp_only_layers", layers, "a list of layers", where)
    kinds = config.get("layer_types")
    if kinds is not None and not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise _odd("layer_types", kinds, "a list of names", where)
    for section in ("rope_parameters", "rope_scaling"):
        rope = config.get(section)
        if rope is not None and not isinstance(rope, Mapping):
            raise _odd(section, rope, "a section", where)
        for field in ("factor", "original_max_position_embeddings"):
            value = (rope or {}).get(field)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise _odd(f"{section}.{field}", value, "a number", where)


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _odd(field: str, value: object, wanted: str, where: str) -> UserError:
    return UserError(f"config.json has {json.dumps(value)} for {field}, which must be {wanted}", where=where, mend=OWN)


def is_path(name: str) -> bool:
    """Whether a name can't be a hub id, `organisation/name`."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return True
    return name.count("/") != 1


def no_folder(name: str) -> UserError:
    """What is said of a student that `is_path` takes for a folder, and that is not there."""
    mend = "Correct the path, which is relative to the recipe's folder, or name a model of the hub as organisation/name"
    return UserError(f"there is no folder {name}", where="model.path", mend=mend)


def _config(name: str, revision: str | None) -> tuple[dict[str, Any], str, Tag]:
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError("there is no config.json", where=name, mend="Name a folder that holds a checkpoint")
        return _read(folder / "config.json"), "config.json", "computed"
    if is_path(name):
        raise no_folder(name)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    if isinstance(cached, str):
        return _read(Path(cached)), "config.json in the hub's cache", "computed"
    if name in KNOWN:
        return dict(KNOWN[name]), "acc's own table: the checkpoint is not on this machine", "assumed"
    raise UserError(
        f"the numbers of {name!r} are not on this machine",
        where="model.path",
        mend=f"`hf download {name} config.json` puts them into the hub's cache; or name a folder",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(f"it can't be read ({e})", where=str(path), mend="Download the checkpoint again") from e
    if not isinstance(found, dict):
        raise UserError("it is no JSON object", where=str(path), mend="Download the checkpoint again")
    return found
