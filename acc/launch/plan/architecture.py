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
        UserError: the model_type is none of the trainer's students, or a number is missing.
    """
    kind = str(config.get("model_type"))
    if kind not in STUDENTS:
        raise UserError(
            f"{kind} models are none that acc trains (it trains {', '.join(STUDENTS)})",
            where="model.path",
            mend="Take one of those",
        )
    try:
        heads, width, layers = config["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"]
        experts = (config.get("num_experts") or config.get("num_local_experts") or 0) if kind == "qwen3_moe" else 0
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
            window=config.get("max_position_embeddings", 0),
        )
    except KeyError as e:
        raise UserError(f"config.json has no {e.args[0]}", where=name, mend="Take the student's own config.json") from None


def _config(name: str, revision: str | None) -> tuple[dict[str, Any], str, Tag]:
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError("there is no config.json", where=name, mend="Name a folder that holds a checkpoint")
        return _read(folder / "config.json"), "config.json", "computed"
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json", revision=revision) if name.count("/") == 1 else None
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
