"""`acc check`: everything about a recipe, its data and this machine that can be found wrong before GPUs are held.

Every family of checks is a module with `check(context)`; all of them run, whatever one finds. They ask what the stages ask
themselves, and import torch, transformers or DeepSpeed only where nothing else can answer (see `acc.launch.check.launching`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from acc.errors import UserError
from acc.launch.check.context import Context
from acc.launch.check.finding import LEVELS, Finding, findings_of
from acc.launch.check.machine import Machine, this_machine
from acc.recipe import Recipe, load_recipe
from acc.recipe.loading import places_of

__all__ = ["FAMILIES", "check_file", "check_recipe"]

FAMILIES = (
    "sections",
    "student",
    "files",
    "servers",
    "evaluation",
    "data",
    "template",
    "memory",
    "disk",
    "versions",
    "launching",
    "gpus",
)
"""Modules of this package, in the order of their findings."""


def check_file(
    path: str | Path,
    overrides: Iterable[str] = (),
    *,
    runs: Path = Path("runs"),
    offline: bool = False,
    machine: Machine | None = None,
) -> tuple[Recipe | None, list[Finding]]:
    """Check a recipe file.

    Args:
        overrides: "section.field=value" pairs.
        runs: the folder of runs.
        offline: ask nothing beyond this machine.
        machine: what stands for this machine.

    Returns:
        The recipe, None where it can't be read; and the findings, errors first.
    """
    overrides = list(overrides)
    try:
        recipe = load_recipe(path, overrides)
    except UserError as e:
        return None, findings_of(e, where=str(path))
    found = check_recipe(recipe, runs=runs, offline=offline, machine=machine)
    places = places_of(path, overrides)
    return recipe, [_placed(finding, places) for finding in found]


def check_recipe(
    recipe: Recipe, *, runs: Path = Path("runs"), offline: bool = False, machine: Machine | None = None
) -> list[Finding]:
    """Run every family of checks on a recipe; errors first, the same finding once."""
    context = Context(recipe, runs, machine or this_machine(), offline)
    found: list[Finding] = []
    for family in FAMILIES:
        check: Callable[[Context], list[Finding]] = import_module(f"{__name__}.{family}").check
        try:
            found += check(context)
        except UserError as e:
            found += findings_of(e)
        except Exception as e:  # what the other families find must be said all the same
            what = f"the check of {family} itself failed ({type(e).__name__}: {e}), and what it looks for was not looked for"
            found.append(Finding("error", what, "", "It is a bug of ours: please report it"))
    return sorted(dict.fromkeys(found), key=lambda f: LEVELS.index(f.level))


def _placed(finding: Finding, places: Mapping[str, str]) -> Finding:
    """The finding with file and line of the field that its place begins with, or of the section that holds the field."""
    named = re.match(r"[a-z_]+(\.\w+)*", finding.where)
    parts = named[0].split(".") if named else []
    while parts and ".".join(parts) not in places:
        parts.pop()
    return replace(finding, where=f"{places['.'.join(parts)]} {finding.where}") if parts else finding
