"""Byte-level BPE of a tokenizer.json, encoded by tiktoken: the ids of HF tokenizers, several times faster."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate, count, pairwise
from typing import Any

import numpy as np
import tiktoken
from numpy.typing import NDArray
from tokenizers import Tokenizer

CHECKED = """A page,

  naïve 3.14 ½ — “quotes” 你好，世界 हिन्दी العربية 😀👩👩👧 \t\tdef f(x):\r
        return {'a': x != 0x1F} \t


It's WE'LL they'd I'M don'T 1234567 a_b-c/d e@f.g <tag attr="v">&amp;</tag> ÅÇé ﬁ ² ١٢٣ ꙮ \u00a0\u2003\u3000end   """
"""Text on which the ids must be HF's before any are used."""
LOOKS_AHEAD = r"|\s+(?!\S)|"


class BytePairs:
    """An encoder of plain text without control tokens. Make it with `byte_pairs`."""

    def __init__(self, pattern: str, ranks: dict[bytes, int], ids: list[int], normalizes: bool) -> None:
        self._encoding = tiktoken.Encoding("student", pat_str=_grouped(pattern), mergeable_ranks=ranks, special_tokens={})
        self._ids = np.array(ids, dtype=np.uint32)
        self._sizes = np.zeros(max(ids) + 1, dtype=np.int64)
        self._sizes[[ids[rank] for rank in ranks.values()]] = list(map(len, ranks))
        self._normalizes = normalizes

    def encode(self, text: str) -> NDArray[np.uint32] | None:
        """Token ids, shape [tokens]; None where HF tokenizers must do it: text to be normalised, or white space without end."""
        if self._normalizes and not text.isascii() and not unicodedata.is_normalized("NFC", text):
            return None
        try:
            return self._ids[self._encoding.encode_to_numpy(text, disallowed_special=())]
        except ValueError:  # the expression ran out of stack
            return None

    def offsets(self, text: str, ids: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(starts, ends) of the tokens in characters, shape [tokens]; a token inside a character covers the whole of it."""
        ends = np.cumsum(self._sizes[ids])
        starts = ends - self._sizes[ids]
        if text.isascii():
            return starts, ends
        data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        character = np.cumsum((data & 0xC0) != 0x80) - 1
        return character[starts], character[ends - 1] + 1


def byte_pairs(spec: dict[str, Any], tokenizer: Tokenizer) -> BytePairs | None:
    """The encoder of a parsed tokenizer.json, or None where that is no plain byte-level BPE or would get other ids.

    Args:
        spec: without added tokens and post-processor.
        tokenizer: HF's, to compare with.
    """
    pattern = _pattern(spec.get("pre_tokenizer"))
    model, normalizer = spec.get("model") or {}, spec.get("normalizer")
    unusual = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    plain = not any(model.get(name) for name in unusual)
    if pattern is None or model.get("type") != "BPE" or not plain or (normalizer or {"type": "NFC"}) != {"type": "NFC"}:
        return None
    vocabulary, letters = model["vocab"], _letters()
    if any(letter not in vocabulary for letter in letters):
        return None
    names = list(dict.fromkeys(m.replace(" ", "") if isinstance(m, str) else "".join(m) for m in model["merges"]))
    tokens = _as_bytes(names, letters)
    if tokens is None:
        return None
    ids = [vocabulary[name] for name in (*letters, *names)]
    ranks = {bytes([value]): value for value in range(256)} | dict(zip(tokens, count(256), strict=False))
    made = BytePairs(pattern, ranks, ids, normalizer is not None)
    ours = made.encode(CHECKED)
    same = ours is not None and ours.tolist() == tokenizer.encode(CHECKED, add_special_tokens=False).ids
    return made if same else None


def _pattern(spec: dict[str, Any] | None) -> str | None:
    """The expression that cuts text into words, where it is one and bytes follow it."""
    parts = (spec or {}).get("pretokenizers") or []
    if (spec or {}).get("type") != "Sequence" or [p.get("type") for p in parts] != ["Split", "ByteLevel"]:
        return None
    cut, last = parts
    kept = cut.get("behavior") == "Isolated" and not cut.get("invert")
    if not kept or last.get("add_prefix_space") or last.get("use_regex", True):
        return None
    found: str | None = cut.get("pattern", {}).get("Regex")
    return found


def _grouped(pattern: str) -> str:
    """The same expression with its alternatives before the first that looks ahead in a group: tiktoken runs a group without
    look-around as one automaton, others one by one."""
    plain, ahead, rest = pattern.partition(LOOKS_AHEAD)
    return f"(?:{plain}){ahead}{rest}" if ahead and "(?=" not in plain and "(?!" not in plain else pattern


def _letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary: itself where it can be seen, else one from U+0100 on."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = iter(range(256, 512))
    return [chr(value if value in seen else next(hidden)) for value in range(256)]


def _as_bytes(names: Sequence[str], letters: Sequence[str]) -> list[bytes] | None:
    """The bytes that tokens stand for; None where one is written in other letters."""
    values = np.full(max(map(ord, letters)) + 1, -1, dtype=np.int16)
    values[[ord(letter) for letter in letters]] = range(256)
    written = np.frombuffer("".join(names).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    found = values[np.minimum(written, len(values) - 1)]
    if len(written) and (written.max() >= len(values) or found.min() < 0):
        return None
    data = found.astype(np.uint8).tobytes()
    return [data[start:end] for start, end in pairwise(accumulate(map(len, names), initial=0))]
