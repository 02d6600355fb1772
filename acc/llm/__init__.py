"""Talking to language models: an asynchronous OpenAI-compatible client whose responses are on disk before they count."""

from acc.llm.answers import Answers
from acc.llm.client import Client, RequestRefused
from acc.llm.journal import Journal, read_journal, scan_journal
from acc.llm.keys import api_key
from acc.llm.messages import Completion, Failure, Request
from acc.llm.silence import Silence

__all__ = [
    "Answers",
    "Client",
    "Completion",
    "Failure",
    "Journal",
    "Request",
    "RequestRefused",
    "Silence",
    "api_key",
    "read_journal",
    "scan_journal",
]
