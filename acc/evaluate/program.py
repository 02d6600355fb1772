"""Programs of others that measure something: run to their end, or ended with everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from acc.errors import UserError

GRACE_S = 10.0
"""How long a program has between being told to end and being killed, s."""
LAST_LINES = 12
"""Lines of a failed program's log that its error shows, number."""
_LAUNCHER = ("TORCHELASTIC_", "TORCH_NCCL_", "ACCELERATE_", "GROUP_", "ROLE_", "OMPI_", "PMI_", "FSDP_", "DEEPSPEED_")
_LAUNCHED = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}


def run_program(argv: Sequence[str], *, log: Path, what: str, mend: str, timeout_s: float | None = None) -> None:
    """Run a program in a process group of its own, its output in a log.

    It sees this process's environment, but not the variables by which a launcher tells training processes apart: it is none of
    them. When it ends, runs out of time, or this process is interrupted, whatever is left of its group is ended.

    Args:
        log: file for what it writes to its outputs; overwritten.
        what: its name in errors.
        mend: what to do where it fails.
        timeout_s: longest run, s; None for no limit.

    Raises:
        UserError: it can't be started, ran too long, or its exit code is not 0; with the last lines of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=own_environment(),
                start_new_session=True,
            )
        except OSError as e:
            raise UserError(f"{what} can't be started ({e.strerror}: {argv[0]})", mend=mend) from e
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as e:
            said = last_lines(log)
            raise UserError(f"{what} ran longer than {timeout_s:g} s and was ended; it said last:\n{said}", mend=mend) from e
        finally:
            _end(process)
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise UserError(f"{what} {how}; it said last:\n{last_lines(log)}", where=str(log), mend=mend)


def own_environment() -> dict[str, str]:
    """This process's environment without the variables by which a launcher tells training processes apart."""
    return {k: v for k, v in os.environ.items() if k not in _LAUNCHED and not k.startswith(_LAUNCHER)}


def last_lines(log: Path) -> str:
    """The end of a log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return "\n".join(f"  {line[:300]}" for line in lines) or "  (nothing)"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program's group."""
    for number, patience_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
