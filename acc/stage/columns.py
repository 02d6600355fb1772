"""Rows → Arrow, without pandas: pyarrow imports it, where it is installed, to convert any list of Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types


def from_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a record batch; a key that a row lacks is null. For the schema see `from_columns`."""
    return from_columns([[row.get(name) for row in rows] for name in schema.names], schema)


def from_columns(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Columns as a record batch.

    Args:
        schema: of strings, integers and booleans, and of lists and structs of such; only strings may be null.
    """
    return pa.RecordBatch.from_arrays([_column(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if types.is_struct(kind):
        return pa.StructArray.from_arrays([_column([v.get(f.name) for v in values], f.type) for f in kind], fields=list(kind))
    if types.is_list(kind):
        items = _column(list(chain.from_iterable(values)), kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [None, _ends(map(len, values), np.int32)], 0, children=[items])
    if types.is_string(kind) or types.is_large_string(kind):
        data = [b"" if v is None else v.encode() for v in values]
        ends = _ends(map(len, data), np.int64 if types.is_large_string(kind) else np.int32)
        nulls = values.count(None)
        valid = _bits([v is not None for v in values]) if nulls else None
        return pa.Array.from_buffers(kind, len(values), [valid, ends, pa.py_buffer(b"".join(data))], nulls)
    data = _bits(values) if types.is_boolean(kind) else pa.py_buffer(np.array(values, dtype=kind.to_pandas_dtype()))
    return pa.Array.from_buffers(kind, len(values), [None, data], 0)


def _ends(lengths: Iterable[int], kind: type[np.integer[Any]]) -> pa.Buffer:
    """0 and the running sum of lengths.

    Raises:
        OverflowError: it does not fit the type.
    """
    return pa.py_buffer(np.array([0, *accumulate(lengths)], dtype=kind))


def _bits(values: Sequence[bool]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(values, dtype=np.bool_), bitorder="little"))
