"""The student against the recipe: known to train rightly, heads, window and RoPE, adapters, attention, experts."""

from __future__ import annotations

from dataclasses import replace

from acc.errors import UserError
from acc.evaluate.configuration import window_of
from acc.launch.check.config import Configuration, Student, read_student
from acc.launch.check.context import Context
from acc.launch.check.evaluation import longest_prompt
from acc.launch.check.finding import Finding, findings_of, refusals
from acc.launch.plan.architecture import Architecture, architecture_from
from acc.recipe import Recipe
from acc.train.capabilities import STUDENTS, check_capabilities
from acc.train.parallel import Sizes
from acc.train.rope import apply_rope, check_window

SLOW_EXPERTS = 32_768
"""Length from which experts that are not grouped are worth a warning, tokens."""


def check(context: Context) -> list[Finding]:
    """Everything that the student's config.json decides."""
    recipe = context.recipe
    if found := refusals(read_student, recipe, context.hub):
        return found
    student = context.student
    if student is None:
        what = f"the config.json of {recipe.student} is not on this machine: heads, window and RoPE were not checked"
        return [Finding("note", what, "model.path", f"`hf download {recipe.student} config.json` puts it into the hub's cache")]
    found = []
    if student.folder is None:
        found.append(Finding("note", f"the student's numbers are from {student.origin}", "model.path"))
    if recipe.model.trust_remote_code:
        found.append(Finding("note", "Python code that comes with the checkpoint will be run", "model.trust_remote_code"))
    if not context.trains:
        return found
    config = student.configuration()
    found += refusals(check_capabilities, config)
    if config.model_type in STUDENTS:
        found += [replace(f, where=f"model.path {f.where}") for f in refusals(_numbers, recipe, student, level="warning")]
    found += _heads(recipe, config)
    found += _window(context, student)
    found += _adapters(recipe, student)
    found += _dropout(recipe, config)
    return found + _experts(recipe, student)


def _numbers(recipe: Recipe, student: Student) -> Architecture:
    return architecture_from(student.raw, name=recipe.model.path)


def _heads(recipe: Recipe, config: Configuration) -> list[Finding]:
    """Whether Ulysses can share the attention heads out."""
    text, sequence = config.get_text_config(), recipe.parallel.sequence
    if not isinstance(text.num_attention_heads, int) or not text.num_attention_heads:
        return []  # a model that is not trained anyway
    sizes = Sizes(world=sequence, rank=0, local_rank=0, local_world=sequence, sequence=sequence)
    return refusals(sizes.check_heads, text.num_attention_heads, text.num_key_value_heads)


def _window(context: Context, student: Student) -> list[Finding]:
    """The longest document against the window, RoPE scaling included; and scaling that nothing needs."""
    recipe, config = context.recipe, student.configuration()
    if student.raw.get("max_position_embeddings") is None and "text_config" not in student.raw:
        return []
    try:
        apply_rope(recipe, config)
    except UserError as e:
        return findings_of(e)
    longest = context.longest
    if found := refusals(check_window, config, longest):
        if context.packed is None:
            setting = "compile.budget_tokens" if longest == recipe.compile.budget_tokens else "pack.length"
            now = window_of(vars(config)) or 0
            found = [
                replace(f, what=f"{setting} lets samples have {longest:,} tokens, and the student's window is {now:,}")
                for f in found
            ]
        return found
    native = window_of(student.raw)
    if recipe.model.rope is not None and native is not None and longest <= native and _evaluates_within(recipe, native):
        what = f"RoPE is scaled, though the longest sample ({longest:,} tokens) fits the native window of {native:,}"
        return [Finding("warning", what, "model.rope", "Leave it out: scaling changes the model at every length")]
    return []


def _evaluates_within(recipe: Recipe, window: int) -> bool:
    """Whether every benchmark's prompts and answers fit a window."""
    asked = [(longest_prompt(entry), entry.max_new_tokens) for entry in recipe.evaluate.benchmarks]
    return all(prompt is not None and prompt + answer <= window for prompt, answer in asked)


def _adapters(recipe: Recipe, student: Student) -> list[Finding]:
    """Targets of LoRA that the student does not have, and freezing that does nothing."""
    if recipe.lora is None:
        return []
    try:
        numbers = _numbers(recipe, student)
    except UserError:
        return []  # said already
    lacks = {"experts", "router"} if not numbers.sparse else {"mlp"} if numbers.sparse == numbers.layers else set()
    return [
        Finding(
            "error",
            f"the student has no {'MLP outside of its experts' if target == 'mlp' else 'experts'} for the target {target!r}",
            "lora.targets",
            f"Take {target!r} out",
        )
        for target in recipe.lora.targets
        if target in lacks
    ]


def _dropout(recipe: Recipe, config: Configuration) -> list[Finding]:
    """Attention dropout in the checkpoint, which some kernels have not."""
    if not getattr(config.get_text_config(), "attention_dropout", 0) or recipe.model.attention in (
        "documents_sdpa",
        "flash_attention_2",
    ):
        return []
    return [
        Finding(
            "error" if recipe.model.attention != "auto" else "warning",
            "config.json sets attention_dropout, which torch's varlen attention and FlashAttention 3 do not have",
            "model.attention",
            "Set attention_dropout to 0 there, or take flash_attention_2 or documents_sdpa",
        )
    ]


def _experts(recipe: Recipe, student: Student) -> list[Finding]:
    """Experts that are slow, or settings for experts that are not there."""
    has = any(student.raw.get(name) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
    if has and recipe.moe.experts != "grouped_mm" and recipe.pack.length >= SLOW_EXPERTS:
        what = (
            f"{recipe.moe.experts} experts take many times as long as grouped_mm on sequences of {recipe.pack.length:,} tokens"
        )
        return [Finding("warning", what, "moe.experts", "Set moe.experts: grouped_mm")]
    if not has and recipe.moe.router == "frozen":
        return [Finding("note", "the student has no experts, so there is no router to freeze", "moe.router")]
    return []
