"""YAML is read as people mean it, and what is written is read back the same."""

from __future__ import annotations

import pytest
import yaml

from acc.recipe.yaml_places import Dumper, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:00:00", "12:00:00"), ("1:30", "1:30"), ("-1:30", "-1:30"), ("010", "010"), ("08", "08"), ("0", 0), ("-0", 0),
        ("65_536", 65_536), ("+7", 7), ("-7", -7), ("0x1F", 31), ("0o17", 15), ("0b101", 5), ("0x", "0x"), ("1_0.5", 10.5),
    ],
)  # fmt: skip
def test_numbers_are_decimal_or_say_their_base_and_times_are_text(text: str, value: int | float | str) -> None:
    read, _ = parse(text, str)
    assert (read, type(read)) == (value, type(value))
    assert parse(yaml.dump({"x": value}, Dumper=Dumper), str)[0] == {"x": value}, "and so it is when written and read again"
