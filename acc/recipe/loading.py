"""YAML → Recipe: extends, --set, and every mistake with its file, line, field and the nearest right name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from acc.errors import UserError, UserErrors
from acc.recipe.schema import Recipe

Key = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """safe_load, but 1e-5 is a number (YAML 1.1 asks for 1.0e-5), `on` and `off` are words (as in YAML 1.2), a key given
    twice is an error, and there are no dates."""


_OTHERWISE = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    c: [(tag, pattern) for tag, pattern in found if tag not in _OTHERWISE]
    for c, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO)$"), list("tTfFyYnN")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*([eE][-+]?\d+)?|\.inf|\.nan)$"),
    list("-+.0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """safe_dump, but a text is quoted where `_Loader` would take it for something else, and nothing is a reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


@dataclass
class _Source:
    """A recipe as plain data, with the place of every key."""

    data: dict[str, Any]
    places: dict[Key, str] = field(default_factory=dict)

    def place(self, key: Key) -> str:
        """The nearest known place of a key: its own, or its parent's."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, "")


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Load a recipe from a YAML file.

    Args:
        path: the file. Relative paths in it are relative to its folder.
        overrides: "section.field=value" pairs, applied last; the value is read as YAML.

    Raises:
        UserError: the file is missing, is no YAML, or says something that the schema refuses. All mistakes at once.
    """
    source = _read(Path(path), ())
    for text in overrides:
        _override(source, text)
    return _validate(source, str(path)).in_folder(Path(path).parent)


def frozen(path: str | Path, overrides: Iterable[str] = ()) -> str:
    """A recipe as YAML that depends on no other file: what it extends and `--set` are in it, and paths mean what they meant.

    Raises:
        UserError: as `load_recipe`.
    """
    overrides = list(overrides)
    recipe, source = load_recipe(path, overrides), _read(Path(path), ())
    for text in overrides:
        _override(source, text)
    data = {**source.data, "paths_from": str(recipe.resolve("").resolve())}
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=128)


def recipe_from(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain data, with the same sentences for mistakes."""
    return _validate(_Source(dict(data)), where)


def places_of(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, str]:
    """Where a recipe that can be loaded sets its fields: dotted name → file and line, or the `--set` that does."""
    source = _read(Path(path), ())
    for text in overrides:
        _override(source, text)
    return {".".join(map(str, key)): place for key, place in source.places.items() if key}


def _read(path: Path, seen: tuple[Path, ...]) -> _Source:
    resolved = path.resolve()
    if resolved in seen:
        chain = " → ".join(p.name for p in (*seen, resolved))
        raise UserError(f"`extends` goes in a circle ({chain})", where=str(path), mend="Remove one of the extends")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise UserError("there is no such recipe", where=str(path), mend="Check the path; recipes/ holds examples") from e
    except IsADirectoryError as e:
        raise UserError("this is a folder, not a recipe", where=str(path), mend="Name a YAML file") from e
    except UnicodeDecodeError as e:
        raise UserError(f"byte {e.start} is not UTF-8", where=str(path), mend="Save the file as UTF-8") from e
    except OSError as e:
        raise UserError(f"it cannot be read ({e.strerror})", where=str(path)) from e
    source = _parse(text, str(path))
    base = source.data.pop("extends", None)
    if base is None:
        return source
    if not isinstance(base, str):
        raise UserError("`extends` takes one path", where=source.place(("extends",)), mend="Write extends: other.yaml")
    if not (path.parent / base).is_file():
        raise UserError(
            f"`extends` names {base}, which is not there",
            where=source.place(("extends",)),
            mend="Paths are relative to this file",
        )
    parent = _read(path.parent / base, (*seen, resolved))
    return _Source(_merge(parent.data, source.data), {**parent.places, **source.places})


def _parse(text: str, name: str) -> _Source:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        places: dict[Key, str] = {}
        if node is not None:
            _locate(node, (), name, places)
        data = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(
            f"this is not YAML ({e.problem or e.context})", where=f"{name}{line}", mend="Check indentation and quotes"
        ) from e
    except (yaml.YAMLError, ValueError) as e:
        raise UserError(f"this is not YAML ({str(e).splitlines()[0]})", where=name, mend="Check for odd characters") from e
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise UserError("a recipe is a mapping of sections", where=f"{name}:1", mend="Begin with `sources:`")
    return _Source(data, places)


def _locate(node: yaml.Node, key: Key, name: str, places: dict[Key, str]) -> None:
    """Note the line of every key; refuse a key given twice, which YAML would let the last one win in silence."""
    places.setdefault(key, f"{name}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for child, value in node.value:
            text = str(child.value)
            line = f"{name}:{child.start_mark.line + 1}"
            if text in seen:
                raise UserError(f"the key {text!r} is given twice", where=line, mend="Keep one of them")
            seen.add(text)
            places[*key, text] = line
            _locate(value, (*key, text), name, places)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _locate(value, (*key, i), name, places)


def _merge(base: Any, over: Any) -> Any:
    """Mappings are merged key by key; everything else, lists too, is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {k: _merge(base[k], over[k]) if k in base and k in over else over.get(k, base.get(k)) for k in {**base, **over}}
    return over


def _override(source: _Source, text: str) -> None:
    name, equals, value = text.partition("=")
    where = f"--set {text}"
    if not equals or not name.strip():
        raise UserError("this is not section.field=value", where=where, mend="Write --set train.learning_rate=2e-5")
    try:
        parsed = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as e:
        raise UserError("the value is not YAML", where=where, mend="Quote it") from e
    keys = name.strip().split(".")
    at: Any = source.data
    path: Key = ()
    for k in keys[:-1]:
        step: str | int = int(k) if isinstance(at, list) and k.isdigit() else k
        path = (*path, step)
        if isinstance(at, list):
            if not isinstance(step, int) or step >= len(at):
                raise UserError(f"{k!r} is no place in the list", where=where, mend=f"The list has {len(at)} items, from 0")
            at = at[step]
        elif isinstance(at, dict):
            if at.get(k) is None:
                at[k] = {}
            at = at[k]
        else:
            raise UserError(f"{'.'.join(map(str, path[:-1]))} is no section", where=where, mend="Check the name")
    last: str | int = keys[-1]
    if isinstance(at, list):
        if not keys[-1].isdigit() or int(keys[-1]) >= len(at):
            raise UserError(f"{keys[-1]!r} is no place in the list", where=where, mend=f"The list has {len(at)} items, from 0")
        last = int(keys[-1])
    elif not isinstance(at, dict):
        raise UserError(f"{'.'.join(keys[:-1])} is no section", where=where, mend="Check the name")
    at[last] = parsed
    source.places[*path, last] = where


def _validate(source: _Source, where: str) -> Recipe:
    try:
        return Recipe.model_validate(source.data)
    except ValidationError as e:
        errors = [_sentence(source, detail, where) for detail in e.errors(include_url=False)]
        raise errors[0] if len(errors) == 1 else UserErrors(errors) from None


def _sentence(source: _Source, detail: ErrorDetails, where: str) -> UserError:
    """One pydantic error as a sentence with file, line, field and mend."""
    # pydantic adds the name of a union's member to the path; only what stands in the data is a key of the user's.
    key: Key = ()
    at: Any = source.data
    for part in detail["loc"]:
        inside = (isinstance(at, dict) and part in at) or (isinstance(at, list) and isinstance(part, int) and part < len(at))
        if inside:
            at = at[part]
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        key = (*key, part)
    dotted = ".".join(map(str, key))
    place = " ".join(x for x in (source.place(key) or where, dotted) if x)
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        names = _fields(key[:-1])
        near = difflib.get_close_matches(str(key[-1]), names, n=1, cutoff=0.5)
        mend = f"Did you mean {near[0]!r}" if near else f"Known here: {', '.join(sorted(names))}"
        return UserError(f"there is no field {key[-1]!r}", where=place, mend=mend)
    if kind == "missing":
        return UserError(f"{key[-1]!r} is missing", where=place, mend=f"Add it{_hint(key)}")
    if kind == "value_error":
        return UserError(str(detail["ctx"]["error"]), where=place)
    if kind == "literal_error":
        near = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", str(detail["ctx"]["expected"])), n=1, cutoff=0.5)
        mend = f"Did you mean {near[0]!r}" if near else "Take one of them"
        return UserError(f"{given!r} is none of {detail['ctx']['expected']}", where=place, mend=mend)
    shown = repr(given) if not isinstance(given, dict | list) else f"a {'mapping' if isinstance(given, dict) else 'list'}"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    return UserError(f"{shown} does not fit: {message}", where=place, mend=f"Change it{_hint(key)}")


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
