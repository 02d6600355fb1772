"""YAML as recipes have it, read with the place of every key, and written so that it is read back the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.reader import ReaderError

from acc.errors import UserError

Key = tuple[str | int, ...]
"""The names and numbers that lead to a value."""


class Loader(yaml.SafeLoader):
    """safe_load, but as in YAML 1.2 `on` and `off` are words, 12:00:00 is text and no number to base 60, and 1e-5 is a number;
    a key given twice is an error, and there are no dates. 010 is text: eight in YAML 1.1, ten in 1.2, or a commit."""


_OTHERWISE = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "timestamp")}
Loader.yaml_implicit_resolvers = {
    c: [(tag, pattern) for tag, pattern in found if tag not in _OTHERWISE]
    for c, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO)$"), list("tTfFyYnN")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*([eE][-+]?\d+)?|\.inf|\.nan)$"),
    list("-+.0123456789"),
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0|[1-9][\d_]*|0x[\da-fA-F_]*[\da-fA-F]|0o[0-7_]*[0-7]|0b[01_]*[01])$", re.ASCII),
    list("-+0123456789"),
)


class Dumper(yaml.SafeDumper):
    """safe_dump, but a text is quoted where `Loader` would take it for something else, and nothing is a reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def parse(text: str, place: Callable[[int], str]) -> tuple[Any, dict[Key, str]]:
    """The value of a YAML document, None where it is empty, and the place of every key in it.

    Args:
        place: how a line (from 1) is called.

    Raises:
        UserError: this is no YAML, a key is given twice, or something is nested in itself.
    """
    places: dict[Key, str] = {}
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, places
            _locate(node, (), place, places, ())
            return loader.construct_document(node), places
        finally:
            loader.dispose()
    except ReaderError as e:
        line = place(text.count("\n", 0, e.position) + 1)
        raise UserError(f"this is not YAML (the character #x{ord(text[e.position]):04x})", where=line, mend="Remove it") from e
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = place(mark.line + 1 if mark else 1)
        raise UserError(f"this is not YAML ({e.problem or e.context})", where=line, mend="Check indentation and quotes") from e
    except RecursionError as e:
        raise UserError("this is nested too deeply for a recipe", where=place(1), mend="Check its brackets") from e
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as e:  # what its own tags (!!int x) end in
        raise UserError(f"this is not YAML ({e!r})", where=place(1), mend="Check its tags and odd characters") from e


def _locate(node: yaml.Node, key: Key, place: Callable[[int], str], places: dict[Key, str], above: tuple[int, ...]) -> None:
    """Note the place of every key; refuse a key given twice, which YAML would let the last one win in silence.

    Args:
        above: the nodes that this one is in, by their id.
    """
    if id(node) in above:
        line = place(node.start_mark.line + 1)
        raise UserError("an alias here names what it is in itself", where=line, mend="Write out what is meant by it")
    places.setdefault(key, place(node.start_mark.line + 1))
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for child, value in node.value:
            text = str(child.value)
            line = place(child.start_mark.line + 1)
            if text in seen:
                raise UserError(f"the key {text!r} is given twice", where=line, mend="Keep one of them")
            seen.add(text)
            places[*key, text] = line
            _locate(value, (*key, text), place, places, above)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _locate(value, (*key, i), place, places, above)
