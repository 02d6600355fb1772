"""What others measured (lm-eval, a user's own program) as lines of responses, in the layout of our own suites."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from acc.evaluate.lines import Line
from acc.evaluate.questions import Answer
from acc.llm.journal import read_journal
from acc.records.markers import MARKER
from acc.stage.files import digest, whole

NOTES = {MARKER, "trainer_state.json"}
"""Files of a checkpoint that say nothing of its weights."""
_PLACES, _BLOCK = 64, 1 << 16


def line_of(
    key: str,
    row: str,
    scores: Mapping[str, float],
    answer: Answer | str | None = None,
    *,
    asked: str | None = None,
    sample: int = 0,
    kind: str | None = None,
    prompt_tokens: int = 0,
    thinking_tokens: int = 0,
) -> Line:
    """One line: a row and what was measured on it. What is not known of its response is left out.

    Args:
        key: names all that the scores depend on; the same for all lines of a file.
        scores: metric → value, the headline first.
        answer: the response, or its text alone, where it is known.
        asked: a hash of the question; rows with the same name and another question are no pairs.
        kind: the slice that the row belongs to, None for none.
    """
    line: Line = {"key": key, "row": row, "condition": "full", "sample": sample, "asked": asked, "kind": kind, "screen": False}
    if isinstance(answer, str):
        line["response"] = answer
    elif answer is not None:
        line |= {
            "response": answer.text,
            "reasoning": answer.reasoning,
            "finish": answer.finish,
            "tokens": answer.tokens,
            "thinking_tokens": thinking_tokens,
            "prompt_tokens": prompt_tokens,
            "seconds": answer.seconds,
        }
    failed = isinstance(answer, Answer) and answer.finish == "failed"
    return {**line, "failed": failed, "scores": dict(scores)}


def is_measured(path: Path, key: str) -> bool:
    """Whether a file of lines holds what `key` names, whole: its rows were all answered."""
    lines = read_journal(path)
    return bool(lines) and all(line["key"] == key and line.get("finish") != "failed" for line in lines)


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write lines, whole or not at all."""
    with whole(path) as partial:
        partial.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def weights_of(checkpoint: str, revision: str | None) -> str:
    """A name of a checkpoint's weights: of a hub id itself and its revision, of a folder what lies in it, without the notes of
    the training, which change when old optimizer state is dropped.

    Weights are read at 64 places of each file: a training moves them all, and reading tens of gigabytes takes minutes.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        return digest([checkpoint, revision])
    found = hashlib.sha256()
    files = [*folder.rglob("*.safetensors"), *folder.glob("*.json"), *folder.glob("*.jinja")]
    for path in sorted(path for path in files if path.name not in NOTES):
        size = path.stat().st_size
        found.update(f"{path.relative_to(folder)} {size}\n".encode())
        with path.open("rb") as f:
            for place in range(_PLACES):
                f.seek(max(size - _BLOCK, 0) * place // (_PLACES - 1))
                found.update(f.read(_BLOCK))
    return found.hexdigest()[:32]
