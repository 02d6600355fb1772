"""A server's key, from the environment: it stands in no file."""

from __future__ import annotations

import os

from acc.errors import UserError


def api_key(variable: str, *, where: str) -> str:
    """The key in an environment variable, "" where none is named.

    Args:
        where: the recipe's field that names it.

    Raises:
        UserError: the variable is not set.
    """
    if not variable:
        return ""
    try:
        return os.environ[variable]
    except KeyError:
        raise UserError(
            f"the environment variable {variable} is not set",
            where=where,
            mend="Set it to the server's key, or leave the field empty",
        ) from None
