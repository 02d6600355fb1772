"""The fast encoder gives the ids and offsets of HF tokenizers, or leaves the text to them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from acc.chat.bytepairs import BytePairs, byte_pairs
from acc.chat.tokens import ControlledTokenizer

TINY = Path(__file__).parents[2] / "acc" / "synth" / "tiny_base" / "tokenizer.json"


def both(path: Path) -> tuple[BytePairs, Tokenizer]:
    spec = json.loads(path.read_text(encoding="utf-8")) | {"added_tokens": [], "post_processor": None}
    slow = Tokenizer.from_str(json.dumps(spec))
    fast = byte_pairs(spec, slow)
    assert fast is not None
    return fast, slow


@pytest.fixture(scope="module")
def tiny() -> tuple[BytePairs, Tokenizer]:
    return both(TINY)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_has_the_same_ids_and_offsets(tiny: tuple[BytePairs, Tokenizer], text: str) -> None:
    fast, slow = tiny
    ids = fast.encode(text)
    if ids is None:
        return  # not in normal form C: HF tokenizers encode it
    expected = slow.encode(text, add_special_tokens=False)
    assert ids.tolist() == expected.ids
    assert list(zip(*(o.tolist() for o in fast.offsets(text, ids)), strict=True)) == expected.offsets


def test_text_that_is_to_be_normalised_or_breaks_the_expression_is_left_to_hf(tiny: tuple[BytePairs, Tokenizer]) -> None:
    fast, slow = tiny
    for text in ("cafe\u0301", "x" + " " * 1_000_000 + "x"):
        assert fast.encode(text) is None
        tokenizer = ControlledTokenizer(TINY)
        assert tokenizer.encode(text)[1].ids == slow.encode(text, add_special_tokens=False).ids


@pytest.mark.data
def test_every_character_has_the_same_ids_in_qwen3s_tokenizer() -> None:
    data = os.environ.get("ACC_TEST_DATA")
    if not data:
        pytest.skip("ACC_TEST_DATA names no folder with Qwen3's tokenizer")
    fast, slow = both(Path(data) / "tokenizers" / "qwen3" / "tokenizer.json")
    for first in (*range(0, 0x3100, 64), *range(0xA000, 0xAC00, 64), *range(0x1D400, 0x1FB00, 64)):
        text = "".join(f"a{c}b {c} '{c}1{c}\n" for c in map(chr, range(first, first + 64)) if not "\ud800" <= c <= "\udfff")
        if text and (ids := fast.encode(text)) is not None:
            assert ids.tolist() == slow.encode(text, add_special_tokens=False).ids, hex(first)


def test_other_tokenizers_are_left_to_hf() -> None:
    spec = json.loads(TINY.read_text(encoding="utf-8"))
    slow = Tokenizer.from_file(str(TINY))
    for change in ({"normalizer": {"type": "Lowercase"}}, {"pre_tokenizer": {"type": "Whitespace"}}):
        assert byte_pairs({**spec, **change}, slow) is None
    assert byte_pairs({**spec, "model": {**spec["model"], "merges": spec["model"]["merges"][::-1]}}, slow) is None


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from(" \n\r\t\u00a0\u3000a1.'é你"), max_size=60))
def test_white_space_is_cut_as_hf_cuts_it(tiny: tuple[BytePairs, Tokenizer], text: str) -> None:
    fast, slow = tiny
    ids = fast.encode(text)
    assert ids is not None
    assert ids.tolist() == slow.encode(text, add_special_tokens=False).ids
