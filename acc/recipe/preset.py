"""Presets of the section evaluate: what a recipe leaves open is filled in, and every choice says where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from acc.recipe.evaluation import Evaluate

Origin = Literal["paper", "assumed"]


class Choice(NamedTuple):
    """One choice of a preset: a field of `evaluate` (or a rule of ours that is no field), its value, and where it comes from:
    the paper, us (assumed: the paper does not say), or the recipe, which wins over both."""

    field: str
    value: Any
    source: Origin | Literal["recipe"]
    why: str


_ORIGINS = ("rows", "hub", "synthetic")

# (field, value, source, why). A benchmark's fields stand under its name: the order of a recipe's list is the user's.
_ACC_PAPER: tuple[tuple[str, Any, Origin, str], ...] = (
    ("mrcr.hub.dataset", "openai/mrcr", "paper", "the benchmark it names"),
    ("mrcr.hub.revision", "main", "assumed", "it names no revision; the commit read is recorded"),
    ("mrcr.needles", [2, 4], "paper", "2 and 4 needles"),
    ("mrcr.max_bin_tokens", 131_072, "paper", "up to 128K"),
    ("mrcr.max_prompt_tokens", None, "assumed", "rows beyond the model's window are skipped and counted"),
    ("mrcr.max_new_tokens", 32_768, "assumed", "Qwen3-Thinking's advice; the paper gives no limit"),
    ("graphwalks.hub.dataset", "openai/graphwalks", "paper", "the benchmark it names"),
    ("graphwalks.hub.revision", "main", "assumed", "it names no revision; the commit read is recorded"),
    ("graphwalks.hub.files", "**/graphwalks_128k_and_shorter.parquet", "paper", "the file up to 128K"),
    ("graphwalks.problem_types", [], "paper", "parents and BFS"),
    ("graphwalks.max_prompt_tokens", None, "assumed", "rows beyond the model's window are skipped and counted"),
    ("graphwalks.max_new_tokens", 32_768, "assumed", "Qwen3-Thinking's advice; the paper gives no limit"),
    ("sampling.samples", 3, "paper", "avg@3"),
    ("sampling.temperature", 0.6, "assumed", "Qwen3-Thinking's advice; the paper gives no sampling"),
    ("sampling.top_p", 0.95, "assumed", "Qwen3-Thinking's advice; the paper gives no sampling"),
    ("sampling.top_k", 20, "assumed", "Qwen3-Thinking's advice; the paper gives no sampling"),
)

# What a recipe can't change: which of the scores (all are always written) the paper's numbers are compared with, and our rules.
_RULES: tuple[Choice, ...] = (
    Choice("score of graphwalks", "precision", "paper", "an empty gold answer scores 0"),
    Choice("score of mrcr", "official", "assumed", "the data set's own rule, white space before the prefix fails"),
    Choice("length of mrcr", "o200k_base", "assumed", "prompt and answer, as the data set's own bins are"),
    Choice("thinking", "on", "paper", "taken off before grading; an answer cut while thinking scores 0"),
    Choice("overall score", "mean over rows", "paper", "sample-weighted"),
)


def fill(data: Mapping[str, Any]) -> dict[str, Any]:
    """A section evaluate as plain data, with what its preset adds; whatever it sets itself wins.

    A benchmark in the recipe's list takes from the preset's benchmark of its name what it leaves open; a recipe without a list
    gets all of the preset's.
    """
    if data.get("preset") != "acc_paper":
        return dict(data)
    known = _nested()
    sampling, asked = data.get("sampling"), data.get("benchmarks")
    filled = dict(data)
    if sampling is None or isinstance(sampling, Mapping):
        filled["sampling"] = {**known["sampling"], **(sampling or {})}
    if asked is None:
        asked = [{"name": name} for name in ("mrcr", "graphwalks")]
    if isinstance(asked, list):
        filled["benchmarks"] = [_benchmark(entry, known) for entry in asked]
    return filled


def choices(evaluate: Evaluate) -> list[Choice]:
    """What a preset means for this section: every field that it fills in, with the value that holds; [] without a preset."""
    if evaluate.preset is None:
        return []
    found: list[Choice] = []
    for field, value, source, why in _ACC_PAPER:
        section, _, rest = field.partition(".")
        if section == "sampling":
            found.append(_choice(field, getattr(evaluate.sampling, rest), value, source, why))
            continue
        for number, entry in enumerate(evaluate.benchmarks):
            if entry.name != section:
                continue
            name = f"benchmarks.{number}.{rest}"
            if not rest.startswith("hub."):
                found.append(_choice(name, getattr(entry, rest), value, source, why))
            elif entry.hub is not None:
                found.append(_choice(name, getattr(entry.hub, rest.removeprefix("hub.")), value, source, why))
    for number, entry in enumerate(evaluate.benchmarks):
        for origin in ("rows", "synthetic"):
            if (given := getattr(entry, origin)) is not None:
                found.append(Choice(f"benchmarks.{number}.{origin}", given, "recipe", "instead of the rows from the hub"))
    return sorted(found, key=lambda c: c.field) + list(_RULES)


def choice_lines(evaluate: Evaluate) -> list[str]:
    """The choices as lines to print."""
    found = choices(evaluate)
    if not found:
        return []
    shown = [(c.field, _shown(c.value), c.source, c.why) for c in found]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    rows = ["  ".join([*(text.ljust(w) for text, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in shown]
    return [f"preset {evaluate.preset}:", *(f"  {row}" for row in rows)]


def _benchmark(entry: Any, known: Mapping[str, Any]) -> Any:
    """A benchmark of the recipe over the preset's of its name."""
    preset = known.get(str(entry.get("name"))) if isinstance(entry, Mapping) else None
    if preset is None:
        return entry
    elsewhere = any(entry.get(origin) is not None for origin in _ORIGINS if origin != "hub")
    given = {k: v for k, v in entry.items() if k not in _ORIGINS or v is not None}
    if elsewhere:
        return {**{k: v for k, v in preset.items() if k != "hub"}, **given}
    hub = given.get("hub", {})
    return {**preset, **given, "hub": {**preset["hub"], **hub} if isinstance(hub, Mapping) else hub}


def _choice(field: str, holds: Any, preset: Any, source: Origin, why: str) -> Choice:
    return (
        Choice(field, holds, source, why)
        if holds == preset
        else Choice(field, holds, "recipe", f"the preset has {_shown(preset)}")
    )


def _shown(value: Any) -> str:
    return "none" if value is None else "all" if value == [] else str(value)


def _nested() -> dict[str, dict[str, Any]]:
    """The preset's fields as nested data."""
    root: dict[str, dict[str, Any]] = {}
    for field, value, _, _ in _ACC_PAPER:
        *sections, last = field.split(".")
        at: dict[str, Any] = root
        for section in sections:
            at = at.setdefault(section, {})
        at[last] = value
    return root
