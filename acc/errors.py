"""What a user sees when something is wrong: one sentence, the place, the mend; and the one table of exit codes."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every `acc` verb, and nothing else may call `sys.exit` with a number."""

    OK = 0
    """The work is done."""
    INTERNAL = 1
    """A bug in acc or a crash of something below it; a traceback was printed."""
    USER = 2
    """The recipe, an input or an argument is wrong; the sentence printed says where, and the mend."""
    FINDINGS = 3
    """It ran through and found what was asked for (`acc formats --strict`; `acc plan`: it does not fit)."""
    REQUEUE = 75
    """The job was told to stop, saved a checkpoint, and wants to be started again (EX_TEMPFAIL)."""
    WATCHDOG = 76
    """A step hung; every rank's stack was printed and the job ended."""


class UserError(Exception):
    """A mistake that the user can mend. Printed as one sentence, never with a traceback.

    Args:
        what: what is wrong, as a sentence without the final stop.
        where: file, line and field, as "recipe.yaml:12 train.learning_rate".
        mend: what to do about it, as a sentence without the final stop.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f" {self.mend}." if self.mend else ""
        return f"{place}{self.what}.{mend}"


class UserErrors(UserError):
    """Several mistakes found in one go, so that a user mends them all at once."""

    def __init__(self, errors: list[UserError]) -> None:
        self.errors = errors
        super().__init__("; ".join(e.what for e in errors))

    def __str__(self) -> str:
        return "\n".join(str(e) for e in self.errors)
