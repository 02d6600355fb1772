"""What a journal holds of requests. In memory are the places of the responses only; they are read when they are wanted."""

from __future__ import annotations

import json
from pathlib import Path

from acc.llm.journal import Record, scan_journal
from acc.llm.messages import Completion, Failure, Request, completions_of, key_of


class Answers:
    """The responses of a model in a journal, which the client of the same process may go on writing.

    Attributes:
        answered: responses, number; tokens: what they cost, prompt and completion; retries: how often they were sent beyond
        the first time; repeated: requests that were asked again because a kill met them; open: requests without an end, number.

    Raises:
        UserError: a line of the journal is not JSON.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model
        self.answered = self.tokens = self.retries = self.repeated = 0
        self._places: dict[bytes, int] = {}
        self._given_up: dict[bytes, str] = {}
        self._open: set[bytes] = set()
        for offset, record in scan_journal(path):
            self.note(record, offset)

    @property
    def open(self) -> int:
        """Requests that were asked and neither answered nor given up, number: in flight now, or when the process was killed."""
        return len(self._open)

    def note(self, record: Record, offset: int) -> None:
        """Keep where a record stands, and what became of its request."""
        key = bytes.fromhex(record["key"])
        if record.get("event") == "asked":
            self.repeated += key in self._open
            self._open.add(key)
            return
        self._open.discard(key)
        if "response" in record:
            choices = completions_of(record)
            self._places[key] = offset
            self.answered += 1
            self.tokens += choices[0].prompt_tokens + sum(choice.completion_tokens for choice in choices)
            self.retries += choices[0].tries - 1
        else:
            self._given_up[key] = record["reason"]

    def find(self, request: Request) -> Completion | Failure | None:
        """The response to a request (of several choices the first), that it was given up, or None."""
        found = self.find_choices(request)
        return found[0] if isinstance(found, list) else found

    def find_choices(self, request: Request) -> list[Completion] | Failure | None:
        """As `find`, with all choices of the response."""
        key = key_of(self.model, request)
        name = bytes.fromhex(key)
        if (offset := self._places.get(name)) is not None:
            with self.path.open("rb") as f:
                f.seek(offset)
                return completions_of(json.loads(f.readline()))
        return Failure(key, reason) if (reason := self._given_up.get(name)) is not None else None
