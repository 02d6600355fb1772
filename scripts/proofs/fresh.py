"""The README's two commands on a fresh machine: a Debian with what it asks for and nothing else, a new user, a clone."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proofs.clean_root import CleanRoot

from acc.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("python3-dev", "python3-venv", "g++", "git")
"""What the README asks for, by Debian's names."""
USER = "newcomer"
STEPS = {
    "setup": "scripts/setup",
    "light": ".venv/bin/acc --version && .venv/bin/acc --help >/dev/null && .venv/bin/acc formats --list | tail -1 "
    "&& .venv/bin/acc check recipes/quickstart.yaml",
    "quickstart": "scripts/quickstart && .venv/bin/acc report runs/quickstart --table",
    "test": "scripts/test",
}


def prove(steps: Sequence[str] = tuple(STEPS), folder: Path | None = None) -> bool:
    """Make the machine, take the steps in order as its new user, and say whether each went through."""
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            return prove(steps, Path(name) / "machine")  # the folder itself is root's alone
    machine = CleanRoot(folder)
    try:
        machine.make(PACKAGES)
    except UserError as e:
        print(f"  {e}")
        return False
    machine.add_user(USER)
    home = folder / "home" / USER
    if not (home / "acc").exists():
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(home / "acc")], check=True)
        machine.run(f"chown -R {USER}:{USER} /home/{USER}/acc")
    for step in steps:
        began = time.monotonic()
        failed = machine.run(STEPS[step], user=USER, folder=f"/home/{USER}/acc", check=False)
        how = f"exit code {failed}" if failed else "went through"
        print(f"  {step}: {how}, {time.monotonic() - began:.0f} s", flush=True)
        if failed:
            return False
    return True
