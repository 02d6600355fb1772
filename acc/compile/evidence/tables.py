"""A table as text that reads well and reads back: `write_table` loses no cell, `read_tables` gives types and rows again.

    Columns:
    id INTEGER PRIMARY KEY
    owner INTEGER REFERENCES people(id)
    name TEXT

    All 2 rows:
    id | owner | name
    1 | 7 | Rex
    2 | NULL | "NULL"

Text stands bare unless that could be read as something else; then it stands in quotes, as JSON. Bytes stand as X'00FF'. What a
log shows of a table has the same shape without the care (`All rows:`), so it is read too, as far as it can be.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

import sqlglot
from sqlglot import exp

from acc.compile.evidence.queries import LONGEST, NO_SQL

Kind = Literal["integer", "real", "decimal", "boolean", "text", "any"]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("integer", re.compile(r"\b(?:TINY|SMALL|MEDIUM|BIG|HUGE|U)?INT(?:EGER|\d+)?\b|\b(?:SMALL|BIG)?SERIAL\b|\bYEAR\b")),
    ("real", re.compile(r"\b(?:REAL|FLOAT\d*|DOUBLE)\b")),
    ("decimal", re.compile(r"\b(?:DECIMAL|NUMERIC|NUMBER)\b")),
    ("boolean", re.compile(r"\bBOOL")),
    ("text", re.compile(r"CHAR(?:ACTER)?2?\b|CLOB\b|\b(?:TINY|MEDIUM|LONG|N|CI)?TEXT\b|\b(?:ENUM|SET|JSONB?|UUID)\b")),
)
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?")
_BYTES = re.compile(r"X'(?P<hex>(?:[0-9A-F]{2})*)'")
_ODD = re.compile(r"[|\x00-\x1f\x7f\x85\u2028\u2029]|\A[\"…]|\A\(no rows\)\Z|\ANULL\Z|\AX'")
_ALL = re.compile(r"All (?:(?P<count>\d+) )?rows?(?:, (?P<denied>\d+) columns? left out)?:")
_SOME = re.compile(r"(?P<shown>\d+) of (?P<count>\d+) rows(?:, \d+ columns? left out)?:")
_HEADING = re.compile(
    r"\n\n(?=Columns:\n|Schema:\n|Rows of |All (?:\d+ )?rows?\b|\d+ of \d+ rows\b|CREATE TABLE )", re.IGNORECASE
)
_KEYS = re.compile(r"\s*\b(?:PRIMARY KEY|REFERENCES|KEY|UNIQUE)\b.*")
_UNQUOTED = re.compile(r"[|\x7f\x85\u2028\u2029]")
_EMPTY = "(no rows)"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as the database names it ("" where unknown), whether it is part of the primary key, and what it
    refers to, as `table(column)`."""

    name: str
    type: str = ""
    key: bool = False
    refers: str = ""

    @property
    def kind(self) -> Kind:
        """What its cells are, from its type."""
        return next((kind for kind, pattern in _KINDS if pattern.search(self.type.upper())), "any")


@dataclass(slots=True)
class Shown:
    """What a piece shows of a table. `whole` says that it shows all of its rows (`denied` columns aside)."""

    name: str
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    whole: bool = False
    denied: int = 0


def write_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, denied: int = 0) -> str:
    """A whole table, less `denied` columns."""
    return _write(columns, _lines(columns, rows), f"All {_plural(len(rows), 'row')}", denied)


def write_cut(columns: Sequence[Column], rows: Sequence[tuple[int, Sequence[Any]]], total: int, *, denied: int = 0) -> str:
    """Rows of a longer table with their places in it (from 1, ascending); the gaps between them are marked."""
    lines: list[str] = []
    last = 0
    for (place, _), line in zip(rows, _lines(columns, [row for _, row in rows]), strict=True):
        lines += [_gap(place - last - 1)] * (place > last + 1)
        lines.append(line)
        last = place
    lines += [_gap(total - last)] * (total > last)
    return _write(columns, lines, f"{len(rows)} of {total} rows", denied)


def read_tables(name: str, text: str) -> list[Shown]:
    """What a piece named `name` shows of its table, one item a listing of rows; results of queries are none."""
    found: list[Shown] = []
    columns: list[Column] = []
    for block in _HEADING.split(text):
        heading, _, rest = block.partition("\n")
        if heading in ("Columns:", "Schema:"):
            columns = _read_columns(rest)
        elif heading[:12].upper() == "CREATE TABLE":
            columns = list(_read_create(block)) or columns
        elif (match := _ALL.fullmatch(heading)) is not None or (match := _SOME.fullmatch(heading)) is not None:
            shown = _read_rows(name, columns, rest)
            if match.re is _ALL:
                shown.denied = int(match["denied"] or 0)
                shown.whole = match["count"] is None or int(match["count"]) == len(shown.rows)
            found.append(shown)
    return found


def write_cell(value: Any, kind: Kind = "any") -> str:
    """A value of a column of this kind as text without line breaks."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if kind == "real" and value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"X'{bytes(value).hex().upper()}'"
    text = str(plain(value))
    bare = text and text == text.strip() and not _ODD.search(text) and read_cell(text, kind) == text
    if bare:
        return text
    return _UNQUOTED.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))


def read_cell(text: str, kind: Kind = "any") -> Any:
    """The inverse of `write_cell`: None, bool, int, float, Decimal, bytes or str (dates and times are text)."""
    if text == "NULL":
        return None
    if text[:1] == '"':
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, str) else text
    if (match := _BYTES.fullmatch(text)) is not None:
        return bytes.fromhex(match["hex"])
    if kind == "text":
        return text
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "decimal":
        return _decimal(text)
    if text in ("nan", "inf", "-inf") or (kind == "real" and _NUMBER.fullmatch(text)):
        return float(text)
    if _INTEGER.fullmatch(text):
        return int(text) if str(int(text)) == text else text
    if _NUMBER.fullmatch(text):
        return float(text) if kind != "any" or repr(float(text)) == text else text
    return text


def plain(value: Any) -> Any:
    """A value as a database without types of its own would hold it: dates, times, JSON and the like as text."""
    if value is None or isinstance(value, str | int | float | Decimal | bytes):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _clock(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _write(columns: Sequence[Column], lines: list[str], heading: str, denied: int) -> str:
    heading += f", {_plural(denied, 'column')} left out" if denied else ""
    names = " | ".join(write_cell(c.name, "text") for c in columns)
    return "\n".join(["Columns:", *map(_describe, columns), "", f"{heading}:", names, *(lines or [_EMPTY])])


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[str]:
    kinds = [c.kind for c in columns]
    return [" | ".join(map(write_cell, row, kinds)) for row in rows]


def _describe(column: Column) -> str:
    words = [write_cell(column.name, "text"), column.type, "PRIMARY KEY" if column.key else ""]
    return " ".join(w for w in [*words, f"REFERENCES {column.refers}" if column.refers else ""] if w)


def _read_columns(text: str) -> list[Column]:
    """Lines as `name type`; the name is a word or quoted until the header of the rows says where it ends."""
    found = []
    for line in text.split("\n"):
        if line.startswith('"') and (match := re.match(r'"(?:[^"\\]|\\.)*"', line)):
            name, rest = str(read_cell(match[0])), line[match.end() :].strip()
        else:
            name, _, rest = line.partition(" ")
        if name:
            found.append(Column(name, _KEYS.sub("", rest)))
    return found


@lru_cache(maxsize=256)
def _read_create(statement: str) -> Sequence[Column]:
    if len(statement) > LONGEST:
        return ()
    for dialect in ("mysql", "sqlite", "postgres"):
        try:
            tree = sqlglot.parse_one(statement, dialect=dialect)
        except NO_SQL:
            continue
        defined = [d for d in tree.find_all(exp.ColumnDef) if d.kind is not None]
        if defined:
            return tuple(Column(d.name, d.kind.sql(dialect=dialect, copy=False)) for d in defined if d.kind is not None)
    return ()


def _read_rows(name: str, columns: Sequence[Column], text: str) -> Shown:
    lines = text.split("\n")
    header = [str(read_cell(c, "text")) for c in lines[0].split(" | ")]
    known = {c.name.lower(): c for c in columns}
    ordered = _by_prefix(columns, header)
    if ordered is None and len(columns) == len(header) and not any(h.lower() in known for h in header):
        # The log names no columns above the rows, but the schema does.
        header, ordered = [c.name for c in columns], list(columns)
        lines.insert(0, "")
    ordered = ordered or [known.get(h.lower(), Column(h)) for h in header]
    kinds = [c.kind for c in ordered]
    rows = []
    for line in lines[1:]:
        cells = line.split(" | ")
        if line != _EMPTY and not line.startswith("… (") and len(cells) == len(kinds):
            rows.append([read_cell(cell, kind) for cell, kind in zip(cells, kinds, strict=True)])
    return Shown(name, [Column(h, c.type) for h, c in zip(header, ordered, strict=True)], rows)


def _by_prefix(columns: Sequence[Column], header: Sequence[str]) -> list[Column] | None:
    """The columns under the names of the header, None where it does not name them in order; names may hold spaces."""
    if len(columns) != len(header):
        return None
    found = []
    for column, name in zip(columns, header, strict=True):
        described = f"{column.name} {column.type}"
        if not described.startswith(f"{name} "):
            return None
        found.append(Column(name, _KEYS.sub("", described[len(name) + 1 :])))
    return found


def _decimal(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _clock(value: datetime.timedelta) -> str:
    """A span of time as SQL's TIME, which may be negative or longer than a day."""
    micros = abs(value) // datetime.timedelta(microseconds=1)
    seconds, rest = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return ("-" if value < datetime.timedelta() else "") + text + (f".{rest:06d}" if rest else "")


def _gap(count: int) -> str:
    return f"… ({_plural(count, 'row')} not shown)"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
