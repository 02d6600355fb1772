"""A dry run leaves finished data alone, parts belong to a version of acc, and a killed worker ends the run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compile_material import search_run, write_runs
from teacher_material import Server, recipe_with, said

from acc.compile import dry_run, run
from acc.compile.executors.local import LocalExecutor
from acc.errors import UserError
from acc.lineage.removal import remove
from acc.lineage.runs import open_runs
from acc.recipe import Recipe
from acc.records.sample import read_samples

Checkpoint = Callable[[str], Path]
Asked = Callable[..., Recipe]
RUNS = 4
NOWHERE = "http://127.0.0.1:1/v1"


@pytest.fixture
def asked(checkpoint: Checkpoint) -> Asked:
    """A recipe with a teacher at a URL, another one where it is named."""
    student = checkpoint("hybrid")
    return lambda url, model="sage": recipe_with(student, url, budget=8_000, teacher={"model": model})


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, list[Path]]:
    write_runs(tmp_path / "logs" / "runs.jsonl", [search_run(n) for n in range(RUNS)])
    return {"logs": [tmp_path / "logs"]}


@pytest.fixture
def purged(asked: Asked, inputs: dict[str, list[Path]], tmp_path: Path) -> Path:
    """A finished compile from which one sample was taken out."""
    out = tmp_path / "out"
    with Server(lambda house, *_: said(f"Person{house}", f"Page one says so, house {house}.")) as server:
        assert run(asked(server.url), inputs, out).written == RUNS
    first = next(iter(read_samples(out / "samples.parquet")))
    remove(open_runs([out])[0], [first.sample_id])
    return out


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in found}


def test_a_dry_run_on_a_finished_compile_touches_nothing(asked: Asked, inputs: dict[str, list[Path]], purged: Path) -> None:
    before = files(purged)
    (row,) = dry_run(asked(NOWHERE), inputs, purged).rows
    assert (row.samples, row.settled, row.attempts) == (RUNS - 1, RUNS - 1, 0), "nothing is left to be asked"
    assert files(purged) == before
    run(asked(NOWHERE), inputs, purged)
    assert files(purged) == before, "what was purged stays away, and nobody is asked"


def test_a_dry_run_of_another_recipe_leaves_what_is_finished(asked: Asked, inputs: dict[str, list[Path]], purged: Path) -> None:
    before = files(purged)
    (row,) = dry_run(asked(NOWHERE, "owl"), inputs, purged).rows
    assert (row.samples, row.settled) == (RUNS, 0)
    assert before.items() <= files(purged).items()
    run(asked(NOWHERE), inputs, purged)
    assert files(purged) == before


def test_a_run_after_a_dry_run_of_its_recipe_replaces_what_was_finished(
    asked: Asked, inputs: dict[str, list[Path]], purged: Path
) -> None:
    dry_run(asked(NOWHERE, "owl"), inputs, purged)
    with Server(lambda *_: said("Nobody")) as server:
        assert run(asked(server.url, "owl"), inputs, purged).rejected == {"teacher_failed": RUNS}


def test_parts_of_another_version_of_acc_are_made_anew(
    asked: Asked, inputs: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, recipe = tmp_path / "out" / "parts" / "00000.parquet", asked(NOWHERE)
    # A task a record: a task that is alone keeps no marker, and is done again anyway.
    recipe = recipe.model_copy(update={"compile": recipe.compile.model_copy(update={"task_bytes": 1, "workers": 1})})
    dry_run(recipe, inputs, tmp_path / "out")
    made = part.stat().st_mtime_ns
    dry_run(recipe, inputs, tmp_path / "out")
    assert part.stat().st_mtime_ns == made, "the parts of this version are kept"
    for module in ("acc.compile.pipeline", "acc.stage.manifest"):
        monkeypatch.setattr(f"{module}.__version__", "999.0")
    dry_run(recipe, inputs, tmp_path / "out")
    assert part.stat().st_mtime_ns > made


class DiesOnce:
    """A step whose second task is killed, when the first is done, until `mended` is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        """Run the task `rank`."""
        del data, world_size
        while rank == 1 and not (self.folder / "mended").exists():
            if (self.folder / "logs" / "completions" / "00000").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
        with (self.folder / "ran").open("a") as ran:
            ran.write(f"{rank}\n")


@pytest.mark.timeout(60)
def test_a_killed_worker_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    def local() -> LocalExecutor:
        return LocalExecutor(pipeline=[DiesOnce(tmp_path)], tasks=4, workers=2, logging_dir=str(tmp_path / "logs"))

    with pytest.raises(UserError, match=r"worker was killed.*fewer compile\.workers"):
        local().run_tasks(lambda completed: None)
    kept = len(list((tmp_path / "logs" / "completions").iterdir()))
    (tmp_path / "mended").touch()
    seen: list[int] = []
    local().run_tasks(seen.append)
    assert 1 <= kept < 4
    assert seen == list(range(kept, 5)), "what was done is not done again"
    assert set((tmp_path / "ran").read_text().split()) == {"0", "1", "2", "3"}
