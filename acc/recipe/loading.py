"""YAML → Recipe: extends, --set, and every mistake with its file, line, field and the nearest right name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from acc.errors import UserError, UserErrors
from acc.recipe.mistakes import Located, sentences
from acc.recipe.schema import Recipe
from acc.recipe.yaml_places import Dumper, Key, parse


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
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=128)


def recipe_from(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain data, with the same sentences for mistakes."""
    return _validate(Located(dict(data)), where)


def places_of(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, str]:
    """Where a recipe that can be loaded sets its fields: dotted name → file and line, or the `--set` that does."""
    source = _read(Path(path), ())
    for text in overrides:
        _override(source, text)
    return {".".join(map(str, key)): place for key, place in source.places.items() if key}


def _read(path: Path, seen: tuple[Path, ...]) -> Located:
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
    data, places = parse(text, lambda line: f"{path}:{line}")
    if not isinstance(data, dict | None):
        raise UserError("a recipe is a mapping of sections", where=f"{path}:1", mend="Begin with `sources:`")
    source = Located(data or {}, places)
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
    return _over(_read(path.parent / base, (*seen, resolved)), source)


def _over(base: Located, over: Located) -> Located:
    """A recipe over the one that it extends. Of what it replaces whole no place stays."""
    replaced = {key for key in over.places if key and not isinstance(_at(over.data, key), dict)}
    kept = {
        key: place
        for key, place in base.places.items()
        if key not in over.places and not any(key[:n] in replaced for n in range(1, len(key)))
    }
    return Located(_merge(base.data, over.data), {**kept, **over.places})


def _at(data: Any, key: Key) -> Any:
    for part in key:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _merge(base: Any, over: Any) -> Any:
    """Mappings are merged key by key; everything else, lists too, is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {k: _merge(base[k], over[k]) if k in base and k in over else over.get(k, base.get(k)) for k in {**base, **over}}
    return over


def _override(source: Located, text: str) -> None:
    name, equals, value = text.partition("=")
    where = f"--set {text}"
    if not equals or not name.strip():
        raise UserError("this is not section.field=value", where=where, mend="Write --set train.learning_rate=2e-5")
    parsed, inside = parse(value, lambda _: where)
    keys = name.strip().split(".")
    at: Any = source.data
    path: Key = ()
    for k in keys[:-1]:
        step: str | int = int(k) if isinstance(at, list) and k.isdecimal() else k
        path = (*path, step)
        if isinstance(at, list):
            if not isinstance(step, int) or step >= len(at):
                raise UserError(f"{k!r} is no place in the list", where=where, mend=f"The list has {len(at)} items, from 0")
            at = at[step]
        elif isinstance(at, dict):
            if at.get(k) is None:
                at[k] = {}
                source.places[path] = where
            at = at[k]
        else:
            raise UserError(f"{'.'.join(map(str, path[:-1]))} is no section", where=where, mend="Check the name")
    last: str | int = keys[-1]
    if isinstance(at, list):
        if not keys[-1].isdecimal() or int(keys[-1]) >= len(at):
            raise UserError(f"{keys[-1]!r} is no place in the list", where=where, mend=f"The list has {len(at)} items, from 0")
        last = int(keys[-1])
    elif not isinstance(at, dict):
        raise UserError(f"{'.'.join(keys[:-1])} is no section", where=where, mend="Check the name")
    at[last] = parsed
    path = (*path, last)
    kept = {key: place for key, place in source.places.items() if key[: len(path)] != path}
    source.places = {**kept, path: where, **{(*path, *key): place for key, place in inside.items()}}


def _validate(source: Located, where: str) -> Recipe:
    try:
        return Recipe.model_validate(source.data)
    except ValidationError as e:
        errors = sentences(source, e, where)
        raise errors[0] if len(errors) == 1 else UserErrors(errors) from None
