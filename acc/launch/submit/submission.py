"""Writing a run's scripts to runs/<name>/jobs and giving them to Slurm.

```
jobs/
  recipe.yaml                         the recipe as it was then, which the jobs read
  prepare.sbatch, train.sbatch, …     what was submitted; may be read, and submitted by hand
  ids/<name>                          the id of each job: prepare, train, evaluate-0, evaluate-20, finish
  logs/<stage>/<id>-<restart>/        a folder an attempt: batch.log, a log a process (0.log, …), ended-<rank>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acc.errors import UserError
from acc.launch.submit.jobs import RECIPE, Place, Script, evaluates, scripts, smoke_script
from acc.launch.submit.queue import ids_of, sbatch, states
from acc.recipe import Recipe
from acc.recipe.where import check_inline, check_watch
from acc.stage.files import write_text
from acc.stage.manifest import is_done, read_manifest


@dataclass(frozen=True, slots=True)
class Call:
    """One call of sbatch: the job's name in ids/, the name of the job that must end well before it, the script's arguments."""

    name: str
    script: str
    after: str = ""
    arguments: tuple[str, ...] = ()


def planned(recipe: Recipe, place: Place, *, smoke: bool) -> tuple[list[Script], list[Call]]:
    """The scripts of a submission and the calls of sbatch, in order. Checkpoints are submitted by the training's script.

    Raises:
        UserError: the recipe cannot be submitted.
    """
    if smoke:
        script = smoke_script(recipe, place)
        return [script], [Call("smoke", script.file)]
    check_inline(recipe)
    if evaluates(recipe):
        check_watch(recipe)
    written = scripts(recipe, place)
    folder = place.runs / recipe.name
    if _trained(recipe, folder):
        # Prepare has nothing to prepare: it notes the recipe as it is now, by which the rest is evaluated.
        ends = [Call("prepare", "prepare.sbatch"), Call("finish", "finish.sbatch", after="prepare")]
        return written, ends if evaluates(recipe) else []
    calls = [Call("prepare", "prepare.sbatch"), Call("train", "train.sbatch", after="prepare")]
    if evaluates(recipe) and recipe.evaluate.base:
        # Before training, so that its id is known when the first checkpoint is submitted.
        calls.insert(1, Call("evaluate-0", "evaluate.sbatch", after="prepare", arguments=("0",)))
    return written, calls


def submit(folder: Path, recipe: str, written: Sequence[Script], calls: Sequence[Call]) -> dict[str, str]:
    """Write the recipe and the scripts, call sbatch, note the ids; return them by the jobs' names.

    Args:
        folder: runs/<name>.
        recipe: as YAML that depends on no other file.

    Raises:
        UserError: jobs of an earlier submission are still queued or run, or sbatch refuses.
    """
    check_idle(folder)
    jobs = folder / "jobs"
    for name in ("ids", "logs"):
        (jobs / name).mkdir(parents=True, exist_ok=True)
    if {call.name for call in calls} != {"smoke"}:
        for old in (jobs / "ids").iterdir():
            old.unlink()
    write_text(jobs / RECIPE, recipe)
    for script in written:
        write_text(jobs / script.file, script.text)
    ids: dict[str, str] = {}
    for call in calls:
        ids[call.name] = sbatch(words(call, jobs, ids))
        write_text(jobs / "ids" / call.name, ids[call.name] + "\n")
    return ids


def words(call: Call, jobs: Path, ids: dict[str, str]) -> list[str]:
    """The arguments of sbatch; a job whose id is not in `ids` is named as <name>."""
    after = (
        [f"--dependency=afterok:{ids.get(call.after, f'<{call.after}>')}", "--kill-on-invalid-dep=yes"] if call.after else []
    )
    return [*after, str(jobs / call.script), *call.arguments]


def check_idle(folder: Path) -> None:
    """Refuse a second submission beside one that lives: two trainings would write one folder.

    Raises:
        UserError: a job of the run is queued or runs.
    """
    known = states(ids_of(folder).values())
    if active := [state for state in known.values() if state.is_active]:
        named = ", ".join(f"{state.id} ({state.state.lower()})" for state in active)
        raise UserError(
            f"the run has jobs already: {named}",
            where=str(folder),
            mend=f"Wait for them (acc status {folder}), or scancel {' '.join(state.id for state in active)}",
        )


def _trained(recipe: Recipe, folder: Path) -> bool:
    """Whether only an evaluation is left to do, as far as the recipe says it: logs may have changed, which compiling sees."""
    from acc.launch.stale import changed_since_compiled, changed_since_packed
    from acc.train import train_key

    compiled, packed = read_manifest(folder / "compile"), read_manifest(folder / "pack")
    if compiled is None or packed is None or not is_done(folder / "train", train_key(recipe, folder / "pack")):
        return False
    return not changed_since_compiled(recipe, compiled) and not changed_since_packed(recipe, packed)
