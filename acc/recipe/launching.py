"""The section launch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from acc.recipe.base import Positive, Section


class Watchdog(Section):
    """When a step takes too long every process prints its stacks and the job ends, instead of holding GPUs for nothing."""

    factor: Annotated[float, Field(gt=1)] = 20.0
    """Times the median step."""
    least_s: Annotated[float, Field(gt=0)] = 600.0
    """Never sooner than so long, s; also the limit while no median is known, times `factor`."""


class Launch(Section):
    """How `acc run` starts the training processes when no launcher did."""

    nodes: Positive = 1
    """Machines, number. More than one needs a launcher on each (`accelerate launch`, torchrun)."""
    processes: Positive = 1
    """Processes on each machine, number (one a GPU). Pack shares a step's sequences evenly over nodes × processes."""
    threads: Positive | None = None
    """CPU threads of each process, number; None shares the cores evenly."""
    timeout_s: Positive = 3_600
    """Longest wait of a collective operation before the process group gives up, s."""
    watchdog: Watchdog | None = Watchdog()
    """Ends a training that hangs; None for no watchdog."""


__all__ = ["Launch", "Watchdog"]
