"""Packages and compilers: what training needs, what is known to work together, and kernels that do not fit their torch."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, Level

LEAST = {
    "torch": (2, 11),
    "transformers": (5, 17),
    "accelerate": (1, 15),
    "deepspeed": (0, 19, 8),
    "peft": (0, 21),
    "tokenizers": (0, 22),
    "pyarrow": (20,),
}
"""Distribution → the least version that acc is written for (as its own requirements say)."""
TRIED = {"torch": (2, 13), "transformers": (5, 23), "accelerate": (1, 15), "deepspeed": (0, 19), "peft": (0, 21)}
"""Distribution → the newest version that acc's own tests have run with, as far as it is given here."""
TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "flyte": ("flytekit",),
    "azure_ml": ("azureml-mlflow",),
    "comet_ml": ("comet-ml",),
}
"""Tracker by its name in transformers → distributions, one of which it needs; others are called as the tracker."""


def check(context: Context) -> list[Finding]:
    """What is installed here; a machine that can't train at all is only told so."""
    found = [*_packages(context), *_trackers(context), *_ray(context)]
    if context.trains and _trains_here(context):
        found += [*_compilers(context), *_kernels(context)]
    return found


def _trains_here(context: Context) -> bool:
    return context.machine.version("torch") is not None


def _packages(context: Context) -> Iterator[Finding]:
    recipe, version = context.recipe, context.machine.version
    needed = {"tokenizers", "pyarrow"}
    if context.trains and _trains_here(context):
        needed |= {"torch", "transformers", "accelerate"} | ({"peft"} if recipe.lora else set())
        needed |= {"deepspeed"} if _zero3(context) else set()
    elif context.trains:
        yield Finding("note", "torch is not installed here: this machine can check, compile and pack, not train")
    for name in sorted(needed):
        installed = version(name)
        if installed is None:
            yield Finding("error", f"{name} is not installed, and this recipe needs it", "versions", f"pip install {name}")
        elif (numbers := release(installed)) < LEAST[name]:
            least = ".".join(map(str, LEAST[name]))
            yield Finding(
                "error", f"{name} is {installed}, and acc needs {least}", "versions", f"pip install '{name}>={least}'"
            )
        elif name in TRIED and numbers[: len(TRIED[name])] > TRIED[name]:
            tried = ".".join(map(str, TRIED[name]))
            what = f"{name} is {installed}; acc's tests have run with {tried}"
            yield Finding("note", what, "versions")


def _trackers(context: Context) -> Iterator[Finding]:
    """Trackers whose package is not here; a run would end as it begins."""
    level: Level = "error" if _trains_here(context) else "note"
    for tracker in context.recipe.train.report_to if context.trains else ():
        names = TRACKERS.get(tracker, (tracker,))
        if all(context.machine.version(name) is None for name in names):
            mend = f"pip install {names[0]}, or take it out; log.jsonl is always written"
            yield Finding(level, f"the tracker {tracker} is not installed", "train.report_to", mend)


def _ray(context: Context) -> Iterator[Finding]:
    """Ray, where compile starts its tasks on it; of samples that are packed already nothing is compiled here."""
    if context.trains and context.recipe.compile.executor == "ray" and context.machine.version("ray") is None:
        mend = "pip install 'acc[ray]', or set compile.executor: local"
        yield Finding("error" if context.packed is None else "note", "Ray is not installed here", "compile.executor", mend)


def _compilers(context: Context) -> Iterator[Finding]:
    """What DeepSpeed compiles at its first use: communication within a host without GPUs, Adam for CPUs with one."""
    offloads = "optimizer" in context.recipe.parallel.offload
    cpu = context.machine.gpus() == 0 and context.world > 1 and context.recipe.launch.nodes == 1
    missing = [name for name in ("g++", "ninja") if context.machine.program(name) is None]
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        missing.append("Python's headers (python3-dev)")
    lacking = " and ".join(missing)
    if lacking and (offloads or cpu):
        made, where = (
            ("its Adam for CPUs", "parallel.offload") if offloads else ("its communication on CPUs", "launch.processes")
        )
        yield Finding("warning", f"DeepSpeed compiles {made} at first use, without {lacking} here", where, f"Install {lacking}")


def _kernels(context: Context) -> Iterator[Finding]:
    """The kernel that model.attention names; and a flash-attn that was built for another CUDA than torch's."""
    version, attention = context.machine.version, context.recipe.model.attention
    package = {"flash_attention_2": "flash-attn", "flash_attention_3": "flash-attn-3"}.get(attention)
    gpu = context.machine.gpus() > 0
    if package is not None and version(package) is None:
        mend = f"pip install {package}, or set model.attention: auto"
        yield Finding("error" if gpu else "note", f"{package} is not installed here", "model.attention", mend)
    if attention in ("flash_attention_2", "flash_attention_3", "torch_varlen") and not gpu:
        yield Finding("note", f"{attention} needs a GPU, and there is none here", "model.attention")
    torch, flash = version("torch") or "", version("flash-attn") or ""
    ours, theirs = re.search(r"\+cu(\d+)", torch), re.search(r"cu(\d+)", flash)
    if ours and theirs and not ours[1].startswith(theirs[1][:2]):
        what = f"flash-attn {flash} was built for CUDA {theirs[1]}, and torch {torch} for {ours[1]}"
        yield Finding(
            "warning", what, "versions", "Install a build for torch's CUDA, or none: torch has varlen attention itself"
        )
    elif flash and gpu and "+cpu" in torch:
        yield Finding(
            "warning", f"flash-attn is installed, and torch {torch} has no CUDA", "versions", "Install torch with CUDA"
        )


def _zero3(context: Context) -> bool:
    recipe = context.recipe
    return max(context.world, context.planned_world) > 1 or bool(recipe.parallel.offload or recipe.deepspeed)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: 2.13.0+cpu is (2, 13, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
