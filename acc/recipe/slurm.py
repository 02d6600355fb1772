"""The section launch.slurm: the jobs of `acc submit`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from acc.recipe.base import Count, Positive, Section

Words = Annotated[str, Field(pattern=r"^[^\s'\"]+$")]
"""What stands in an #SBATCH line without quotes."""


class Job(Section):
    """What a job asks of Slurm; what is None is left to the cluster, or to the values that all jobs share."""

    partition: Words | None = None
    """Partition."""
    account: Words | None = None
    """Account that pays."""
    qos: Words | None = None
    """Quality of service."""
    time: Words | None = None
    """Time limit, as Slurm writes it (24:00:00). A job that needs longer saves, is queued again and goes on."""
    cpus: Positive | None = None
    """Cores of each process, number."""
    mem: Words | None = None
    """Memory of a node, as Slurm writes it (200G; 0 is all of it)."""
    constraint: Words | None = None
    """Features that nodes must have."""
    exclude: Words | None = None
    """Nodes that must not be used."""
    extra: list[Annotated[str, Field(pattern=r"^-[^\n]+$")]] = Field(default=[])
    """More options of sbatch, one a line, as `--exclusive` or `--mail-type=END`."""


class GpuJob(Job):
    """A job on GPU nodes."""

    gpus: Count | None = None
    """GPUs on each node, number; 0 asks for none. None: training takes one a process, an evaluation what its server splits
    the model over."""
    gpu_type: Words | None = None
    """Type of the GPUs, as the cluster calls it (h100)."""


class Container(Section):
    """An image that all commands run in; sbatch itself stays outside."""

    image: Words
    """What pyxis or apptainer starts: a .sqsh or .sif file, or an address."""
    runtime: Literal["pyxis", "apptainer"] = "pyxis"
    """pyxis: options of srun; apptainer: `apptainer exec`."""
    mounts: list[Words] = Field(default=[])
    """Folders to mount, as `/data:/data`; the run's folder and the recipe's must be among them, at their own path."""


class SlurmJobs(Job):
    """The jobs of `acc submit`. Fields given here hold for all jobs; `cpu`, `train` and `evaluate` replace them for theirs."""

    cpu: Job = Job()
    """Compile and pack, one process. With `compile.executor: slurm` it only waits for its arrays (see compile.slurm)."""
    train: GpuJob = GpuJob()
    """Training: launch.nodes nodes with launch.processes processes each; `--smoke` takes one of them."""
    evaluate: GpuJob = GpuJob()
    """The evaluation of one checkpoint, one process on one node (`evaluate.where: job`)."""
    setup: str = ""
    """Shell lines before each job's command, such as `module load cuda/12.8` or variables of NCCL."""
    python: Words | None = None
    """Python that has acc; None is the one that submits (in a container: python3)."""
    container: Container | None = None
    """Run in a container; None runs Python as it is."""
    signal_before_s: Positive = 600
    """How long before its time limit a job is told to save and end, s; longer than a step, a checkpoint and an
    evaluation inline take."""
    restarts: Count = 2
    """How often a job that crashed or hung is started again, number; a time limit or a lost node does not count, and what a
    user must mend is never started again."""
    template: str | None = None
    """A template of your own in place of acc/launch/submit/template.sbatch, relative to the recipe."""


__all__ = ["Container", "GpuJob", "Job", "SlurmJobs"]
