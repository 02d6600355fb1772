"""Servers that the recipe names: whether anything listens where the teacher and the evaluation will ask."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding
from acc.recipe import Recipe


def check(context: Context) -> list[Finding]:
    """Connect to each address once; nothing is sent. Not offline."""
    return [finding for where, url in _named(context.recipe) for finding in _server(context, where, url)]


def _named(recipe: Recipe) -> Iterator[tuple[str, str]]:
    teacher, server = recipe.rationale.teacher, recipe.evaluate.server
    if teacher is not None and (recipe.rationale.kind == "teacher" or recipe.quality.leakage != "off"):
        yield "rationale.teacher.base_url", teacher.base_url
    if server is not None and server.base_url is not None:
        yield "evaluate.server.base_url", server.base_url


def _server(context: Context, where: str, url: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme not in ("http", "https"):
        yield Finding("error", f"{url!r} is no address of a server", where, "Write it as http://host:port/v1")
    elif context.offline:
        yield Finding("note", f"whether anything answers at {url} was not asked", where)
    elif (failed := context.machine.connect(host, port)) is not None:
        yield Finding(
            "warning", f"nothing answers at {url} from here ({failed})", where, "Start it before the stage that asks it"
        )
