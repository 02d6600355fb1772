"""A clean machine inside this one: the root of a fresh Debian, entered by chroot in namespaces of its own.

The root is made by debootstrap (root's rights are needed). Nothing of this machine is in it but what a closed network
needs for its packages: the variables below, and the folders and files that they name, read only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from acc.errors import UserError

RELEASE, MIRROR = "bookworm", "http://deb.debian.org/debian"
CARRIED = (
    "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
"""Variables that say how packages are had on this machine."""
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""The environment of a new user, beside HOME."""


def carried() -> dict[str, str]:
    """The variables of this machine that a clean root needs to have packages."""
    return {name: value for name in CARRIED if (value := os.environ.get(name))}


class CleanRoot:
    """The root of a machine.

    Args:
        folder: where it is, or is to be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, packages: Sequence[str] = ()) -> None:
        """Make a Debian without anything but its base and `packages`; a root that is there is left as it is.

        Raises:
            UserError: debootstrap is missing, or this process is not root.
        """
        if (self.folder / "etc" / "os-release").exists():
            return
        if shutil.which("debootstrap") is None or os.geteuid() != 0:
            raise UserError("a clean root is made by debootstrap, as root", mend="Install debootstrap, and run it as root")
        include = ["--include=" + ",".join(["ca-certificates", *packages])]
        command = ["debootstrap", "--variant=minbase", *include, RELEASE, str(self.folder), MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def copy_to(self, folder: Path) -> CleanRoot:
        """A second root with all that is in this one."""
        subprocess.run(["cp", "-a", "--reflink=auto", str(self.folder), str(folder)], check=True)
        return CleanRoot(folder)

    def add_user(self, name: str) -> None:
        """A new user with an empty home; nothing where there is one."""
        if not (self.folder / "home" / name).exists():
            self.run(f"useradd --create-home {name}")

    def run(
        self,
        line: str,
        *,
        user: str = "root",
        folder: str = "/",
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> int:
        """Run a shell line in the root and give its exit code; what it prints goes where this process's output goes.

        Args:
            user: name, or number, of the user.
            environment: added to a clean one; nothing of this process's is passed on but `carried()`.

        Raises:
            UserError: it fails, and `check` is set.
        """
        more = carried()
        inside = {**CLEAN, "HOME": self._home(user), **more, **(environment or {})}
        settings = " ".join(f"{name}={_quoted(value)}" for name, value in inside.items())
        shell = f"/bin/sh -c {_quoted(f'cd {_quoted(folder)} && {line}')}"
        script = "; ".join(
            [
                "set -e",
                f"cd {_quoted(str(self.folder))}",
                "mount -t proc proc proc",
                "mount --rbind /dev dev",
                "cp --remove-destination /etc/resolv.conf /etc/hosts etc/",
                *(part for value in sorted(set(more.values())) for part in _bind(value)),
                f"exec chroot --userspec={_quoted(self._numbers(user))} . /usr/bin/env -i {settings} {shell}",
            ]
        )
        sys.stdout.flush()
        found = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script], check=False)
        if check and found.returncode:
            raise UserError(f"{line.splitlines()[0][:200]!r} ended with {found.returncode} in {self.folder}")
        return found.returncode

    def _home(self, user: str) -> str:
        entry = self._entry(user)
        return entry[5] if entry else "/root"

    def _numbers(self, user: str) -> str:
        entry = self._entry(user)
        return f"{entry[2]}:{entry[3]}" if entry else user

    def _entry(self, user: str) -> list[str] | None:
        lines = (self.folder / "etc" / "passwd").read_text(encoding="utf-8").splitlines()
        return next((e for e in (line.split(":") for line in lines) if user in (e[0], e[2])), None)


def _bind(value: str) -> list[str]:
    """Shell lines that show a path of this machine in the root that they run in, read only; none where the value is no path."""
    path = Path(value)
    if not path.is_absolute() or not path.exists():
        return []
    inside, parent = _quoted(str(path).lstrip("/")), _quoted(str(path.parent).lstrip("/") or ".")
    make = f"mkdir -p {inside}" if path.is_dir() else f"mkdir -p {parent}; [ -e {inside} ] || touch {inside}"
    return [make, f"mount --bind {_quoted(value)} {inside}", f"mount -o remount,ro,bind {inside}"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
