"""Checkpoint folders: whole or ignored, with the state to go on exactly or with weights only."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from acc.errors import UserError
from acc.records.markers import MARKER, Marker, checkpoint_folders, read_marker
from acc.stage.files import write_json
from acc.train.engine import barrier
from acc.train.half_weights import MASTER
from acc.train.parallel import Sizes

STATE = (
    *("global_step*", "optimizer.pt", "scheduler.pt", "rng_state*.pth", "latest", "zero_to_*.py", "trainer_state.json"),
    MASTER,
)
"""What only an exact resume needs: patterns of names in the folder."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where training goes on: `exact` with optimizer state, else from the weights alone with a fresh optimizer."""

    folder: Path
    step: int
    exact: bool


def find_resume(out: Path, key: str, sizes: Sizes) -> Resume | None:
    """Remove half-written checkpoints and find the newest whole one. Every process calls this and gets the same answer.

    Raises:
        UserError: the checkpoints belong to another training (recipe or data changed).
    """
    if sizes.rank == 0:
        for folder in checkpoint_folders(out):
            if read_marker(folder) is None:
                print(f"{folder.name} is half-written and is removed", flush=True)
                shutil.rmtree(folder)
    barrier()
    for folder in reversed(checkpoint_folders(out)):
        marker = read_marker(folder)
        if marker is None:
            continue
        if marker.key != key:
            raise UserError(
                f"{folder.name} was trained with another recipe or other data",
                where=str(out),
                mend="Give the run another name, or delete this folder to train from the start",
            )
        exact = marker.state and (marker.world, marker.sequence) == (sizes.world, sizes.sequence)
        if sizes.rank == 0:
            how = (
                "exactly"
                if exact
                else f"from its weights alone, with a fresh optimizer (its state is for {marker.world} processes)"
            )
            print(f"going on after step {marker.step}, {how}", flush=True)
        return Resume(folder, marker.step, exact)
    return None


def seal(folder: Path, *, step: int, key: str, seed: int, sizes: Sizes, scheduled: bool) -> None:
    """Write the marker once every process is here; give control back when it is on disk."""
    barrier()
    if sizes.rank == 0:
        _mark(folder, Marker(step, key, seed, sizes.world, sizes.sequence, state=True, files={}, scheduled=scheduled))
    barrier()


def drop_old_state(out: Path, keep: int) -> None:
    """Keep what an exact resume needs in the newest `keep` whole checkpoints; of older ones keep the weights."""
    whole = [(f, m) for f in checkpoint_folders(out) if (m := read_marker(f)) is not None]
    for folder, marker in whole[:-keep]:
        if not marker.state:
            continue
        doomed = [p for pattern in STATE for p in folder.glob(pattern)]
        # The marker first: killed in between, the folder is a whole checkpoint of weights with some files too many.
        _mark(folder, replace(marker, state=False), doomed)
        for path in doomed:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _mark(folder: Path, marker: Marker, without: list[Path] | None = None) -> None:
    left_out = set(without or ())
    files = {
        p.relative_to(folder).as_posix(): p.stat().st_size
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MARKER and not left_out & {p, *p.parents}
    }
    write_json(folder / MARKER, {**asdict(marker), "files": files})
