"""A recipe → the scripts of its Slurm jobs. Pure: nothing is written or submitted here.

```
prepare ──► train ─ a checkpoint is whole ─► evaluate <step> ─┐
   └──────► evaluate 0 (the base) ──► … ─────────────────────┴─► finish: what is left, and the report
```

`evaluate` and `finish` exist with `evaluate.where: job` alone; else training measures, or a watcher does.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from acc.errors import UserError
from acc.recipe import Recipe
from acc.recipe.slurm import GpuJob, Job, SlurmJobs

RECIPE = "recipe.yaml"
"""The recipe as it was submitted, in runs/<name>/jobs: who edits theirs changes no job that waits."""
POLL_S = 10
"""Between two looks for new checkpoints by a training's script, s."""


@dataclass(frozen=True, slots=True)
class Script:
    """One sbatch script: its name, which is also that of its logs and its id, and its text."""

    name: str
    text: str

    @property
    def file(self) -> str:
        """Its file in runs/<name>/jobs."""
        return f"{self.name}.sbatch"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a submission is made: its folder of runs and working directory, absolute."""

    runs: Path
    here: Path


def scripts(recipe: Recipe, place: Place) -> list[Script]:
    """The scripts of a run, in the order of the way of the data.

    Raises:
        UserError: as `check_jobs`, or the template cannot be filled in.
    """
    slurm = check_jobs(recipe)
    names = ["prepare", "train", *(["evaluate", "finish"] if evaluates(recipe) else [])]
    return [_script(name, recipe, slurm, place) for name in names]


def smoke_script(recipe: Recipe, place: Place) -> Script:
    """The script of `--smoke`: one node of the training."""
    return _script("smoke", recipe, check_jobs(recipe), place)


def evaluates(recipe: Recipe) -> bool:
    """Whether evaluations are jobs of their own."""
    return recipe.evaluate.where == "job" and recipe.evaluate.measures_something


def check_jobs(recipe: Recipe) -> SlurmJobs:
    """The recipe's section launch.slurm.

    Raises:
        UserError: there is none, or the recipe's sizes do not fit the jobs'.
    """
    slurm, world = recipe.launch.slurm, recipe.launch.nodes * recipe.launch.processes
    if slurm is None:
        raise UserError("the recipe says nothing of Slurm", where="launch.slurm", mend="Add launch: {slurm: {partition: …}}")
    recipe.check_sources()
    if world % recipe.parallel.sequence:
        raise UserError(
            f"{recipe.launch.nodes} nodes with {recipe.launch.processes} processes each are {world}, which parallel.sequence "
            f"({recipe.parallel.sequence}) does not divide",
            where="launch.nodes, launch.processes",
            mend="Change one of the three",
        )
    if slurm.container and recipe.compile.executor == "slurm":
        raise UserError(
            "compile submits job arrays itself, and there is no sbatch in a container",
            where="compile.executor: slurm",
            mend="Take compile.executor: local with launch.slurm.cpu.cpus, or a venv in place of the container",
        )
    for name, section in (("cpu", slurm.cpu), ("train", slurm.train), ("evaluate", slurm.evaluate)):
        time = _value("time", section, slurm)
        if time is not None and (limit := _seconds(time)) is not None and limit <= slurm.signal_before_s:
            raise UserError(
                f"jobs of {time} would be told to end {slurm.signal_before_s} s before that, as soon as they begin",
                where=f"launch.slurm.{name}.time",
                mend="Give them more time, or lower launch.slurm.signal_before_s",
            )
    return slurm


def _seconds(time: str) -> int | None:
    """A time limit as Slurm writes it (minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s) in s; None for another word (UNLIMITED)."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time)
    if match is None:
        return None
    days, *numbers = (int(x) if x else 0 for x in match.groups())
    if match[1] is None and match[4] is None:
        numbers = [0, *numbers[:2]]  # minutes, or minutes:seconds
    return days * 86_400 + numbers[0] * 3_600 + numbers[1] * 60 + numbers[2]


def _script(name: str, recipe: Recipe, slurm: SlurmJobs, place: Place) -> Script:
    launch, trains = recipe.launch, name == "train"
    section: Job = {"prepare": slurm.cpu, "train": slurm.train, "smoke": slurm.train}.get(name, slurm.evaluate)
    nodes, tasks = (launch.nodes, launch.processes) if trains else (1, 1)
    cpus = _value("cpus", section, slurm)
    if name == "smoke" and cpus:
        cpus *= launch.processes  # one task, which starts the processes
    folder = place.runs / recipe.name
    logs = folder / "jobs" / "logs"
    options = [
        f"--job-name={recipe.name}-{name}",
        f"--nodes={nodes}",
        f"--ntasks-per-node={tasks}",
        f'--output="{logs}/{name}-%j.out"',
        "--open-mode=append",
        *([] if name == "smoke" else ["--requeue", f"--signal=B:USR1@{slurm.signal_before_s}"]),
        *_options(section, slurm, cpus),
        *_gpus(name, section, recipe),
        *slurm.extra,
        *section.extra,
    ]
    variables = {
        "options": options,
        "title": _TITLES[name],
        "argument": name == "evaluate",
        "stage": name,
        "here": shlex.quote(str(place.here)),
        "folder": shlex.quote(str(folder)),
        "setup": slurm.setup.strip(),
        "threads": launch.threads or cpus or 1,
        "trains": trains,
        "evaluates": trains and evaluates(recipe),
        "tasks_per_node": tasks,
        "command": _command(name, recipe, slurm, place),
        "srun": " ".join([f"--nodes={nodes}", f"--ntasks-per-node={tasks}", *([f"--cpus-per-task={cpus}"] if cpus else [])]),
        "inside": _inside(slurm),
        "poll_s": POLL_S,
        "restarts": 0 if name == "smoke" else slurm.restarts,
    }
    return Script(name, _fill(recipe, slurm, variables))


_TITLES = {
    "prepare": "Compile and pack, without a GPU",
    "train": "Training, from the newest whole checkpoint on",
    "evaluate": "The evaluation of one checkpoint",
    "finish": "What is not evaluated yet, and the report",
    "smoke": "Five steps on the longest rows, on one node",
}


def _command(name: str, recipe: Recipe, slurm: SlurmJobs, place: Place) -> str:
    python = slurm.python or ("python3" if slurm.container else sys.executable)
    if name in ("evaluate", "finish"):
        words = [python, "-m", "acc", "eval", "--watch", str(place.runs / recipe.name), "--once"]
        return shlex.join(words) + (' --step "$1"' if name == "evaluate" else "")
    frozen = place.runs / recipe.name / "jobs" / RECIPE
    words = [python, "-m", "acc", "run", str(frozen), "--runs", str(place.runs)]
    return shlex.join([*words, *{"prepare": ["--until", "pack"], "train": ["--from", "train"], "smoke": ["--smoke"]}[name]])


def _inside(slurm: SlurmJobs) -> str:
    """What stands between srun and the process's own shell: nothing, options of pyxis, or apptainer."""
    container = slurm.container
    if container is None:
        return ""
    if container.runtime == "pyxis":
        words = [f"--container-image={container.image}"]
        words += [f"--container-mounts={','.join(container.mounts)}"] if container.mounts else []
    else:
        binds = [word for mount in container.mounts for word in ("--bind", mount)]
        words = ["apptainer", "exec", "--nv", *binds, container.image]
    return shlex.join(words) + " "


def _options(section: Job, slurm: SlurmJobs, cpus: int | None) -> Iterable[str]:
    for field in ("partition", "account", "qos", "time", "mem", "constraint", "exclude"):
        if (value := _value(field, section, slurm)) is not None:
            yield f"--{field}={value}"
    if cpus:
        yield f"--cpus-per-task={cpus}"


def _gpus(name: str, section: Job, recipe: Recipe) -> Iterable[str]:
    """The request for GPUs of one node; none for a CPU job, and none for evaluations where training has none."""
    if not isinstance(section, GpuJob):
        return
    slurm, server = recipe.launch.slurm, recipe.evaluate.server
    number = section.gpus
    if number is None and name in ("train", "smoke"):
        number = recipe.launch.processes
    elif number is None:
        without = slurm is not None and slurm.train.gpus == 0
        number = 0 if without else server.tensor_parallel if server else 1
    if number:
        yield f"--gres=gpu:{section.gpu_type + ':' if section.gpu_type else ''}{number}"


def _value(field: str, section: Job, slurm: SlurmJobs) -> Any:
    own = getattr(section, field)
    return own if own is not None else getattr(slurm, field)


def _fill(recipe: Recipe, slurm: SlurmJobs, variables: dict[str, Any]) -> str:
    """The template with its variables filled in; a user's own where the recipe names one."""
    if slurm.template:
        path = recipe.resolve(slurm.template)
        if not path.is_file():
            raise UserError(f"{path} is not there", where="launch.slurm.template", mend="Paths are relative to the recipe")
        text = path.read_text(encoding="utf-8")
    else:
        text = (files("acc.launch.submit") / "template.sbatch").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(text).render(variables)
    except jinja2.TemplateSyntaxError as e:
        where = f"launch.slurm.template:{e.lineno}"
        raise UserError(f"this is no template ({e.message})", where=where, mend="Compare it with the one of acc") from e
    except jinja2.UndefinedError as e:
        mend = f"There are {', '.join(sorted(variables))}"
        raise UserError(
            f"the template asks for what is not there ({e.message})", where="launch.slurm.template", mend=mend
        ) from e
