"""The student's tokenizer and chat template, tried on a question with an answer: what is labelled, and what ends a turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acc.chat import StudentChat, load_chat
from acc.chat.encoding import CLOSE, OPEN
from acc.errors import UserError
from acc.launch.check.config import is_path
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, findings_of
from acc.recipe import Recipe

RATIONALE, ANSWER = "The page says so.", "42"
PROBE: list[dict[str, Any]] = [{"role": "user", "content": "[1] page\nIt is 42.\n\nQuestion: what is it?"}]


def check(context: Context) -> list[Finding]:
    """Load tokenizer and template, and encode a small sample in the recipe's layout."""
    recipe = context.recipe
    folder = _folder(context)
    if folder is None:
        if is_path(recipe.student):
            return []  # the student's own family says so
        what = f"the tokenizer of {recipe.student} is not on this machine: its chat template was not tried"
        return [Finding("note", what, "model.path")]
    if not (folder / "tokenizer.json").is_file():
        return []  # the files' family says so
    try:
        chat = load_chat(folder)
    except UserError as e:
        return findings_of(e, where="model.path")
    return [
        *_sizes(context, chat),
        *_stop(folder, chat),
        *(_sample(recipe, chat) if context.trains else ()),
        *_prompt(recipe, chat),
    ]


def _folder(context: Context) -> Path | None:
    """The folder with the student's tokenizer, if it is here or the hub gives it."""
    student, revision = context.recipe.student, context.recipe.model.revision
    if Path(student).is_dir():
        return Path(student)
    if is_path(student):
        return None
    tokenizer = context.hub.file(student, revision, "tokenizer.json")
    if tokenizer is None:
        return None
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json"):
        context.hub.file(student, revision, name)
    return tokenizer.parent


def _sample(recipe: Recipe, chat: StudentChat) -> Iterator[Finding]:
    """Labels begin where the prompt ends, and cover rationale, answer and stop token."""
    layout = recipe.pack.layout
    head = chat.encode_prompt(PROBE, layout)
    whole = chat.encode_answer(PROBE, rationale=RATIONALE, answer=ANSWER, layout=layout, head=head)
    start, end = whole.label_spans[0]
    labelled = chat.tokenizer.decode(whole.ids[start:end], keep_control=True)
    wrong = [
        (whole.ids[:start] != head.ids, "its tokens do not begin with the prompt's"),
        (whole.ids[-1] != chat.stop_id, f"it does not end with the stop token {chat.stop}"),
        (not (RATIONALE in labelled and ANSWER in labelled), "rationale and answer are not all labelled"),
    ]
    for is_wrong, what in wrong:
        if is_wrong:
            yield Finding(
                "error", f"a sample encoded with this template is not right: {what}", "pack.layout", "Use the model's own"
            )
    tags = [tag for tag in (OPEN, CLOSE) if tag not in chat.tokenizer.control]
    if layout == "think" and tags:
        what = f"this tokenizer reads {' and '.join(tags)} as plain text: the student has not learnt to think there"
        yield Finding("warning", what, "pack.layout", "Set pack.layout: plain, or take a thinking model")
    if layout == "plain" and chat.opens_thinking:
        what = f"the template's prompt opens {OPEN}, and this layout teaches the model to close it at once"
        yield Finding("warning", what, "pack.layout", "Set pack.layout: think, or take the Instruct model")


def _sizes(context: Context, chat: StudentChat) -> Iterator[Finding]:
    """Ids that the embedding does not have."""
    student = context.student
    rows = student.raw.get("vocab_size") if student is not None else None
    largest = max([chat.vocab_size - 1, *chat.tokenizer.control.values()])
    if isinstance(rows, int) and largest >= rows:
        what = f"the tokenizer has ids up to {largest:,}, and the student's vocab_size is {rows:,}"
        yield Finding("error", what, "model.path", "Take the tokenizer that belongs to the checkpoint")


def _stop(folder: Path, chat: StudentChat) -> Iterator[Finding]:
    """Whether generation ends at the token that training teaches."""
    path = folder / "generation_config.json"
    if not path.is_file():
        path = folder / "config.json"
    try:
        eos = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    except (ValueError, AttributeError):
        yield Finding("error", "this is no JSON object", f"model.path {path}", "Download the checkpoint again")
        return
    ends = eos if isinstance(eos, list) else [eos]
    if eos is not None and chat.stop_id not in ends:
        what = f"a turn ends with {chat.stop} ({chat.stop_id}), which is not among eos_token_id of {path.name} ({eos})"
        yield Finding("warning", what, "model.path", "Add it there, or servers will not stop at the end of an answer")


def _prompt(recipe: Recipe, chat: StudentChat) -> Iterator[Finding]:
    """Control tokens that the recipe's own texts hold: they are encoded as plain text."""
    prompt = recipe.compile.prompt
    for name in ("system", "template", "piece", "separator"):
        if control := sorted(chat.tokenizer.find_control(getattr(prompt, name))):
            what = f"{control[0]} stands in it, and will be plain text: the chat template alone writes control tokens"
            yield Finding("warning", what, f"compile.prompt.{name}", "Take it out")
