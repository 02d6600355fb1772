"""When a server counts as gone: asking it about thousands of samples more would take days to give nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from acc.errors import UserError
from acc.llm.client import Client
from acc.llm.messages import Completion, Failure

MANY = 8
"""So many requests given up in a row (or as many as are in flight, if more) say that the server is gone."""
SETTLE_S = 1.0
"""How long until a server that died is seen to be dead by who started it, s."""


class Silence:
    """Counts what a server gives nothing to.

    Args:
        heard: whether it has answered before.
        check: raises where the server is known to be gone, and says better why.

    Attributes:
        heard: whether the server has answered anything. Once it has, requests that it refuses for themselves, such as prompts
            that are too long, need not be noted.
    """

    def __init__(self, client: Client, *, heard: bool = False, check: Callable[[], None] | None = None) -> None:
        self.heard = heard
        self._client, self._check = client, check
        self._failures, self._last = 0, ""

    def note(self, got: Completion | Failure) -> None:
        """Count what a request gave.

        Raises:
            UserError: so many failed in a row that the server must be gone.
        """
        if isinstance(got, Completion):
            self.heard, self._failures = True, 0
            return
        if self._check is not None:
            self._check()
        self._failures, self._last = self._failures + 1, got.reason
        if self._failures >= max(MANY, self._client.concurrency):
            raise self._gone()

    def end(self) -> None:
        """Raise a UserError where requests failed and the server has never answered one."""
        if self._failures and not self._client.answers.answered:
            raise self._gone()

    def _gone(self) -> UserError:
        if self._check is not None:
            time.sleep(SETTLE_S)
            self._check()
        return UserError(
            f"the server gave no answer to {self._failures} requests in a row; the last one: {self._last}",
            where=self._client.url,
            mend="Look at the server and run this again: no answer is lost or asked for twice",
        )
