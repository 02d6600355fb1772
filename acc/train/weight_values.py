"""The value of every parameter of a model that has shapes only: read, fused, or, for fresh adapters, drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from acc.errors import UserError
from acc.stage.seeds import seed_for
from acc.train.weight_files import ADAPTERS, WeightFiles
from acc.train.weight_plan import plan_weights, refuse


class Values:
    """Values by the parameters' names. Opening reads headers only and refuses what does not fit.

    Args:
        model: the student on the meta device, with adapters or without.
        source: folder or hub id of its weights.
        adapters: folder of a checkpoint with the adapters' values; None draws fresh ones as PEFT does (A uniform, B zero).
        seed: of fresh adapters; each is a function of the seed and its name.

    Raises:
        UserError: a weight is missing, unexpected or of another shape, or a file can't be read.
    """

    def __init__(
        self, model: Any, source: str, *, revision: str | None = None, adapters: Path | None = None, seed: int = 0
    ) -> None:
        parameters = dict(model.named_parameters(remove_duplicate=False))
        self._model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._plain = {name: plain_name(name) for name in parameters if not is_adapter(name)}
        self._seed = seed
        self._ready: dict[str, torch.Tensor] = {}
        with ExitStack() as opened:
            self._files = opened.enter_context(WeightFiles(source, revision))
            wanted = {plain: parameters[name] for name, plain in self._plain.items()}
            self._plan = plan_weights(self._model, wanted, self._files.shapes, source=source)
            self._check_same(source)
            self._adapters: WeightFiles | None = None
            if adapters is not None:
                self._adapters = opened.enter_context(WeightFiles(str(adapters), names=ADAPTERS))
                check_adapters({n: p for n, p in parameters.items() if is_adapter(n)}, self._adapters)
            self._opened = opened.pop_all()

    @property
    def bytes_read(self) -> int:
        """Bytes read from files so far."""
        return self._files.bytes_read + (self._adapters.bytes_read if self._adapters else 0)

    def of(self, name: str, shape: torch.Size) -> torch.Tensor:
        """A parameter's value in the host's memory, of the file's type; a fresh adapter in float32.

        Args:
            name: as in the model; to be asked for once.
        """
        if (plain := self._plain.get(name)) is not None:
            if plain not in self._plan.groups:  # tied, and the checkpoint has it under the other name
                plain = self._plan.tied[plain]
            if plain not in self._ready:
                self._ready.update(self._plan.groups[plain].make(self._files.read, self._model))
            return self._ready.pop(plain)
        if self._adapters is not None:
            return self._adapters.read(saved_name(name))
        return self._fresh(name, shape)

    def _fresh(self, name: str, shape: torch.Size) -> torch.Tensor:
        value = torch.zeros(shape)
        if ".lora_A." in name:
            drawing = torch.Generator().manual_seed(seed_for(self._seed, "adapter", name))
            nn.init.kaiming_uniform_(value, a=math.sqrt(5), generator=drawing)
        return value

    def _check_same(self, source: str) -> None:
        """The tensors of a tied parameter that the checkpoint holds twice must be equal."""
        for one, other in self._plan.same:
            if not torch.equal(self._files.read(one), self._files.read(other)):
                raise UserError(
                    f"{one} and {other} are tied in the model and differ in the checkpoint",
                    where=source,
                    mend="Set tie_word_embeddings in its config.json to what its weights say",
                )

    def __enter__(self) -> Values:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.close()


def is_adapter(name: str) -> bool:
    """Whether a parameter is a part of an adapter."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """A parameter's name without what PEFT puts around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def saved_name(name: str) -> str:
    """The name under which PEFT saves an adapter's parameter."""
    return name.replace(".default.", ".")


def check_adapters(parameters: Mapping[str, torch.Tensor], files: WeightFiles) -> None:
    """Raise a `UserError` if the files do not hold just these adapters."""
    shapes = files.shapes
    wanted = {saved_name(n): tuple(p.shape) for n, p in parameters.items()}
    refuse(
        files.source,
        {
            "missing": sorted(wanted.keys() - shapes.keys()),
            "unexpected": sorted(shapes.keys() - wanted.keys()),
            "of another shape": sorted(n for n in wanted.keys() & shapes.keys() if wanted[n] != shapes[n]),
        },
    )
