"""The sections of the CPU stages behind the sources: compile, quality, rationale, pack."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from acc.recipe.base import Count, Positive, Rate, Section, Share


class Prompt(Section):
    """The text around question and evidence. Fields in braces are filled in; braces in logs are left alone."""

    system: str = ""
    """System message; empty for none."""
    template: str = "Please reason based on the following {kind} and answer the question.\n\n{pieces}\n\nQuestion: {question}"
    """The user message: {kind}, {pieces} and {question} are filled in."""
    piece: str = "[{number}] {locator}\n{text}"
    """One evidence piece: {number} (from 1, in shuffled order), {locator} and {text} are filled in."""
    separator: str = "\n\n"
    """What stands between pieces."""
    kinds: dict[str, str] = Field(
        default={"search": "documents", "software": "files", "database": "tables", "other": "observations"}
    )
    """The word for {kind}, by domain."""

    @model_validator(mode="after")
    def _fields(self) -> Prompt:
        for field, needed in (("template", ("{pieces}", "{question}")), ("piece", ("{text}",))):
            for name in needed:
                if getattr(self, field).count(name) != 1:
                    raise ValueError(f"compile.prompt.{field} does not contain {name} exactly once. Put it where it belongs")
        return self


class Slurm(Section):
    """How compile tasks are submitted as Slurm job arrays."""

    partition: str | None = None
    """Partition; None is the cluster's default."""
    time: str = "12:00:00"
    """Time limit of a job, as Slurm writes it."""
    cpus_per_task: Positive = 1
    """Cores of a job, number."""
    mem_per_cpu_gb: Positive = 4
    """Memory, GB a core."""
    max_jobs: Positive = 1_000
    """Longest job array, jobs; more tasks share a job."""
    setup: str = ""
    """Shell lines before the job's command, such as `module load …`."""


class Compile(Section):
    """Trajectories → samples."""

    budget_tokens: Positive = 131_072
    """Longest sample, tokens of the student: prompt plus reserve for the target. Distractors go first, then the sample."""
    target_reserve_tokens: Count = 2_048
    """Tokens kept free for rationale, answer and stop token; a longer target takes what it needs instead."""
    prompt: Prompt = Prompt()
    """The text around question and evidence."""
    distractors: bool = True
    """Keep evidence that the answer does not rest on (search results not opened, files not patched)."""
    shuffle: bool = True
    """Shuffle the pieces, seeded by the sample; False keeps the order of the log."""
    over_long: Literal["reject", "window"] = "reject"
    """Samples whose support alone is over the budget: rejected, or support cut to windows around what the answer needs."""
    executor: Literal["local", "slurm", "ray"] = "local"
    """Where tasks run: processes here, a Slurm job array, or Ray. The output does not depend on it."""
    slurm: Slurm = Slurm()
    """Settings of `executor: slurm`."""
    task_bytes: Positive = 64_000_000
    """Size of a task, bytes of input: inputs are cut by it, so it decides which process does what but never the output."""
    workers: Positive | None = None
    """Processes, number; None takes the cores there are. The output does not depend on it."""


class Teacher(Section):
    """An OpenAI-compatible server that writes rationales."""

    base_url: str
    """Address, as `http://host:port/v1`."""
    model: str
    """Model's name on the server."""
    api_key_env: str = ""
    """Environment variable with the key; empty for none. The key itself never stands in a recipe."""
    attempts: Positive = 4
    """Attempts a sample at most, number; the first whose answer matches ends them."""
    concurrency: Positive = 32
    """Requests in flight at most, number."""
    timeout_s: Annotated[float, Field(gt=0)] = 1_800.0
    """Longest wait for one response, s."""
    retries: Count = 6
    """Tries beyond the first of a request that met 429, 5xx or a broken connection, number."""
    max_tokens: Positive = 16_384
    """Longest response, tokens."""
    parameters: dict[str, float | int | str | bool] = Field(default={})
    """What else goes into a request: temperature, top_p, seed…"""
    budget_tokens: Positive | None = None
    """Tokens (prompt and completion) after which no new request is sent; None is no limit. The rest are `teacher_budget`."""
    price_prompt: Rate = 0.0
    """Money a million prompt tokens, in any currency; for the estimate."""
    price_completion: Rate = 0.0
    """Money a million completion tokens."""
    unanswered: Literal["reject", "without_rationale"] = "reject"
    """Samples that no attempt answered rightly: rejected (`teacher_failed`), or kept without a rationale."""


class Rationale(Section):
    """Where the reasoning before the answer comes from."""

    kind: Literal["teacher", "trajectory", "none"] = "trajectory"
    """teacher: a model that sees exactly the student's prompt, kept where it reaches the answer; trajectory: the agent's own
    reasoning of the step that answers; none: the answer alone."""
    teacher: Teacher | None = None
    """The server; needed for `kind: teacher` and for the leakage test."""
    max_chars: Positive = 8_000
    """A longer rationale of a trajectory is cut to its last paragraphs within so many characters; cuts are counted."""

    @model_validator(mode="after")
    def _has_teacher(self) -> Rationale:
        if self.kind == "teacher" and self.teacher is None:
            raise ValueError("rationale.kind: teacher needs the server in `teacher`. Give it base_url and model")
        return self


class Quality(Section):
    """What is doubtful about a sample, and what becomes of it."""

    leakage: Literal["off", "flag", "reject"] = "off"
    """Ask the teacher the question alone: a sample that it answers rightly without the context is flagged or rejected."""
    leakage_attempts: Positive = 1
    """Attempts of the leakage test a question, number; one right answer is a leak."""
    near_duplicates: Share | None = 0.9
    """Jaccard similarity of question and support from which two samples are one; None keeps them all."""
    decontaminate: list[str] = Field(default=[])
    """Benchmarks and files whose text must not be trained on: mrcr, graphwalks, or a JSONL, Parquet or text file."""
    ngram: Positive = 13
    """Words in a row that are shared with a benchmark from which a sample is contaminated, number."""
    secrets: Literal["redact", "reject", "off"] = "redact"
    """Keys and tokens of known shapes: one surrogate a value everywhere in the sample, or the sample rejected."""
    personal: Literal["redact", "off"] = "redact"
    """E-mail addresses, telephone, card and account numbers: one surrogate a value everywhere in the sample."""


class Pack(Section):
    """Samples → token ids → sequences."""

    length: Positive = 131_072
    """Capacity of a sequence, tokens. A longer sample is rejected, never cut."""
    layout: Literal["think", "plain"] = "think"
    """think: the rationale goes inside <think> before the answer; plain: it is plain text before the answer."""
    weights_in: Literal["samples", "tokens", "labelled_tokens"] = "samples"
    """What sources[].weight counts. Under a token mean, labelled tokens are a source's real weight in the loss."""
    scope: Literal["step", "global"] = "step"
    """step: the samples of each optimizer step are packed on their own, into a fixed number of sequences; global: over all."""
    control_text: Literal["text", "reject"] = "text"
    """Control tokens of the template that stand in a log: encode them as plain text, or reject the sample."""
    max_repeats: Annotated[float, Field(ge=1)] = 4.0
    """How often a sample may be seen in all (over all epochs) before the mixture takes from other sources instead, number."""


__all__ = ["Compile", "Pack", "Prompt", "Quality", "Rationale", "Slurm", "Teacher"]
