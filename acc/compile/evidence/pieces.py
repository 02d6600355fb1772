"""What evidence is made of, and what every domain must know about observations."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from acc.records.sample import Role
from acc.trajectories.record import ToolCall


@dataclass(frozen=True, slots=True)
class Taken:
    """A piece of evidence. `whole` is False where it is a window or a summary; `origin` is log, git, sql or pages."""

    locator: str
    role: Role
    text: str
    whole: bool = True
    origin: str = "log"


@dataclass(slots=True)
class Evidence:
    """What one trajectory gives.

    `dropped` counts what the log held but no piece keeps, by reason; `counts` what resolvers gave and left out. `answer_step`
    is the index of the step in which the agent settled the answer, where the domain knows better than "the last one".
    """

    pieces: list[Taken] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    answer_step: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a trajectory gives no sample: `reason` as in a rejection, `detail` a sentence for a person."""

    reason: str
    detail: str


_ERROR = re.compile(
    r"\s*(?:\[?(?:\w+ )?error\b|error executing|traceback \(most recent call last\)|exception:|failed to |\[visit\] failed"
    r"|invalid (?:url|action|tool|argument|\w+ (?:request|format))|unknown (?:tool|action)|no sql code was found"
    r"|\w+(?:error|exception): |(?:page|section) not found: |\([^\n]{1,200}\) generated an exception: "
    r"|file \"[^\"\n]+\", line \d+\n"
    r"|(?:/bin/)?(?:ba)?sh: (?:-c: )?line \d+: |\w+: (?:cannot (?:open|access) |[^\n]+: no such file or directory)"
    r"|oci runtime exec failed: |could not find [^\n]{1,200}\. similar: \[)",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\s*(?:no (?:results?|matches|matching \w+|documents|pages|content)\b[^\n]{0,80}|none|null|\[\]|\{\}|\(empty\)"
    r"|post request accepted and executed successfully|output saved to:? \S+|\S+ executed successfully\. no output)[.!]?\s*",
    re.IGNORECASE,
)


def is_error(text: str) -> bool:
    """Whether an observation reports that the call failed."""
    if _ERROR.match(text):
        return True
    value = parse_json(text)
    return isinstance(value, dict) and bool(value.get("error")) and not (value.keys() & {"results", "content", "text"})


def is_empty(text: str) -> bool:
    """Whether an observation says nothing, or that there is nothing."""
    return not text.strip() or _NOTHING.fullmatch(text) is not None


def whole_characters(text: str) -> str:
    """Text with U+FFFD for halves of surrogate pairs, as the readers give it: what is decoded in it once more may have some,
    and no tokenizer takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def usable(text: str, dropped: Counter[str]) -> bool:
    """Whether an observation can be evidence; if not, count why."""
    reason = "empty_observation" if is_empty(text) else "error_observation" if is_error(text) else ""
    dropped.update([reason] if reason else [])
    return not reason


def parse_json(text: str) -> Any:
    """The value of a JSON text, None where it is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def describe(call: ToolCall | None, limit: int = 120) -> str:
    """A call in short, as `name(key=value, …)`; a long value is shown by its beginning."""
    if call is None:
        return "observation"
    shown = []
    for key, value in call.arguments.items():
        text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
        shown.append(f"{key}={text[: limit - 1]}…" if len(text) > limit else f"{key}={text}")
    return f"{call.function_name}({', '.join(shown)})"


def join_unique(texts: list[str], between: str = "\n\n") -> str:
    """Texts joined in order, each once."""
    return between.join(dict.fromkeys(t.strip("\n") for t in texts))
