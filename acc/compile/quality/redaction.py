"""Redaction: secrets and personal data give way to surrogates, one a value over all the texts of a sample."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from acc.compile.quality.personal import find_personal
from acc.compile.quality.secrets import Hit, find_private_keys, find_secrets
from acc.compile.quality.surrogates import surrogate

PERSONAL = ("email", "phone", "card", "iban", "ssn")
"""The kinds of personal data; every other kind is a secret."""

# Clues to a value: literals (between spaces) of which one stands in it, and a part of it. The parts are short, without Unicode
# classes and long repeats, which would make RE2 build its states anew over and over; and none goes over the end of a line.
_SECRETS = (
    ("AKIA ASIA ABIA ACCA", r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{4}"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{4}"),
    ("github_pat_", r"github_pat_"),
    ("glpat- gldt- glrt- glptt-", r"gl(?:pat|dt|rt|ptt)-"),
    ("xox", r"xox[abeoprs]-"),
    ("hooks.slack", r"hooks\.slack"),
    ("k_live_", r"k_live_"),
    ("sk-", r"sk-(?:ant|proj|svcacct|admin|or)-|sk-[A-Za-z0-9]{8}"),
    ("AIza", r"AIza[A-Za-z0-9_-]{4}"),
    ("GOCSPX-", r"GOCSPX-"),
    ("ya29.", r"ya29\."),
    ("hf_", r"hf_[A-Za-z0-9]{6}"),
    ("npm_", r"npm_[A-Za-z0-9]{6}"),
    ("pypi-", r"pypi-[A-Za-z0-9_-]{6}"),
    ("gsk_", r"gsk_[A-Za-z0-9]{4}"),
    ("tvly-", r"tvly-"),
    ("dckr_pat_", r"dckr_pat_"),
    ("_v1_", r"do[opr]_v1_"),
    ("dapi", r"dapi[0-9a-f]{6}"),
    ("shp", r"shp(?:at|ca|pa|ss)_"),
    ("SG.", r"SG\.[A-Za-z0-9_-]{6}"),
    ("SK", r"SK[0-9a-f]{6}"),
    (":AA", r":AA[A-Za-z0-9_-]{6}"),
    ("eyJ", r"eyJ[A-Za-z0-9_-]{6}"),
    ("Key=", r"A(?:ccount|ccess)Key="),
    ("earer EARER", r"(?:[bB]earer|BEARER)[ \\]"),
    ("ecret ECRET", r"(?:[sS]ecret|SECRET)_?(?:[aA]ccess|ACCESS)?_?(?:[kK]ey|KEY)"),
    ("://", r"://[!-.0-?A-~]+@"),
    ("PRIVATE", r"PRIVATE KEY"),
)
_PERSONAL = (
    ("@", r"[A-Za-z0-9_+'-]@[A-Za-z0-9-]+\.[A-Za-z]"),
    ("+", r"\+[1-9][0-9 .()-]{6}"),
    ("", r"[2-9][0-9]{2}[-.)][ -]?[2-9][0-9]{2}[-. ][0-9]{4}"),
    ("", r"[0-9]{3}-[0-9]{2}-[0-9]{4}"),
    ("", r"(?:[2456][0-9]{3}[ -]?[0-9]{4}|3[47][0-9]{2}[ -]?[0-9]{4})[ -]?[0-9]{4}"),
    ("", r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4} ?[A-Z0-9]{3}"),
)
SHORT = 16_000
"""A text of fewer characters is looked through for the clues one by one: RE2 would take longer to build its expression."""


@dataclass(slots=True)
class Redacted:
    """The texts after redaction.

    `counts` are values by kind (`secret_github`, `personal_email`…); `touched` the indexes of the texts that changed; `refused`
    the kind of a secret where secrets reject a sample, else "".
    """

    texts: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    touched: set[int] = field(default_factory=set)
    refused: str = ""


class Redactor:
    """Finds and replaces secrets and personal data.

    Args:
        secrets: redact them, reject the sample (`Redacted.refused`), or leave them.
        personal: redact it, or leave it.
    """

    def __init__(self, secrets: Literal["redact", "reject", "off"], personal: Literal["redact", "off"]) -> None:
        self.secrets, self.personal = secrets, personal
        clues = [*_SECRETS * (secrets != "off"), *_PERSONAL * (personal != "off")]
        self._filter = "|".join(pattern for _, pattern in clues)
        self._clues = [(literals.split() or [""], re.compile(pattern)) for literals, pattern in clues]

    def redact(self, texts: Sequence[str]) -> Redacted:
        """Redact the texts of one sample together; a value has one surrogate in all of them.

        What a value becomes depends on the value alone, save where two values would get one surrogate.
        """
        out = Redacted(list(texts))
        if not self._filter:
            return out
        whole = _encodable("\n".join(texts))
        hits = list(self._hits(whole))
        full = {(h.kind, h.normal) for h in hits if not h.weak}
        if not full:
            return out
        out.counts.update(f"{'personal' if kind in PERSONAL else 'secret'}_{kind}" for kind, _ in full)
        secrets = sorted({kind for kind, _ in full} - set(PERSONAL))
        if self.secrets == "reject" and secrets:
            out.refused = secrets[0]
            return out
        turns = _assign(full, whole)
        spans = sorted(
            {*(h for h in hits if (h.kind, h.normal) in full), *_again(hits, whole)}, key=lambda h: (h.start, -h.end, h.kind)
        )
        ends = list(accumulate(len(text) + 1 for text in texts))
        for n, found in groupby(spans, key=lambda h: bisect_right(ends, h.start)):
            out.texts[n] = _replaced(texts[n], ends[n] - len(texts[n]) - 1, found, turns)
            out.touched.add(n)
        return out

    def _hits(self, text: str) -> Iterator[Hit]:
        """The hits in a text. RE2 goes over all its lines at once; only those that it lets through are looked at closely."""
        if len(text) < SHORT and not self._holds_clue(text):
            return
        lines = text.split("\n")
        passed = pc.indices_nonzero(pc.match_substring_regex(_lines(text), self._filter)).to_pylist()
        if passed:
            starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
            for n in passed:
                for hit in self._in_line(lines[n]):
                    yield hit._replace(start=hit.start + starts[n], end=hit.end + starts[n])
        if self.secrets != "off":
            yield from find_private_keys(text)

    def _holds_clue(self, text: str) -> bool:
        return any(any(word in text for word in words) and clue.search(text) for words, clue in self._clues)

    def _in_line(self, line: str) -> Iterator[Hit]:
        if self.secrets != "off":
            yield from find_secrets(line)
        if self.personal != "off":
            yield from find_personal(line)


def _lines(text: str) -> pa.LargeStringArray:
    """The lines of a text, each with its line break."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    ends = np.concatenate([[0], np.flatnonzero(data == ord("\n")) + 1, [len(data)]]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


def _encodable(text: str) -> str:
    """Lone surrogates, which JSON may hold and UTF-8 may not, as question marks: the length stays."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _assign(values: set[tuple[str, str]], text: str) -> dict[tuple[str, str], int]:
    """Value → the turn that gives it a surrogate of its own, which the text does not hold already."""
    taken = set(re.findall(r"user\d+@example\.com", text))
    turns: dict[tuple[str, str], int] = {}
    for kind, normal in sorted(values):
        turn = 0
        while (made := surrogate(kind, normal, normal, turn=turn)) in taken:
            turn += 1
        taken.add(made)
        turns[kind, normal] = turn
    return turns


def _again(hits: Sequence[Hit], text: str) -> Iterator[Hit]:
    """Secrets that were seen in a telling context (a header, an assignment) wherever else they stand."""
    known = {h.normal: h for h in hits if h.kind not in (*PERSONAL, "url_password")}
    if known:
        words = "|".join(re.escape(s) for s in sorted(known, key=lambda s: (-len(s), s)))
        for found in re.finditer(f"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", text):
            yield known[found[0]]._replace(start=found.start(), end=found.end())


def _replaced(text: str, offset: int, hits: Iterable[Hit], turns: dict[tuple[str, str], int]) -> str:
    """The text with every hit replaced; of overlapping hits the first and longest. `offset` is the text's own in the hits'."""
    parts, at = [], 0
    for hit in hits:
        start, end = hit.start - offset, hit.end - offset
        if start >= at:
            name = surrogate(hit.kind, text[start:end], hit.normal, keep=hit.keep, turn=turns[hit.kind, hit.normal])
            parts += [text[at:start], name]
            at = end
    return "".join([*parts, text[at:]])
