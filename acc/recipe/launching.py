"""The section launch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from acc.recipe.base import Positive, Section
from acc.recipe.slurm import SlurmJobs


class Watchdog(Section):
    """When a step takes too long every process prints its stacks and the job ends, instead of holding GPUs for nothing."""

    factor: Annotated[float, Field(gt=1)] = 20.0
    """Times the median step."""
    least_s: Annotated[float, Field(gt=0)] = 600.0
    """Never sooner than so long, s; also the limit while no median is known, times `factor`."""


class Launch(Section):
    """How `acc run` starts the training processes when no launcher did."""

    nodes: Positive = 1
    """Machines, number. More than one needs `acc submit`, or a launcher on each (`accelerate launch`, torchrun)."""
    processes: Positive = 1
    """Processes on each machine, number (one a GPU). Pack shares a step's sequences evenly over nodes × processes."""
    threads: Positive | None = None
    """CPU threads of each process, number; None shares the cores evenly."""
    timeout_s: Positive = 3_600
    """Longest wait of a collective operation before the process group gives up, s."""
    watchdog: Watchdog | None = Watchdog()
    """Ends a training that hangs; None for no watchdog."""
    slurm: SlurmJobs | None = None
    """The jobs that `acc submit` gives to Slurm; None where nothing is submitted."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> Launch:
        gpus = self.slurm.train.gpus if self.slurm else None
        if gpus and gpus != self.processes:
            raise ValueError(
                f"launch.slurm.train.gpus ({gpus}) is not launch.processes ({self.processes}): a process has a GPU of its own. "
                "Give both one number"
            )
        return self


__all__ = ["Launch", "Watchdog"]
