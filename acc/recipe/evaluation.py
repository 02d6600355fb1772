"""The section evaluate: what is measured, on which rows, by which backend, where and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from acc.recipe import preset
from acc.recipe.base import Count, Positive, Rate, Section

Condition = Literal["full", "no_support", "exchanged", "question_only"]
"""What the model is shown of a held-out question: everything; without the support; without as many distractors, chosen at
random (the control: the roles of support and distractors exchanged); nothing but the question."""


class SyntheticRows(Section):
    """Rows of a benchmark's own form, generated at any length. Always reported as synthetic, never as the benchmark."""

    rows: Positive = 24
    """Rows, number."""
    tokens: Positive = 1_000
    """Length of a prompt, tokens of the student, about."""
    seed: Count = 0
    """Seed of the rows."""


class OfficialRows(Section):
    """Official rows from the hub, at a revision that stays the same."""

    dataset: str
    """Hub id, as `openai/mrcr`."""
    revision: str = "main"
    """Commit, tag or branch. Whatever it names when the run first reads it is resolved to a commit, recorded beside the scores,
    and read from then on."""
    files: str = "**/*.parquet"
    """Which Parquet files of the repository, as a glob."""


class Benchmark(Section):
    """MRCR or GraphWalks: official rows from the hub or from Parquet, or synthetic ones of the same form."""

    name: Literal["mrcr", "graphwalks"]
    """Which benchmark."""
    rows: str | None = None
    """Parquet file or folder in the official layout, relative to the recipe; or give `hub` or `synthetic`."""
    hub: OfficialRows | None = None
    """Rows from the hub."""
    synthetic: SyntheticRows | None = None
    """Generate rows instead."""
    needles: list[Positive] = Field(default=[])
    """MRCR: ask only rows with so many needles; empty asks all."""
    problem_types: list[str] = Field(default=[])
    """GraphWalks: ask only these (parents, bfs); empty asks all."""
    max_bin_tokens: Positive | None = None
    """Ask only rows whose length bin ends here or before, tokens of o200k_base (the official bins: 8192, 16384 … 1048576)."""
    limit: Positive | None = None
    """Ask at most so many rows, number, taken evenly over the file."""
    max_prompt_tokens: Positive | None = None
    """Skip (and count) rows with a longer prompt, tokens of the student; None: what the model's window holds."""
    max_new_tokens: Positive = 2_048
    """Longest answer with its thinking, tokens."""

    @model_validator(mode="after")
    def _one_origin(self) -> Benchmark:
        if sum(x is not None for x in (self.rows, self.hub, self.synthetic)) != 1:
            raise ValueError("a benchmark needs exactly one of `rows`, `hub` and `synthetic`. Leave the others out")
        if self.needles and self.name != "mrcr":
            raise ValueError("`needles` is a filter of mrcr. Leave it out")
        if self.problem_types and self.name != "graphwalks":
            raise ValueError("`problem_types` is a filter of graphwalks. Leave it out")
        if self.synthetic or (self.hub and self.hub.dataset == f"openai/{self.name}"):
            field, known = ("needles", "2, 4, 8") if self.name == "mrcr" else ("problem_types", "bfs, parents")
            for asked in map(str, self.needles or self.problem_types):
                if asked not in known.split(", "):
                    raise ValueError(f"`{field}` asks for {asked}, which no row has. There are {known}")
        return self


class HeldOut(Section):
    """Questions of the held-out sources, asked under several conditions: does the model use the context at all?"""

    limit: Positive | None = 128
    """Questions, number, taken evenly over the samples in the order of their ids; None asks all."""
    conditions: list[Condition] = Field(default=["full", "no_support", "question_only"], min_length=1)
    """What the model is shown."""
    measures: list[Literal["exact", "nll"]] = Field(default=["exact", "nll"], min_length=1)
    """exact: a generated answer is the gold answer; nll: negative log-likelihood of the gold answer, teacher-forced, without
    generation. With a server nll is measured by the training processes."""
    max_new_tokens: Positive = 256
    """Longest answer, tokens."""


class Sampling(Section):
    """How answers are drawn."""

    temperature: Rate = 0.0
    """Sampling temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the likeliest tokens that together have this probability."""
    top_k: Count = 0
    """Draw from so many likeliest tokens, number; 0 for all."""
    samples: Positive = 1
    """Answers to each question, number; a row's score is their mean (avg@k). Above 1 only with a temperature."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Sampling:
        if self.samples > 1 and not self.temperature:
            raise ValueError(
                "evaluate.sampling.samples above 1 needs a temperature above 0: greedy answers are all alike. Set one"
            )
        return self


class Server(Section):
    """An OpenAI-compatible server that answers instead of transformers in process."""

    start: Literal["vllm", "transformers"] | None = None
    """Start `vllm serve` or `transformers serve` on each checkpoint, wait until it is healthy, and end it; or give
    `base_url`."""
    base_url: str | None = None
    """A server that runs already, as `http://host:port/v1`; `acc eval` asks it as the checkpoint that it is told."""
    model: str | None = None
    """Model's name on a running server; None takes the only one that it lists. In it {checkpoint} stands for the checkpoint's
    path and {step} for its step, for a server that has, or loads, several: then `acc eval --watch` can ask it."""
    api_key_env: str = ""
    """Environment variable with the key; empty for none."""
    tensor_parallel: Positive = 1
    """GPUs that a started server splits the model over, number."""
    arguments: list[str] = Field(default=[])
    """More arguments of a started server's command."""
    startup_timeout_s: Annotated[float, Field(gt=0)] = 1_800.0
    """Longest wait until a started server is healthy, s."""
    concurrency: Positive = 32
    """Requests in flight at most, number."""
    timeout_s: Annotated[float, Field(gt=0)] = 3_600.0
    """Longest wait for one response, s."""
    retries: Count = 6
    """Tries beyond the first of a request that met 429, 5xx or a broken connection, number."""
    parameters: dict[str, float | int | str | bool] = Field(default={})
    """What else goes into a request."""

    @model_validator(mode="after")
    def _one_server(self) -> Server:
        if (self.start is None) == (self.base_url is None):
            raise ValueError("evaluate.server needs exactly one of `start` and `base_url`. Leave the other out")
        return self


class GeneralTask(Section):
    """A task of lm-eval."""

    task: str
    """Name in lm-eval: gpqa_diamond_cot_zeroshot, mmlu_pro, aime24, aime25, ifeval…"""
    metric: str | None = None
    """Metric, as `exact_match,flexible-extract`; None takes our choice for the tasks named above, else the task's first."""
    limit: Positive | None = None
    """Rows, number, the first ones; of a group of tasks (mmlu_pro is one) so many of each; None for all."""
    max_new_tokens: Positive = 32_768
    """Longest answer with its thinking, tokens; lm-eval's own limits cut thinking models off."""


class General(Section):
    """General capabilities, by lm-eval, on the same server or weights; compared with the base row by row. Where the recipe has
    no `sampling` the tasks that `GeneralTask.task` names are sampled as suits thinking models (temperature 0.6, top_p 0.95)."""

    tasks: list[GeneralTask] = Field(min_length=1)
    """What is asked."""
    include: str | None = None
    """Folder of your own tasks (lm-eval's YAML), relative to the recipe."""


class Command(Section):
    """Your own benchmark: a program that asks the server and writes scores."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of the benchmark among the scores."""
    run: list[str] = Field(min_length=1)
    """The program and its arguments; `--base-url URL --model NAME --out FILE` are added. It writes to FILE one JSON object:
    {"scores": {name: number}} or, to be compared with the base row by row, {"rows": {id: {name: number}}}."""
    timeout_s: Annotated[float, Field(gt=0)] = 14_400.0
    """Longest run, s."""


class Evaluate(Section):
    """What is measured at every checkpoint."""

    preset: Literal["acc_paper"] | None = None
    """Fill in what the recipe leaves open: the protocol of the paper. What the paper does not say is ours, and is printed as
    assumed."""
    where: Literal["inline", "watch", "job"] = "inline"
    """inline: in the training processes; watch: `acc eval --watch runs/<name>` on another machine, beside the training; job:
    the same in a batch job."""
    inline_share: Annotated[float, Field(gt=0)] = 0.05
    """Largest share of the training's time that evaluation inline may take, estimated before training; above it is refused."""
    base: bool = True
    """Also measure the model before training, as step 0; its answers are kept in runs/base_answers for other runs."""
    screen: Positive | None = None
    """Rows of each benchmark asked at every checkpoint, number, the same ones each time, spread over kinds and lengths; all
    rows only for the base, the best and the last checkpoint. None asks all rows everywhere."""
    held_out: HeldOut | None = None
    """Measure on the held-out sources; None for no."""
    benchmarks: list[Benchmark] = Field(default=[])
    """MRCR and GraphWalks."""
    general: General | None = None
    """General capabilities by lm-eval; None for no."""
    commands: list[Command] = Field(default=[])
    """Your own benchmarks."""
    sampling: Sampling = Sampling()
    """How answers are drawn."""
    server: Server | None = None
    """Who answers; None is transformers in process, for small models."""
    batch_tokens: Positive = 65_536
    """Tokens of prompts generated from at once in process, tokens."""
    prefill_tokens: Positive = 8_192
    """Tokens of a prompt read at once in process, tokens; bounds the activations."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        return preset.fill(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _one_revision(self) -> Evaluate:
        asked: dict[str, str] = {}
        for hub in (b.hub for b in self.benchmarks if b.hub is not None):
            if asked.setdefault(hub.dataset, hub.revision) != hub.revision:
                raise ValueError(
                    f"evaluate.benchmarks asks {hub.dataset} at two revisions: a run's scores are of one. Name one"
                )
        return self

    @property
    def measures_something(self) -> bool:
        return bool(self.held_out or self.benchmarks or self.general or self.commands)


__all__ = [
    "Benchmark", "Command", "Condition", "Evaluate", "General", "GeneralTask", "HeldOut", "OfficialRows", "Sampling", "Server",
    "SyntheticRows",
]  # fmt: skip
