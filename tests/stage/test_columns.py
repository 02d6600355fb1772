"""Rows become the same Arrow that pyarrow makes of them, and pandas is left alone."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acc.stage.columns import from_columns, from_rows

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("text", pa.large_string()),
        ("number", pa.int64()),
        ("sure", pa.bool_()),
        ("words", pa.list_(pa.string())),
        ("parts", pa.list_(pa.struct([("text", pa.large_string()), ("start", pa.int64()), ("whole", pa.bool_())]))),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PART = st.fixed_dictionaries({"text": st.none() | TEXT, "start": st.integers(-(2**63), 2**63 - 1), "whole": st.booleans()})
ROW = st.fixed_dictionaries(
    {
        "text": TEXT,
        "number": st.integers(-(2**63), 2**63 - 1),
        "sure": st.booleans(),
        "words": st.lists(TEXT, max_size=3),
        "parts": st.lists(PART, max_size=3),
    },
    optional={"name": st.none() | TEXT},
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(ROW, max_size=12))
def test_rows_become_what_pyarrow_makes_of_them(rows: list[dict[str, object]]) -> None:
    made = from_rows(rows, SCHEMA)
    made.validate(full=True)
    assert made.equals(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


def test_columns_must_be_as_many_as_the_schemas() -> None:
    with pytest.raises(ValueError):
        from_columns([["a"]], SCHEMA)


def test_pandas_is_not_imported() -> None:
    code = (
        "import sys, pyarrow as pa; from acc.stage.columns import from_rows; "
        "from_rows([{'a': 'x', 'b': [1]}], pa.schema([('a', pa.string()), ('b', pa.list_(pa.int64()))])); "
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
