"""Messages → token ids with label spans and piece spans. Only the answer is labelled; evidence stays text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from acc.chat.template import Template, TemplateRefused, compile_template
from acc.chat.tokens import ControlledTokenizer, Tokens
from acc.errors import UserError

Layout = Literal["think", "plain"]
"""Where the rationale goes: inside `<think>` before the answer, or as plain text before it."""

LAYOUTS: tuple[Layout, ...] = ("think", "plain")
OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one document.

    `label_spans` are half-open token ranges that are predicted: rationale, answer and stop token, nothing else.
    `piece_spans` are (role, start, end) token ranges of the evidence pieces asked about; a token on a border belongs to the
    piece it overlaps. `text` is what the model reads; `control_in_text` counts control strings of the outside text that were
    kept plain text.
    """

    ids: list[int]
    label_spans: list[tuple[int, int]]
    piece_spans: list[tuple[str, int, int]]
    text: str
    control_in_text: int


class StudentChat:
    """The student's own template and tokenizer.

    Args:
        tokenizer: path of tokenizer.json.
        template: source of the chat template.
        stop: the token that ends an assistant turn, as text; "" takes the one with which the template itself ends a turn.
        special: the special tokens that the template may name, as {"bos_token": "<s>", …}.

    Raises:
        UserError: the template has no generation prompt or no stop token, or the tokenizer joins text over control tokens.
    """

    def __init__(self, tokenizer: Path, template: str, stop: str = "", special: Mapping[str, str] | None = None) -> None:
        self._where = str(tokenizer)
        self.tokenizer = ControlledTokenizer(tokenizer)
        self.template: Template = compile_template(template, special)
        user = [{"role": "user", "content": "x"}]
        closed = self.template.render(user)
        on, off = (self.template.render(user, add_generation_prompt=True, enable_thinking=v) for v in (True, False))
        self._switchable = on != off
        self._generation = {layout: self._render_prompt(user, layout).removeprefix(closed) for layout in LAYOUTS}
        """The generation prompt of each layout, as text."""
        if not all(g and closed + g == self._render_prompt(user, layout) for layout, g in self._generation.items()):
            raise UserError(
                "the chat template has no generation prompt", where=self._where, mend="Use the model's own template"
            )
        self.stop = stop or self._turn_end(user)
        if self.stop not in self.tokenizer.control:
            raise UserError(f"the stop token {self.stop!r} is not among the tokenizer's control tokens", where=self._where)
        self.stop_id = self.tokenizer.control[self.stop]
        self.eos = (special or {}).get("eos_token", "")
        """The token that the checkpoint calls its end of text, "" where it names none."""
        self.vocab_size = self.tokenizer.vocab_size
        parts = [template, self.stop, json.dumps(dict(special or {}), sort_keys=True)]
        self.hash = hashlib.sha256(b"\0".join([tokenizer.read_bytes(), *(p.encode() for p in parts)])).hexdigest()[:32]
        """Hash of tokenizer, template and stop token: goes into the manifest of pack."""
        self._check_tokenizer(closed + self._generation["think"])

    @property
    def opens_thinking(self) -> bool:
        """Whether the generation prompt already opens `<think>` (Thinking-2507 does, the hybrid and Instruct-2507 don't)."""
        return self._opens("think")

    def switch(self, layout: Layout) -> dict[str, bool]:
        """Arguments of the template that make a layout's generation prompt; a server takes them as chat_template_kwargs.

        The hybrid template can close thinking in the prompt; where a template can't, the target does (see `target_text`).
        """
        return {"enable_thinking": layout == "think"} if self._switchable else {}

    def _opens(self, layout: Layout) -> bool:
        return self._generation[layout].rstrip().endswith(OPEN)

    def _render_prompt(self, messages: Sequence[Mapping[str, Any]], layout: Layout, tools: Sequence[Any] | None = None) -> str:
        return self.template.render(messages, tools=tools, add_generation_prompt=True, **self.switch(layout))

    def _turn_end(self, user: list[dict[str, str]]) -> str:
        """The control token with which the template ends an assistant turn, or ""."""
        _, _, tail = self.template.render([*user, {"role": "assistant", "content": "yyyy"}]).rpartition("yyyy")
        return next(iter(self.tokenizer.find_control(tail)), "")

    def _check_tokenizer(self, rendered: str) -> None:
        """Refuse a tokenizer whose ids are not those of its parts, cut at the control tokens (some SentencePiece ones)."""
        words = " A page,\n\n  naïve 3.14 "
        text = f"{words}{rendered}{words}{self.stop}\n{words}"
        ours, theirs = self.tokenizer.encode(text)[1].ids, self.tokenizer.whole
        self.adds_special = theirs.encode("x").ids != theirs.encode("x", add_special_tokens=False).ids
        """Whether the tokenizer puts special tokens, such as BOS, around a text by itself."""
        if ours != theirs.encode(text, add_special_tokens=False).ids:
            raise UserError("this tokenizer joins text over control tokens, which is not supported", where=self._where)
        for name, number in self.tokenizer.control.items():
            if number in self.tokenizer.encode(self.tokenizer.shield(name))[1].ids:
                raise UserError(f"this tokenizer cannot write {name!r} as plain text", where=self._where)

    def count(self, text: str) -> int:
        """Tokens of a piece of outside text."""
        return self.tokenizer.count(text)

    def encode_prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        layout: Layout,
        *,
        pieces: Iterable[tuple[str, int, int]] = (),
        tools: Sequence[Any] | None = None,
    ) -> Encoded:
        """Encode what the model is given, up to and with the generation prompt.

        Args:
            pieces: (role, start, end) character ranges in the last message's content.
        """
        shielded, shielded_tools, control = self._shield(messages, tools)
        text, tokens, _ = self.tokenizer.encode(self._render_prompt(shielded, layout, shielded_tools))
        end = len(text) - len(self._generation[layout])
        spans = self._piece_spans(text, end, tokens, messages, list(pieces))
        return Encoded(tokens.ids, [], spans, text, control)

    def target_text(self, rationale: str, answer: str, layout: Layout) -> tuple[str, list[str]]:
        """What follows the generation prompt, as (text with template-owned control tokens, the outside strings in it).

        | generation prompt ends in          | think                         | plain                        |
        |------------------------------------|-------------------------------|------------------------------|
        | `assistant\\n` (hybrid, Instruct)  | `<think>\\nr\\n</think>\\n\\ny` | `r\\n\\ny`                   |
        | `<think>\\n` (Thinking-2507)       | `r\\n</think>\\n\\ny`          | `\\n</think>\\n\\nr\\n\\ny` |

        With plain, the hybrid's prompt ends in an empty `<think>` block, so the target holds no tag at all.
        """
        shield = self.tokenizer.shield
        r, y = shield(rationale.strip("\n")), shield(answer)
        if layout == "think":
            opened = "" if self._opens(layout) else f"{OPEN}\n"
            text = f"{opened}{r}\n{CLOSE}\n\n{y}"
        else:
            closed = f"\n{CLOSE}\n\n" if self._opens(layout) else ""
            text = f"{closed}{r}\n\n{y}" if r else f"{closed}{y}"
        return text + self.stop, [rationale, answer]

    def encode_answer(
        self,
        prompt: Sequence[Mapping[str, Any]],
        *,
        rationale: str,
        answer: str,
        layout: Layout,
        pieces: Iterable[tuple[str, int, int]] = (),
        tools: Sequence[Any] | None = None,
        head: Encoded | None = None,
    ) -> Encoded:
        """Prompt and target of one acc or answer_only sample: ids = prompt ids + target ids, the target all labelled.

        The two are encoded apart because that is how generation sees them: `<think>\\n` in a prompt is never one token with
        the line break that the target begins with.

        Args:
            head: what `encode_prompt` gave for this prompt, where the caller has it already.
        """
        head = head or self.encode_prompt(prompt, layout, pieces=pieces, tools=tools)
        rendered, outside = self.target_text(rationale, answer, layout)
        text, tokens, _ = self.tokenizer.encode(rendered)
        control = head.control_in_text + sum(len(self.tokenizer.find_control(t)) for t in outside)
        start = len(head.ids)
        spans = [(start, start + len(tokens.ids))]
        return Encoded(head.ids + tokens.ids, spans, head.piece_spans, head.text + text, control)

    def encode_turns(self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Any] | None = None) -> Encoded:
        """A whole conversation, every assistant turn labelled from behind its header to its stop token (agent_sft, chat).

        The header is what a generation prompt would have given: `<think>` where Thinking-2507's prompt opens it, and the
        hybrid's empty `<think>` block of a turn without reasoning, are not labelled.

        Raises:
            TemplateRefused: the template does not render each assistant message as header … stop, so labels can't be placed.
        """
        shielded, shielded_tools, control = self._shield(messages, tools)
        rendered = self.template.render(shielded, tools=shielded_tools)
        # Outside text is shielded, so every header that stands in `rendered` is the template's own.
        header = self._generation["think"].split(OPEN)[0]
        prompts = sorted(self._generation.values(), key=len, reverse=True)
        starts = []
        for match in re.finditer(re.escape(header), rendered):
            given = next((p for p in prompts if rendered.startswith(p, match.start())), header)
            starts.append(match.start() + len(given))
        turns = sum(m["role"] == "assistant" for m in messages)
        if len(starts) != turns:
            raise TemplateRefused(f"the chat template renders {len(starts)} assistant turns of {turns}")
        text, tokens, marks = self.tokenizer.encode(rendered, starts)
        spans = []
        # A message begins with the header's first control token: a turn must have ended before the next one does.
        opening = {self.tokenizer.control[c] for c in self.tokenizer.find_control(header)[:1]}
        for mark, following in pairwise([*marks, len(tokens.ids)]):
            turn = tokens.ids[mark:following]
            end = turn.index(self.stop_id) + 1 if self.stop_id in turn else 0
            if not end or not opening.isdisjoint(turn[:end]):
                raise TemplateRefused(f"the chat template does not end each assistant turn with {self.stop}")
            spans.append((mark, mark + end))
        return Encoded(tokens.ids, spans, [], text, control)

    def _shield(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> tuple[list[dict[str, Any]], list[Any] | None, int]:
        """Copies of messages and tools with every outside string shielded, and how many control strings that met."""
        count = 0

        def shield(value: Any) -> Any:
            nonlocal count
            if isinstance(value, str):
                count += len(self.tokenizer.find_control(value))
                return self.tokenizer.shield(value)
            if isinstance(value, Mapping):
                return {shield(k): shield(v) for k, v in value.items()}
            if isinstance(value, list | tuple):
                return [shield(v) for v in value]
            return value

        # Templates take the content for a string, and a message that only calls tools has none.
        full = [{"content": "", **{k: v for k, v in m.items() if v is not None}} for m in messages]
        return shield(full), shield(tools), count

    def _piece_spans(
        self,
        text: str,
        end: int,
        tokens: Tokens,
        messages: Sequence[Mapping[str, Any]],
        pieces: list[tuple[str, int, int]],
    ) -> list[tuple[str, int, int]]:
        """Token spans of pieces; the last message's content stands in `text` before character `end`."""
        if not pieces:
            return []
        content = str(messages[-1]["content"])
        base = text.rfind(content, 0, end)
        if base < 0:  # some templates strip the content
            base = text.rfind(content.strip(), 0, end)
            if base < 0:
                raise TemplateRefused("the chat template changes the text of the last message, so its pieces can't be found")
            base -= len(content) - len(content.lstrip())
        starts, ends = tokens.offsets
        # Tokens that overlap [start, end): the first whose end is past `start`, up to the last that begins before `end`.
        first = np.searchsorted(ends, [base + s for _, s, _ in pieces], side="right").tolist()
        last = np.searchsorted(starts, [base + e for _, _, e in pieces], side="left").tolist()
        return [(role, *span) for (role, _, _), *span in zip(pieces, first, last, strict=True)]
