"""Keep a server for as long as the process that wants it lives: `python keeper.py COMMAND…`.

Standard input is a pipe whose other end that process holds. However it ends, by a kill too, the pipe closes, and the server and
all that it started are ended. Nothing but the standard library is imported, so this is there at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 15.0
"""How long a server has to end when it is asked to, s; then it is killed."""


def keep(command: list[str]) -> None:
    """Run a command in the process group that this process leads, and end the whole group, this process too, after it.

    It is asked to end, and then killed, when standard input closes or this process is told to end.
    """
    over = threading.Event()
    # A handler and no SIG_IGN, which the command would inherit: the group is told by SIGTERM, and this process is one of it.
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_wait_for_close, args=(over,), daemon=True).start()
    while server.poll() is None and not over.wait(0.1):
        pass
    if server.poll() is None:
        os.killpg(0, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    else:
        print(f"the server ended by itself, exit code {server.returncode}", flush=True)
    os.killpg(0, signal.SIGKILL)


def _wait_for_close(over: threading.Event) -> None:
    while os.read(0, 64):
        pass
    over.set()


if __name__ == "__main__":
    keep(sys.argv[1:])
