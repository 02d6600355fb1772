"""The GPUs of a plan, from words such as `8xH100`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from acc.errors import UserError
from acc.train.speed import peak_flops

GIB = 2**30
MEMORY: dict[str, tuple[float, float]] = {
    "B200": (178.0, 8.0),
    "H200": (139.8, 4.8),
    "H100 PCIe": (79.1, 2.0),
    "H100 NVL": (93.1, 3.9),
    "H100": (79.1, 3.35),
    "H800": (79.1, 3.35),
    "H20": (95.1, 4.0),
    "A100": (79.1, 2.0),
    "A100 40GB": (39.4, 1.55),
    "A800": (79.1, 2.0),
    "L40S": (44.4, 0.86),
    "L4": (22.0, 0.3),
}
"""Kind → memory that torch can give out, GiB, and its bandwidth, TB/s, as makers state it. All have a line in PEAKS."""
FORM = "as 8xH100: a number, an x, a kind"


@dataclass(frozen=True, slots=True)
class Gpus:
    """`count` GPUs of one kind on each of `nodes` machines.

    `memory` is that of one, bytes; `flops` its dense bfloat16 FLOP/s; `bandwidth` that of its memory, bytes/s.
    """

    kind: str
    count: int
    nodes: int
    memory: float
    flops: float
    bandwidth: float

    @property
    def world(self) -> int:
        """Processes: one a GPU."""
        return self.count * self.nodes

    def __str__(self) -> str:
        return f"{self.count}x{self.kind}" + (f" on each of {self.nodes} nodes" if self.nodes > 1 else "")


def gpus_of(text: str, nodes: int = 1) -> Gpus:
    """Read `--gpus` (those of one node) and `--nodes`.

    Raises:
        UserError: it has another form, or the kind is not known.
    """
    found = re.fullmatch(r"\s*(\d+)\s*[xX×*]\s*(.+?)\s*", text)
    if found is None or int(found[1]) < 1:
        raise UserError(f"{text!r} does not say how many GPUs of which kind", where="--gpus", mend=f"Write it {FORM}")
    if nodes < 1:
        raise UserError(f"there can't be {nodes} nodes", where="--nodes", mend="Give 1 or more")
    kind = _kind(found[2])
    memory, bandwidth = MEMORY[kind]
    peak = peak_flops(kind)
    if peak is None:
        raise RuntimeError(f"{kind} has memory but no FLOP/s in acc/train/speed.py")
    return Gpus(kind, int(found[1]), nodes, memory * GIB, peak, bandwidth * 1e12)


def _kind(text: str) -> str:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in MEMORY}
    asked = re.sub(r"[^a-z0-9]", "", text.lower())
    without = re.sub(r"(sxm\d?|hbm\d?e?|nvidia|80gb?)", "", asked)
    for key in (asked, without):
        if key in plain:
            return plain[key]
    near = difflib.get_close_matches(without, list(plain), n=1, cutoff=0.5)
    mend = f"Did you mean {plain[near[0]]}? " if near else ""
    raise UserError(f"the GPU {text!r} is not known", where="--gpus", mend=f"{mend}Known are {', '.join(MEMORY)}")
