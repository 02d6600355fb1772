"""How a job's processes ended, as they say it themselves.

srun gives one exit code for all, and a process that it kills because another one ended first has the larger one. So each writes
its own into the attempt's folder, where the job's script and `acc status` find it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

FOLDER = "ACC_ATTEMPT"
"""Environment variable: the folder of this attempt's logs; set by the scripts of `acc submit`."""


def noted(work: Callable[[], int]) -> int:
    """Do the work; in a job of `acc submit`, write its exit code to ended-<rank> however it ends."""
    code = 1
    try:
        code = work()
        return code
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
        raise
    finally:
        folder = Path(os.environ.get(FOLDER, ""))
        if FOLDER in os.environ and folder.is_dir():
            (folder / f"ended-{os.environ.get('RANK', '0')}").write_text(f"{code}\n")


def ended(folder: Path) -> set[int]:
    """The exit codes in an attempt's folder; a process that was killed left none."""
    found = [path.read_text(encoding="utf-8").strip() for path in folder.glob("ended-*")]
    return {int(text) for text in found if text.isdigit()}
