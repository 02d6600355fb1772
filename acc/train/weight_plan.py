"""Which tensors of a checkpoint make which parameter of the model, decided from names and shapes alone.

Names and layouts come from transformers' own table for the model (per-expert weights become the fused `gate_up_proj` and
`down_proj`), so what is read here is what `from_pretrained` reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

from acc.errors import UserError

Read = Callable[[str], torch.Tensor]
Shape = tuple[int, ...]


@dataclass(slots=True)
class Group:
    """Tensors of a checkpoint that together make parameters: one as it is, or several through a converter.

    `tensors` are (pattern, name), in natural order.
    """

    target: str
    converter: Any | None
    tensors: list[tuple[str, str]] = field(default_factory=list)

    def make(self, read: Read, model: Any) -> dict[str, torch.Tensor]:
        """The parameters by name, with all that they are made from in memory at once."""
        if self.converter is None:
            return {self.target: read(self.tensors[0][1])}
        converter = deepcopy(self.converter)
        for pattern, name in self.tensors:
            converter.add_tensor(self.target, name, pattern, partial(read, name))
        made = converter.convert(self.target, model=model, config=model.config)
        return {name: value[0] if isinstance(value, list) else value for name, value in made.items()}

    def is_whole(self) -> bool:
        """Whether every tensor has its place, and those of each starred pattern carry the numbers 0, 1, 2, …"""
        if self.converter is None:
            return len(self.tensors) == 1
        if any(p not in self.converter.source_patterns for p, _ in self.tensors):
            return False
        for pattern in {p for p, _ in self.tensors if "*" in p}:
            number = re.compile(re.escape(pattern).replace(r"\*", r"(\d+)"))
            found = [int(m[1]) for p, name in self.tensors if p == pattern and (m := number.search(name))]
            if found != list(range(len(found))):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Plan:
    """`groups` by the name of each parameter that they make; `tied` names, for one that the checkpoint has under another name
    only, that name; `same` are tensors that make the same parameter and must be equal."""

    groups: dict[str, Group]
    tied: dict[str, str]
    same: list[tuple[str, str]]


def plan_weights(model: Any, wanted: Mapping[str, torch.Tensor], shapes: Mapping[str, Shape], *, source: str) -> Plan:
    """Match a checkpoint with a model.

    Args:
        model: as it was made, or with adapters in its modules.
        wanted: its parameters by their names without adapters; a tied one is there under each of its names.
        shapes: the checkpoint's tensors.
        source: to name in errors.

    Raises:
        UserError: a weight is missing, unexpected or of another shape (a tied output projection is not missing).
    """
    table = get_model_conversion_mapping(model)
    renamings = [t for t in table if isinstance(t, WeightRenaming)]
    converters = [t for t in table if isinstance(t, WeightConverter)]
    by_pattern = {pattern: c for c in converters for pattern in c.source_patterns}
    groups: dict[str, Group] = {}
    unexpected = []
    for name in sorted(shapes, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, wanted)
        if target not in wanted and name in wanted:
            target, pattern = name, None
        if target not in wanted:
            unexpected.append(name)
            continue
        group = groups.setdefault(target, Group(target, by_pattern[pattern] if pattern else None))
        group.tensors.append((pattern or name, name))
    made: dict[str, Group] = {}
    other_shape = []
    for group in groups.values():
        for target, shape in _shapes(group, shapes, model).items():
            made[target] = group
            if target not in wanted or shape != tuple(wanted[target].shape):
                expected = list(wanted[target].shape) if target in wanted else "nothing"
                other_shape.append(f"{target} should be {expected} and is {list(shape) if shape else 'not whole'}")
    known = model._keys_to_ignore_on_load_unexpected or set()
    ignored = re.compile("|".join([r"rotary_emb\.inv_freq", *known]))
    missing, tied, same = _tied(wanted, made)
    refuse(
        source,
        {
            "missing": missing,
            "unexpected": [name for name in unexpected if not ignored.search(name)],
            "of another shape": other_shape,
        },
    )
    return Plan(made, tied, same)


def refuse(source: str, wrong: Mapping[str, list[str]]) -> None:
    """Raise a `UserError` if there is any weight under any word ("missing", …)."""
    if any(wrong.values()):
        why = "; ".join(
            f"{len(names)} {'weights are' if len(names) > 1 else 'weight is'} {word} ({names[0]})"
            for word, names in wrong.items()
            if names
        )
        raise UserError(
            f"the checkpoint does not hold the model's weights: {why}",
            where=source,
            mend="Train from a whole checkpoint: weights that are not read would be random",
        )


def _shapes(group: Group, shapes: Mapping[str, Shape], model: Any) -> dict[str, Shape]:
    """What a group makes, tried with tensors that have shapes only; () for what can't be made."""
    if not group.is_whole():
        return {group.target: ()}
    try:
        made = group.make(lambda name: torch.empty(shapes[name], device="meta"), model)
    except (RuntimeError, ValueError, KeyError, IndexError):
        return {group.target: ()}
    return {name: tuple(value.shape) for name, value in made.items()}


def _tied(
    wanted: Mapping[str, torch.Tensor], made: Mapping[str, Group]
) -> tuple[list[str], dict[str, str], list[tuple[str, str]]]:
    """Parameters that nothing makes; name of a tied one that is not there → one that is; tensors that must be equal."""
    names: dict[int, list[str]] = {}
    for name, parameter in wanted.items():
        names.setdefault(id(parameter), []).append(name)
    missing, tied, same = [], {}, []
    for own in names.values():
        there = [n for n in own if n in made]
        if not there:
            missing.append(own[0])
            continue
        tied.update({n: there[0] for n in own if n not in made})
        same += [(made[there[0]].tensors[0][1], made[n].tensors[0][1]) for n in there[1:]]
    return missing, tied, same
