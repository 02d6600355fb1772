"""The sample: question, pieces in their shuffled order, rationale, answer, and where each came from. On disk: Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from acc.stage.columns import from_rows
from acc.stage.files import digest, whole

Role = Literal["support", "distractor"]
Target = Literal["acc", "answer_only", "agent_sft", "chat"]


class Message(TypedDict, total=False):
    """A chat message as templates read it. `tool_calls` hold OpenAI's {id, type, function{name, arguments: dict}}."""

    role: str
    content: str
    reasoning_content: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None


@dataclass(frozen=True, slots=True)
class Piece:
    """An evidence piece as offsets, in characters, into the content of the prompt's last message.

    `prompt[-1]["content"][start:end]` is the piece's text alone, without the heading that the prompt template gives it.
    `whole` is False where it is only a window of the page, file or table. `origin` says where the text is from: log, git, sql
    or pages (a resolver).
    """

    locator: str
    role: Role
    start: int
    end: int
    whole: bool = True
    origin: str = "log"


@dataclass(frozen=True, slots=True)
class Sample:
    """One training or held-out example.

    For the targets acc and answer_only, `prompt` is what the student sees (system message if the recipe has one, then one
    user message) and `completion` one assistant message whose content is the answer and whose `reasoning_content` is the
    rationale (acc) or nothing (answer_only). For agent_sft and chat, `prompt` is everything before the first assistant
    message and `completion` the rest, tool messages among them; only assistant messages are labelled.

    `tools` is the JSON text of the tool definitions that the template renders (agent_sft), or "".
    `prompt_tokens` and `target_tokens` are counted with the student's tokenizer and template where compile had one, else 0.
    `sufficiency` is proven, likely, unknown or failed. `flags` are doubts that did not reject the sample, as short
    words (leaks, quotes_outside…). `teacher` is the model that wrote the rationale, "" for the agent. `extra` is JSON text.
    """

    sample_id: str
    target: Target
    domain: str
    source: str
    split: Literal["train", "held_out"]
    question: str
    prompt: list[Message]
    completion: list[Message]
    ground_truth_answer: str
    rationale: str = ""
    pieces: list[Piece] = field(default_factory=list)
    outcome: str = "unknown"
    verified_by: str = ""
    sufficiency: str = "unknown"
    prompt_tokens: int = 0
    target_tokens: int = 0
    trajectory_id: str = ""
    record_file: str = ""
    record_index: int = -1
    record_hash: str = ""
    licence: str = ""
    generator_model: str = ""
    teacher: str = ""
    tools: str = ""
    flags: list[str] = field(default_factory=list)
    extra: str = "{}"


def sample_id(target: str, domain: str, question: str, answer: str, pieces: Iterable[tuple[str, str, str]]) -> str:
    """The sample's name: a hash of its content as taken, before shuffle and budget (which are seeded by it).

    Args:
        pieces: (locator, role, text) of every piece taken, in any order.
    """
    taken = sorted((locator, role, digest(text)) for locator, role, text in pieces)
    return digest([target, domain, question, answer, taken])


MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.large_string()),
        ("reasoning_content", pa.large_string()),
        # JSON text: Arrow has no type for a free dictionary, and a struct of all keys would fill the holes with nulls.
        ("tool_calls", pa.large_string()),
        ("tool_call_id", pa.string()),
    ]
)
PIECE = pa.struct(
    [
        ("locator", pa.string()),
        ("role", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("whole", pa.bool_()),
        ("origin", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("target", pa.string()),
        ("domain", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("question", pa.large_string()),
        ("prompt", pa.list_(MESSAGE)),
        ("completion", pa.list_(MESSAGE)),
        ("ground_truth_answer", pa.large_string()),
        ("rationale", pa.large_string()),
        ("pieces", pa.list_(PIECE)),
        ("outcome", pa.string()),
        ("verified_by", pa.string()),
        ("sufficiency", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("target_tokens", pa.int64()),
        ("trajectory_id", pa.string()),
        ("record_file", pa.string()),
        ("record_index", pa.int64()),
        ("record_hash", pa.string()),
        ("licence", pa.string()),
        ("generator_model", pa.string()),
        ("teacher", pa.string()),
        ("tools", pa.large_string()),
        ("flags", pa.list_(pa.string())),
        ("extra", pa.large_string()),
    ]
)
ROW_GROUP, ROW_GROUP_CHARS = 1_024, 8_000_000
"""Rows and characters after which a row group ends: samples reach half a megabyte, and readers hold one group at a time."""


def write_samples(path: Path, samples: Iterable[Sample], group_chars: int = ROW_GROUP_CHARS) -> int:
    """Write samples in the order given, holding at most one row group, of about `group_chars` characters; return how many."""

    count, chars, group = 0, 0, list[dict[str, Any]]()
    with whole(path) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for sample in samples:
            group.append(to_row(sample))
            count += 1
            chars += sum(len(m.get("content") or "") for m in (*sample.prompt, *sample.completion))
            if len(group) == ROW_GROUP or chars >= group_chars:
                writer.write_batch(from_rows(group, SCHEMA))
                chars, group = 0, []
        if group:
            writer.write_batch(from_rows(group, SCHEMA))
    return count


def read_samples(path: Path, columns: Sequence[str] | None = None) -> Iterator[Sample]:
    """Read samples one row group at a time.

    Args:
        path: a samples.parquet.
        columns: read only these (the others stay at their defaults); the columns without a default are always read.
    """
    needed = None if columns is None else sorted({*columns, *REQUIRED})
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        for row in file.read_row_group(group, columns=needed).to_pylist():
            yield from_row(row)


REQUIRED = ("sample_id", "target", "domain", "source", "split", "question", "prompt", "completion", "ground_truth_answer")


def to_row(sample: Sample) -> dict[str, Any]:
    """One Parquet row of a sample; what it holds is the sample's own, not to be changed."""
    row = {name: getattr(sample, name) for name in SCHEMA.names}
    for name in ("prompt", "completion"):
        row[name] = [_written(message) for message in row[name]]
    row["pieces"] = [{name: getattr(piece, name) for name in PIECE.names} for piece in sample.pieces]
    row["tools"] = sample.tools or None  # TRL parses whatever text stands there
    return row


def _written(message: Message) -> Mapping[str, Any]:
    if message.get("tool_calls") is None:
        return message
    return {**message, "tool_calls": json.dumps(message["tool_calls"], ensure_ascii=False)}


def from_row(row: dict[str, Any]) -> Sample:
    """A sample from one Parquet row: JSON tool calls become objects and Arrow's nulls absent keys."""
    for name in ("prompt", "completion"):
        messages = []
        for message in row[name]:
            kept = {k: v for k, v in message.items() if v is not None}
            if "tool_calls" in kept:
                kept["tool_calls"] = json.loads(kept["tool_calls"])
            messages.append(kept)
        row[name] = messages
    if "pieces" in row:
        row["pieces"] = [Piece(**p) for p in row["pieces"]]
    if "tools" in row:
        row["tools"] = row["tools"] or ""
    return Sample(**row)
