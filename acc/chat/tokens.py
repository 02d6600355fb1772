"""Text → token ids in which only the template's own control tokens are control tokens.

A page or a file may hold `<|im_start|>`, `</think>` or `<tool_call>` as text. Encoded in one go with the template they would
become control tokens: the log would write turns of the conversation. So text from outside is shielded before rendering (each
control string becomes a run of private-use characters), the rendered text is cut at the control tokens that are left, which
are the template's own, and what lies between is encoded by a tokenizer that knows no control tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from acc.chat.bytepairs import CHECKED, byte_pairs
from acc.errors import UserError

SHIELD_OPEN, SHIELD_CLOSE = "\U000f0acc", "\U000f0acd"


Offsets = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(starts, ends) in characters, each of shape [tokens]."""


class Tokens:
    """Token ids of a text, and where in it each came from.

    Args:
        runs: for each run of the text its ids and, to be called when they are asked for, its offsets; with where it begins.
    """

    def __init__(self, runs: Sequence[tuple[int, NDArray[np.uint32], Callable[[], Offsets]]]) -> None:
        self._runs = runs
        self.ids: list[int] = np.concatenate([ids for _, ids, _ in runs]).tolist() if runs else []

    @cached_property
    def offsets(self) -> Offsets:
        """The half-open character range of the text that each token came from."""
        found = [(at, offsets()) for at, _, offsets in self._runs]
        empty = np.zeros(0, dtype=np.int64)
        starts = np.concatenate([empty, *(starts + at for at, (starts, _) in found)])
        return starts, np.concatenate([empty, *(ends + at for at, (_, ends) in found)])


class ControlledTokenizer:
    """A `tokenizer.json` split in two: its control tokens, and the plain tokenizer without them.

    Args:
        path: a `tokenizer.json` of HF tokenizers.
    """

    def __init__(self, path: Path) -> None:
        try:
            spec = _spec(path)
            added = spec["added_tokens"]
            self.control = {t["content"]: int(t["id"]) for t in added}
        except (ValueError, KeyError, TypeError) as e:
            raise UserError(f"it is no tokenizer.json of HF tokenizers ({e})", where=str(path)) from e
        # Longest first, so that of two control strings where one begins the other the longer is found.
        added = sorted(added, key=lambda t: (-len(t["content"]), t["content"]))
        names = [t["content"] for t in added]
        self._pattern = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        # As in HF tokenizers, a control token may swallow the white space before or after it.
        space = r"\s*"
        swallowing = (f"{space * t['lstrip']}{re.escape(t['content'])}{space * t['rstrip']}" for t in added)
        self._template_pattern = re.compile("|".join(swallowing) or r"(?!)")
        # What `shield` replaces: the control strings, and its own mark, so that no text can forge one.
        self._shielded = [*sorted(self.control), SHIELD_OPEN]
        self._number = {name: i for i, name in enumerate(self._shielded)}
        self._shield_pattern = re.compile("|".join(map(re.escape, [*names, SHIELD_OPEN])))
        self._unusual = [n for n in self._shielded if "<" not in n]
        self._names_by_id = {i: n for n, i in self.control.items()}
        self._path = path
        self.whole = Tokenizer.from_file(str(path))
        """HF's tokenizer as it comes, which takes control strings in a text for control tokens."""
        self.whole.no_truncation()
        self.whole.no_padding()
        self._fast = byte_pairs(_without_control(spec), self._plain if self.find_control(CHECKED) else self.whole)
        self.vocab_size = max([self.whole.get_vocab_size(with_added_tokens=False) - 1, *self.control.values()]) + 1

    @cached_property
    def _plain(self) -> Tokenizer:
        """HF's tokenizer without control tokens, for what `_fast` leaves to it. It takes long to make."""
        return Tokenizer.from_str(json.dumps(_without_control(_spec(self._path))))

    def find_control(self, text: str) -> list[str]:
        """The control strings that stand in `text`, in order, repeats included."""
        return self._pattern.findall(text)

    def shield(self, text: str) -> str:
        """Replace control strings, so that neither a template's own logic nor `encode` can take them for control tokens."""
        if "<" not in text and not any(n in text for n in self._unusual):
            return text
        return self._shield_pattern.sub(lambda m: f"{SHIELD_OPEN}{self._number[m[0]]}{SHIELD_CLOSE}", text)

    def unshield(self, text: str) -> str:
        """The inverse of `shield`."""
        if SHIELD_OPEN not in text:
            return text
        return re.sub(f"{SHIELD_OPEN}(\\d+){SHIELD_CLOSE}", lambda m: self._shielded[int(m[1])], text)

    def encode(self, rendered: str, cuts: Sequence[int] = ()) -> tuple[str, Tokens, list[int]]:
        """Encode a rendered template whose outside text was shielded.

        Args:
            cuts: ascending character positions in `rendered` that no token may straddle.

        Returns:
            The text as the model reads it (unshielded), its tokens with offsets into that text, and for each cut the number
            of tokens before it.
        """
        runs: list[tuple[int, NDArray[np.uint32], Callable[[], Offsets]]] = []
        parts: list[str] = []
        marks: list[int] = []
        count, end, at, pending = 0, 0, 0, list(cuts)

        def add(text: str, ids: NDArray[np.uint32], offsets: Callable[[], Offsets]) -> None:
            nonlocal count, end
            runs.append((end, ids, offsets))
            parts.append(text)
            count += len(ids)
            end += len(text)

        def plain_run(text: str) -> None:
            text = self.unshield(text)
            if text:
                add(text, *self._encode_plain(text))

        def plain(stop: int) -> None:
            nonlocal at
            while pending and pending[0] <= stop:
                plain_run(rendered[at : pending[0]])
                at = pending.pop(0)
                marks.append(count)
            plain_run(rendered[at:stop])

        for match in self._template_pattern.finditer(rendered):
            plain(match.start())
            number = np.array([self.control[self.find_control(match[0])[0]]], dtype=np.uint32)
            add(match[0], number, partial(_whole, len(match[0])))
            at = match.end()
        plain(len(rendered))
        return "".join(parts), Tokens(runs), marks

    def count(self, text: str) -> int:
        """Tokens of outside text, control strings counted as the plain text they will be."""
        return len(self._encode_plain(text)[0])

    def _encode_plain(self, text: str) -> tuple[NDArray[np.uint32], Callable[[], Offsets]]:
        """Ids of text in which nothing is a control token, and how to get their offsets."""
        if self._fast is not None and (ids := self._fast.encode(text)) is not None:
            return ids, partial(self._fast.offsets, text, ids)
        encoding = self._plain.encode(text, add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.uint32), partial(_pairs, encoding.offsets)

    def decode(self, ids: list[int], *, keep_control: bool = False) -> str:
        """Token ids → text; control tokens are dropped unless `keep_control`."""
        names = self._names_by_id
        parts: list[str] = []
        run: list[int] = []
        for i in ids:
            if i in names:
                parts.append(self.whole.decode(run, skip_special_tokens=False))
                run = []
                if keep_control:
                    parts.append(names[i])
            else:
                run.append(i)
        parts.append(self.whole.decode(run, skip_special_tokens=False))
        return "".join(parts)

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The text of each token, control tokens by name; together they are `decode(ids, keep_control=True)`.

        A character of several tokens stands with its last one; the others have "".
        """
        out = [""] * len(ids)
        begin, shown = 0, 0  # the run that is decoded together begins at `begin`; tokens before `shown` have their text
        for i, number in enumerate([*ids, -1]):
            ends = i == len(ids) or number in self._names_by_id
            known = self.whole.decode(list(ids[begin:shown]), skip_special_tokens=False)
            text = self.whole.decode(list(ids[begin : i + (not ends)]), skip_special_tokens=False)
            # A text that ends in half a character goes on with the next token, if there is one.
            if len(text) > len(known) and (ends or not text.endswith("\ufffd")):
                out[i - ends] = text[len(known) :]
                begin, shown = shown, i + 1
            if ends and i < len(ids):
                out[i] = self._names_by_id[number]
                begin = shown = i + 1
        return out


def _spec(path: Path) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return spec


def _without_control(spec: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json without its control tokens; and without a post-processor, which would add BOS at every cut: templates
    write their own."""
    return spec | {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}


def _whole(length: int) -> Offsets:
    return np.zeros(1, dtype=np.int64), np.array([length], dtype=np.int64)


def _pairs(offsets: Sequence[tuple[int, int]]) -> Offsets:
    both = np.array(offsets, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
