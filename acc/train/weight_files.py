"""The tensors in a checkpoint's files, read one at a time.

safetensors are read by seeking and not through a memory map: every page of a map that was touched counts as the process's
memory, so a map of a 61 GB checkpoint would look like a leak and, in a container with a limit, be one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import torch
from transformers.utils import cached_file

from acc.errors import UserError

NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What a checkpoint's weights are called, best first."""
ADAPTERS = ("adapter_model.safetensors",)
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: its file, its first byte in there, its type and shape."""

    file: Path
    begin: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class WeightFiles:
    """The tensors of a checkpoint by name. Opening reads the files' headers only.

    Args:
        source: folder or hub id.
        revision: on the hub.
        names: what the weights' file may be called, best first; one that ends in `.index.json` names the others.

    Raises:
        UserError: there are no weights, a file is missing or cut off, or a tensor is of a type that is not trained.
    """

    def __init__(self, source: str, revision: str | None = None, names: tuple[str, ...] = NAMES) -> None:
        self.source = source
        self.bytes_read = 0
        self._open: dict[Path, BinaryIO] = {}
        self._pickled: dict[str, torch.Tensor] = {}
        self._places: dict[str, Place] = {}
        for file in _find(source, revision, names):
            if file.suffix == ".safetensors":
                self._places.update(_header(file))
            else:
                self._pickled.update(_unpickle(file))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by name."""
        return {n: t.shape for n, t in self._places.items()} | {n: tuple(t.shape) for n, t in self._pickled.items()}

    def read(self, name: str) -> torch.Tensor:
        """One tensor, in the host's memory, as it is in the file."""
        if (pickled := self._pickled.get(name)) is not None:
            self.bytes_read += pickled.nbytes
            return pickled
        place = self._places[name]
        buffer = bytearray(math.prod(place.shape) * place.dtype.itemsize)
        if place.file not in self._open:
            self._open[place.file] = place.file.open("rb")
        file = self._open[place.file]
        file.seek(place.begin)
        if file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise _unreadable(place.file, "it is cut off")
        self.bytes_read += len(buffer)
        return torch.frombuffer(buffer, dtype=place.dtype).reshape(place.shape)

    def __enter__(self) -> WeightFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._open.values():
            file.close()


def _find(source: str, revision: str | None, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        if (found := _fetch(source, revision, name)) is None:
            continue
        if not name.endswith(".index.json"):
            return [found]
        shards = sorted(set(json.loads(found.read_text(encoding="utf-8"))["weight_map"].values()))
        files = {shard: _fetch(source, revision, shard) for shard in shards}
        if absent := [shard for shard, file in files.items() if file is None]:
            raise _unreadable(Path(source), f"{name} names {absent[0]}, which is not there")
        return [file for file in files.values() if file is not None]
    raise _unreadable(Path(source), f"there is none of {', '.join(names)}")


def _fetch(source: str, revision: str | None, name: str) -> Path | None:
    try:
        found = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError) as e:
        raise _unreadable(Path(source), str(e).splitlines()[0]) from e
    return Path(found) if found else None


def _header(file: Path) -> dict[str, Place]:
    """The tensors of a safetensors file: 8 bytes with the header's length (little endian), the header as JSON, the data."""
    size = file.stat().st_size
    with file.open("rb") as f:
        data = 8 + int.from_bytes(f.read(8), "little")
        try:
            header: dict[str, dict[str, Any]] = json.loads(f.read(data - 8)) if data <= size else {}
        except ValueError:
            header = {}
    header.pop("__metadata__", None)
    if not header or data + max(entry["data_offsets"][1] for entry in header.values()) != size:
        raise _unreadable(file, "it is cut off or no safetensors file")
    if odd := next(((n, e["dtype"]) for n, e in header.items() if e["dtype"] not in TYPES), None):
        raise _unreadable(file, f"{odd[0]} is of type {odd[1]}, and quantised weights are not trained")
    return {
        name: Place(file, data + entry["data_offsets"][0], TYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in header.items()
    }


def _unpickle(file: Path) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except (RuntimeError, ValueError, OSError) as e:
        raise _unreadable(file, str(e).splitlines()[0]) from e
    return found


def _unreadable(where: Path, why: str) -> UserError:
    return UserError(f"the weights can't be read: {why}", where=str(where), mend="Download the checkpoint again")
