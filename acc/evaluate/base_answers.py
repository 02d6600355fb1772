"""The base's answers, kept for other runs: `<runs>/base_answers/<fingerprint>/<suite>.jsonl`, lines as in `responses`.

A line's key holds the weights, the question and the sampling, so what another run took is the same answer to the same question.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable
from pathlib import Path

from acc.evaluate.lines import Line
from acc.llm.journal import Journal, read_journal
from acc.stage.files import digest

FOLDER = "base_answers"


class BaseAnswers:
    """The answers of one model.

    Args:
        folder: `<runs>/base_answers`.
        fingerprint: the backend's name of the weights.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder / (fingerprint if re.fullmatch(r"\w[\w.-]*", fingerprint) else digest(fingerprint))

    def known(self, suite: str, keys: Iterable[str]) -> list[Line]:
        """The kept lines with these keys."""
        wanted = set(keys)
        return [line for line in read_journal(self._path(suite)) if line["key"] in wanted]

    def keep(self, suite: str, lines: Iterable[Line]) -> None:
        """Append the lines that are not kept yet; several runs may do so at once. Failed answers are not kept."""
        path = self._path(suite)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = {line["key"] for line in read_journal(path)}
            new = [line for line in lines if line["key"] not in there and line["finish"] != "failed"]
            with Journal(path) as journal:
                journal.append(*new)

    def _path(self, suite: str) -> Path:
        return self.folder / f"{suite}.jsonl"


def base_answers_of(out: Path, fingerprint: str) -> BaseAnswers | None:
    """Where an evaluation in `<runs>/<name>/evaluate` keeps the base's answers; None for one that lies elsewhere."""
    if out.name != "evaluate":
        return None
    return BaseAnswers(out.absolute().parents[1] / FOLDER, fingerprint)
