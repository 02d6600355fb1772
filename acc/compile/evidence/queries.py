"""SQL in tool calls → which tables and columns it names and what its result shows of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from acc.trajectories.record import ToolCall

Kind = Literal["rows", "columns", "tables", "other"]

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of every statement it keeps as a bare command

ARGUMENTS = ("sql", "query", "sql_query", "statement", "command", "code", "action", "input")
DIALECTS = ("mysql", "sqlite", "postgres", "snowflake", "bigquery", "tsql")
_BEGINS = re.compile(
    r"\s*(?:select|with|show|desc|describe|explain|pragma|insert|update|delete|create|drop|alter|use|values)\b", re.IGNORECASE
)
_WRAPPED = re.compile(r"\A\s*(?:execute|sql|query)\[(?P<sql>.*)\]\s*\Z", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"\A\s*```(?:\w*)\n?(?P<sql>.*?)\n?```\s*\Z", re.DOTALL)
_NAME = r"[`\"'\[]?(?P<table>[\w.$]+)[`\"'\]]?"
_DESCRIBES = re.compile(
    rf"\s*(?:desc(?:ribe)?(?:\s+table)?\s+|show\s+(?:full\s+)?(?:columns|fields|create\s+table)\s+(?:from\s+|in\s+)?"
    rf"|pragma\s+table_x?info\s*\(\s*|explain\s+(?!select|with)){_NAME}",
    re.IGNORECASE,
)
_LISTS = re.compile(
    r"\s*(?:show\s+(?:full\s+)?(?:tables|databases|schemas)|pragma\s+table_list|use\b)"
    r"|.*\b(?:from|join)\s+(?:sqlite_master|sqlite_schema|information_schema\.tables)\b",
    re.IGNORECASE | re.DOTALL,
)


CATALOGUES = {"information_schema", "pg_catalog", "performance_schema", "sys"}
_CATALOGUE_TABLES = {"sqlite_master", "sqlite_schema", "sqlite_temp_master"}
LONGEST = 20_000
"""A statement with more characters is data, not a question: it is not parsed, which would take seconds."""
_WRITES = re.compile(
    rf"\s*(?:create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:table|view)\s+(?:if\s+not\s+exists\s+)?"
    rf"|(?:insert|replace)\s+(?:\w+\s+){{0,3}}?into\s+|update\s+|delete\s+from\s+|alter\s+table\s+){_NAME}",
    re.IGNORECASE,
)
_KEPT = 256
"""Statements kept parsed: a run's are looked at from several sides."""
NO_SQL = (SqlglotError, RecursionError, ValueError, LookupError, AttributeError, TypeError)
"""What sqlglot raises over a text that is no SQL; the last three are slips of its own."""
_FOLLOWED = {"FROM", "JOIN", "STRAIGHT_JOIN"}


@dataclass(frozen=True, slots=True)
class Name:
    """A table as a statement names it; `schema` is "" where it names none."""

    table: str
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that an agent sent.

    `tables` are the tables it names in order of appearance, without CTEs; `columns` the names of the result's columns, [] where
    they can't be told; `entire` says that the result is a whole table (`SELECT * FROM t`).
    """

    sql: str
    kind: Kind
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    entire: bool = False


def sql_of(call: ToolCall) -> str:
    """The SQL that a call sends, or "" where it sends none."""
    for key in ARGUMENTS:
        value = call.arguments.get(key)
        if isinstance(value, str):
            match = _WRAPPED.match(value) or _FENCE.match(value)
            sql = (match["sql"] if match else value).strip().rstrip(";").strip()
            if _BEGINS.match(sql):
                return sql
    return ""


@lru_cache(maxsize=_KEPT)
def parse_query(sql: str) -> Query | None:
    """What a statement asks; None where no dialect parses it."""
    flat = " ".join(sql.split())
    if (match := _DESCRIBES.match(flat)) is not None:
        return Query(flat, "columns", (match["table"],))
    if _LISTS.match(flat):
        return Query(flat, "tables")
    tree = parse_statement(sql)
    if tree is None:
        return None
    if not isinstance(tree, exp.Query):
        return Query(flat, "other", _tables(tree))
    return Query(flat, "rows", _tables(tree), _columns(tree), _is_entire(tree))


@lru_cache(maxsize=_KEPT)
def selected_tables(sql: str) -> tuple[Name, ...]:
    """The tables that a SELECT names, or several one after the other; () for any other statement. Tables about tables are none.

    Where no dialect parses it, the names after FROM and JOIN are taken: they are looked up, never run.
    """
    if len(sql) > LONGEST or _DESCRIBES.match(flat := " ".join(sql.split())) or _LISTS.match(flat):
        return ()
    for dialect in DIALECTS:
        trees = _parsed(sql, dialect)
        if not trees or any(isinstance(tree, exp.Command) for tree in trees):
            continue
        named = [name for tree in trees if isinstance(tree, exp.Query) for name in names_in(tree)]
        return tuple(name for name in dict.fromkeys(named) if not is_catalogue(name))
    return tuple(name for name in _names_after_from(sql) if not is_catalogue(name))


def written_tables(sql: str) -> list[Name]:
    """The tables that a statement makes, fills or changes; [] for a SELECT."""
    if len(sql) > LONGEST:
        written = _WRITES.match(sql)
        return [Name(*reversed(written["table"].rpartition(".")[::2]))] if written else []
    tree = parse_statement(sql)
    if not isinstance(tree, exp.Create | exp.Insert | exp.Update | exp.Delete | exp.Alter):
        return []
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    return [Name(target.name, target.db)] if isinstance(target, exp.Table) else []


def is_catalogue(name: Name) -> bool:
    """Whether a table is the database's own, about its tables."""
    return name.schema.lower() in CATALOGUES or name.table.lower() in _CATALOGUE_TABLES


def names_in(tree: exp.Expression | exp.Query) -> list[Name]:
    """The tables of a parsed statement in the order of its text, without CTEs, each once."""
    own = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    # A walk in the order of the text: breadth first would name a subquery's tables late.
    names = [Name(t.name, t.db) for t in tree.find_all(exp.Table, bfs=False) if t.name and not _is_cte(t, own)]
    first: dict[tuple[str, str], Name] = {}
    for name in names:
        first.setdefault((name.schema.lower(), name.table.lower()), name)
    return list(first.values())


@lru_cache(maxsize=_KEPT)
def parse_statement(sql: str, dialect: str | None = None) -> exp.Expression | None:
    """A single statement as a tree, not to be changed; None where no dialect (or not this one) parses it, or it is LONGEST."""
    if len(sql) > LONGEST:
        return None
    for known in DIALECTS if dialect is None else (dialect,):
        trees = _parsed(sql, known)
        if len(trees) == 1 and isinstance(trees[0], exp.Expression) and not isinstance(trees[0], exp.Command):
            return trees[0]
    return None


@lru_cache(maxsize=_KEPT)
def _parsed(sql: str, dialect: str) -> Sequence[exp.Expr | None]:
    """The statements of a text in one dialect, None for an empty one; [] where it does not parse."""
    try:
        return sqlglot.parse(sql, dialect=dialect)
    except NO_SQL:
        return []


def _tables(tree: exp.Expression) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for name in names_in(tree):
        first.setdefault(name.table.lower(), name.table)
    return tuple(first.values())


def _is_cte(table: exp.Table, own: set[str]) -> bool:
    """Whether a name is a CTE's. Inside the CTE of that name it is the table's, unless the CTE is recursive."""
    if table.db or table.name.lower() not in own:
        return False
    inside = table.find_ancestor(exp.CTE)
    if inside is None or inside.alias_or_name.lower() != table.name.lower():
        return True
    return inside.parent is not None and bool(inside.parent.args.get("recursive"))


def _names_after_from(sql: str) -> list[Name]:
    try:
        tokens = sqlglot.tokenize(sql, dialect="mysql")
    except NO_SQL:
        return []
    words = [token.text for token in tokens]
    found = []
    for i, word in enumerate(words[:-1]):
        if word.upper() in _FOLLOWED and re.fullmatch(r"\w+", words[i + 1]):
            dotted = words[i + 2 : i + 3] == ["."] and i + 3 < len(words)
            found.append(Name(words[i + 3], words[i + 1]) if dotted else Name(words[i + 1]))
    return list(dict.fromkeys(found))


def _columns(tree: exp.Query) -> tuple[str, ...]:
    names = []
    for selected in tree.selects:
        if selected.is_star:
            return ()
        named = selected.alias or (selected.name if isinstance(selected, exp.Column) else "")
        names.append(named or selected.sql(dialect="mysql"))
    return tuple(names)


def _is_entire(tree: exp.Query) -> bool:
    if not isinstance(tree, exp.Select) or not tree.is_star or len(tree.selects) != 1:
        return False
    return not any(
        tree.args.get(k) for k in ("where", "limit", "offset", "group", "having", "joins", "distinct", "with", "with_")
    )
