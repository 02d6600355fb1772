"""Which checkpoints a folder has, and which are whole. Needs no torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

MARKER = "acc_checkpoint.json"


@dataclass(frozen=True, slots=True)
class Marker:
    """Written last, when every process has written its part: the folder is whole.

    `key` is the training's (see `acc.train.key.train_key`), `world` and `sequence` the sizes that the state was cut for,
    `state` whether the folder still has it; `files` maps each file's path in the folder to its size in bytes. One that is not
    `scheduled` was saved because the training was told to stop: it is there to go on from, and nothing is measured of it.
    """

    step: int
    key: str
    seed: int
    world: int
    sequence: int
    state: bool
    files: dict[str, int]
    scheduled: bool = True


def checkpoint_folders(out: Path) -> list[Path]:
    """The folders named checkpoint-<step>, by step."""
    found = [p for p in out.glob("checkpoint-*") if p.is_dir() and re.fullmatch(r"checkpoint-\d+", p.name)]
    return sorted(found, key=lambda p: int(p.name.partition("-")[2]))


def read_marker(folder: Path) -> Marker | None:
    """The marker of a whole checkpoint; None where it is missing or a file is not as it says."""
    try:
        marker = Marker(**json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    paths = [(folder / name, size) for name, size in marker.files.items()]
    return marker if all(p.is_file() and p.stat().st_size == size for p, size in paths) else None
