"""What pydantic refuses in a recipe, as sentences with file, line, field, the nearest right name and the mend."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from acc.errors import UserError
from acc.recipe.schema import Recipe
from acc.recipe.yaml_places import Key


@dataclass
class Located:
    """A recipe as plain data, with the place of every key, in the order in which they were set: what is extended, the file,
    `--set`."""

    data: dict[str, Any]
    places: dict[Key, str] = field(default_factory=dict)

    def place(self, key: Key) -> str:
        """The nearest known place of a key: its own, or its parent's."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, "")


def sentences(recipe: Located, error: ValidationError, where: str) -> list[UserError]:
    """The mistakes that pydantic found.

    Args:
        where: the place of what has no other.
    """
    found = []
    for detail in error.errors(include_url=False):
        key = _key(recipe.data, detail)
        if detail["type"] == "value_error":
            found += [_said(recipe, key, line, where) for line in str(detail["ctx"]["error"]).splitlines()]
        else:
            found.append(_refused(key, detail, _where(recipe, key, where)))
    return found


def _key(data: Any, detail: ErrorDetails) -> Key:
    """The user's key that an error is about: pydantic puts the names of a union's members into its path, which are none."""
    key: Key = ()
    for part in detail["loc"]:
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        key = (*key, part)
    return key


def _where(recipe: Located, key: Key, where: str) -> str:
    return " ".join(x for x in (recipe.place(key) or where, ".".join(map(str, key))) if x)


def _refused(key: Key, detail: ErrorDetails, where: str) -> UserError:
    """A mistake that pydantic itself finds: a name, a type, a choice, a range."""
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        names = _fields(key[:-1])
        near = difflib.get_close_matches(str(key[-1]), names, n=1, cutoff=0.5)
        mend = f"Did you mean {near[0]!r}" if near else f"Known here: {', '.join(sorted(names))}"
        return UserError(f"there is no field {key[-1]!r}", where=where, mend=mend)
    if kind == "missing":
        return UserError(f"{key[-1]!r} is missing", where=where, mend=f"Add it{_hint(key)}")
    if kind == "literal_error":
        near = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", str(detail["ctx"]["expected"])), n=1, cutoff=0.5)
        mend = f"Did you mean {near[0]!r}" if near else "Take one of them"
        return UserError(f"{given!r} is none of {detail['ctx']['expected']}", where=where, mend=mend)
    shown = repr(given) if not isinstance(given, dict | list) else f"a {'mapping' if isinstance(given, dict) else 'list'}"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    verb = "Quote it" if kind == "string_type" and isinstance(given, int | float) else "Change it"
    return UserError(f"{shown} does not fit: {message}", where=where, mend=f"{verb}{_hint(key)}")


def _said(recipe: Located, key: Key, line: str, where: str) -> UserError:
    """A line of one of our validators, "what is wrong. Mend". Of the fields that it names the one set last is the place: what
    a file or `--set` says over another is where to look first."""
    what, _, mend = line.partition(". ")
    named = _named(what, key)
    named = [name for name in named if name[: len(key)] == key] or named  # a section's line is about its own fields
    if known := [name for name in named if name in recipe.places]:
        order = list(recipe.places)
        key = max(known, key=order.index)
    elif named and not key:
        key = named[0]
    return UserError(what.removeprefix(f"{'.'.join(map(str, key))}: "), where=_where(recipe, key, where), mend=mend)


def _named(what: str, key: Key) -> list[Key]:
    """The fields that a sentence names: dotted from the top, in `backticks` from `key`, or as its first word a section."""
    dotted = [name for name in re.findall(r"[a-z_]+(?:\.\w+)+", what) if name.split(".")[0] in Recipe.model_fields]
    found = [_split(name) for name in dotted] + [(*key, *_split(name)) for name in re.findall(r"`([\w.]+)`", what)]
    first = re.match(r"'?(\w+)", what)
    return found or ([(first[1],)] if first and first[1] in Recipe.model_fields else [])


def _split(name: str) -> Key:
    return tuple(int(part) if part.isdecimal() else part for part in name.split("."))


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for arg in get_args(annotation):
        yield from _models(arg)


def _section(key: Key) -> type[BaseModel] | None:
    """The section class at a path of the recipe."""
    model: type[BaseModel] | None = Recipe
    for part in key:
        if isinstance(part, int):
            continue
        info = model.model_fields.get(part) if model else None
        model = next(iter(_models(info.annotation)), None) if info else None
    return model


def _fields(key: Key) -> list[str]:
    model = _section(key)
    return ["extends", *model.model_fields] if model is Recipe else list(model.model_fields) if model else []


def _hint(key: Key) -> str:
    """What the field means, from its docstring."""
    model = _section(key[:-1])
    info = model.model_fields.get(str(key[-1])) if model and key else None
    return f" ({info.description.split(chr(10))[0].rstrip('.')})" if info and info.description else ""
