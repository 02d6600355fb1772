"""Fill a model that has shapes only, parameter by parameter: the first process reads, ZeRO-3 spreads and cuts at once.

No process ever holds more than one parameter and what it is made from, so the host's memory is bounded by the largest
parameter and not by the model. The same path serves one process (nothing is cut), full fine-tuning, adapters and resuming.
"""

from __future__ import annotations

import ctypes
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from transformers.integrations.deepspeed import deepspeed_config

from acc.errors import UserError
from acc.train.parallel import Sizes
from acc.train.weight_values import Values


def fill(
    model: nn.Module,
    source: str,
    sizes: Sizes,
    *,
    zero3: bool,
    revision: str | None = None,
    adapters: Path | None = None,
    seed: int = 0,
) -> None:
    """Give every parameter its value and its device, keeping its type and whether it is trained.

    Every process calls this with the same model on the meta device; only the first opens files.

    Args:
        zero3: cut each parameter as soon as it is there; transformers' DeepSpeed configuration must be set.
        source, revision, adapters, seed: as in `acc.train.weight_values.Values`.

    Raises:
        UserError: in every process and before anything is allocated: a weight is missing, unexpected or of another shape.
    """
    begun = time.monotonic()
    opened = _agreed(lambda: Values(model, source, revision=revision, adapters=adapters, seed=seed), sizes)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    cut = _cut_by_zero3() if zero3 else None
    owners = _owners(model)
    with opened as values, _large_blocks_given_back():
        for name, empty in list(model.named_parameters()):
            if values is None:
                value = torch.empty(empty.shape, dtype=empty.dtype, device=device)
            else:
                value = values.of(name, empty.shape).to(empty.dtype).to(device)
            parameter = nn.Parameter(value, requires_grad=empty.requires_grad)
            del value
            for module, attribute in owners[id(empty)]:
                module._parameters[attribute] = parameter
            if cut:
                cut(parameter)
    for module in model.modules():
        for attribute, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[attribute] = buffer.to(device)
    _report(sizes, values.bytes_read if values else 0, time.monotonic() - begun)


def _agreed(opening: Callable[[], Values], sizes: Sizes) -> AbstractContextManager[Values | None]:
    """What opening gives in the first process and None in the others; its mistake is raised in all."""
    values: AbstractContextManager[Values | None] = nullcontext()
    mistake: list[tuple[str, str, str] | None] = [None]
    if sizes.rank == 0:
        try:
            values = opening()
        except UserError as e:
            mistake = [(e.what, e.where, e.mend)]
    if sizes.world > 1:
        dist.broadcast_object_list(mistake, src=0)
    if mistake[0] is not None:
        what, where, mend = mistake[0]
        raise UserError(what, where=where, mend=mend)
    return values


@contextmanager
def _large_blocks_given_back() -> Iterator[None]:
    """Inside, freed memory of a parameter's size goes back to the system at once.

    glibc raises the size from which it does so to that of the largest block freed. Parts that stay would then lie between the
    holes that whole parameters left: on a host without a GPU, two processes grew by twice what they keep.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's own
    m_mmap_threshold = -3
    if mallopt:
        mallopt(m_mmap_threshold, 1 << 20)
    try:
        yield
    finally:
        if mallopt:
            mallopt(m_mmap_threshold, 1 << 25)  # as far as it goes by itself


def _owners(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Where each parameter is used: by its id, the modules and their attributes (several where it is tied)."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append((module, attribute))
    return owners


def _cut_by_zero3() -> Callable[[nn.Parameter], None]:
    """A function that spreads the first process's values of a parameter and leaves each process its own part.

    `deepspeed.zero.Init` of a module does that; a parameter that it has cut can have others cut the same way.
    """
    import deepspeed

    first: list[Any] = []

    def cut(parameter: nn.Parameter) -> None:
        if first:
            first[0].convert_to_zero_parameters(param_list=[parameter])
            return
        holder = nn.Module()
        holder.register_parameter("parameter", parameter)
        deepspeed.zero.Init(module=holder, config_dict_or_path=deepspeed_config())
        first.append(parameter)

    return cut


def _report(sizes: Sizes, bytes_read: int, seconds: float) -> None:
    """Print, once a node, what was read and the most memory that its processes have had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    node = sizes.rank - sizes.local_rank
    peaks = [(node, peak)]
    if sizes.world > 1:
        peaks = [(0, 0)] * sizes.world
        dist.all_gather_object(peaks, (node, peak))
    if sizes.local_rank == 0:
        here = [p for n, p in peaks if n == node]
        print(
            f"weights in place after {seconds:.1f} s, {bytes_read / 1e9:.2f} GB read by this node; peak host memory "
            f"{max(here) / 1e9:.2f} GB in a process, {sum(here) / 1e9:.2f} GB in the node's {len(here)}",
            flush=True,
        )
