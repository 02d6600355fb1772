"""The sections evaluate and launch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from acc.recipe.base import Count, Positive, Section


class SyntheticRows(Section):
    """Rows of a benchmark's own form, generated at any length. Always reported as synthetic, never as the benchmark."""

    rows: Positive = 24
    """Rows, number."""
    tokens: Positive = 1_000
    """Length of a prompt, tokens of the student, about."""
    seed: Count = 0
    """Seed of the rows."""


class Benchmark(Section):
    """MRCR or GraphWalks: official rows from Parquet, or synthetic ones of the same form."""

    name: Literal["mrcr", "graphwalks"]
    """Which benchmark."""
    rows: str | None = None
    """Parquet file or folder in the official layout, relative to the recipe; or give `synthetic`."""
    synthetic: SyntheticRows | None = None
    """Generate rows instead."""
    limit: Positive | None = None
    """Ask at most so many rows, number, taken evenly over the file."""
    max_prompt_tokens: Positive | None = None
    """Skip (and count) rows with a longer prompt, tokens of the student; None: what the model's window holds."""
    max_new_tokens: Positive = 2_048
    """Longest answer, tokens."""

    @model_validator(mode="after")
    def _one_origin(self) -> Benchmark:
        if (self.rows is None) == (self.synthetic is None):
            raise ValueError("a benchmark needs exactly one of `rows` and `synthetic`")
        return self


class HeldOut(Section):
    """Questions of the held-out sources, asked with all evidence, with the support removed, and alone."""

    limit: Positive | None = 128
    """Questions, number, taken evenly over the samples in the order of their ids; None asks all."""
    conditions: list[Literal["full", "no_support", "question_only"]] = Field(
        default=["full", "no_support", "question_only"], min_length=1
    )
    """What the model is shown."""
    max_new_tokens: Positive = 256
    """Longest answer, tokens."""


class Evaluate(Section):
    """What is measured at every checkpoint."""

    base: bool = True
    """Also measure the model before training, as step 0."""
    held_out: HeldOut | None = None
    """Measure on the held-out sources; None for no."""
    benchmarks: list[Benchmark] = Field(default=[])
    """Benchmarks asked at every checkpoint."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """Sampling temperature; 0 is greedy."""
    batch_tokens: Positive = 65_536
    """Tokens of prompts generated from at once, tokens."""


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


__all__ = ["Benchmark", "Evaluate", "HeldOut", "Launch", "SyntheticRows", "Watchdog"]
