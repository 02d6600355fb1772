"""Adapters merged into their base, weight by weight: a folder that from_pretrained and vLLM load.

A shard of the output and the largest weight in float32 are all that is in memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from peft import PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import LoraLayer
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import cached_file

from acc.errors import UserError
from acc.records.adapters import BASE
from acc.stage.files import write_json
from acc.train.loading import TOKENIZER_FILES
from acc.train.weight_values import Values, is_adapter, plain_name

SHARD = 2_000_000_000
"""Bytes of a file of weights, at most (or one fused weight)."""
COPIED = (*TOKENIZER_FILES, "generation_config.json")
QUIETLY = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors", "gated_repo")}


def merge(checkpoint: Path, out: Path, base: str | None = None, *, shard_bytes: int = SHARD) -> dict[str, int]:
    """Write the base with a checkpoint's adapters in its weights, of the base's types and under its per-expert names.

    Args:
        checkpoint: folder with adapter_config.json; its tokenizer and template are copied, else the base's.
        out: a new or empty folder.
        base: folder or hub id; None takes what the adapters say they were trained on, at the revision that they say.

    Returns:
        Numbers: "weights" written, "merged" of them, "files", "bytes".

    Raises:
        UserError: there are no adapters, they do not fit the base, or `out` is not empty.
    """
    if not (checkpoint / "adapter_config.json").is_file():
        raise UserError(
            "there are no adapters here (no adapter_config.json)",
            where=str(checkpoint),
            mend="Name a checkpoint of a training with lora; others are whole as they are",
        )
    if out.exists() and any(out.iterdir()):
        raise UserError("the folder is not empty", where=str(out), mend="Name a new one")
    adapter = PeftConfig.from_pretrained(str(checkpoint))
    source, revision = base or str(adapter.base_model_name_or_path), None if base else adapter.revision
    # RoPE scaling that was trained with is in the checkpoint's configuration, if that is there.
    scaled = checkpoint / BASE
    model = _shapes(source, str(scaled) if (scaled / "config.json").is_file() else source, adapter, revision)
    plain: Any = model.get_base_model()
    layers = {(id(m.get_base_layer()), _attribute(m)): m for m in model.modules() if isinstance(m, LoraLayer)}
    names = {id(p): n for n, p in model.named_parameters()}
    owners = {id(p): (m, a) for m in model.modules() for a, p in m._parameters.items() if p is not None}
    writer = Shards(out, shard_bytes)
    counts = {"weights": 0, "merged": 0}
    with Values(model, source, revision=revision, adapters=checkpoint) as values:
        for name, empty in list(model.named_parameters()):
            if is_adapter(name):
                continue
            value = values.of(name, empty.shape)
            module, attribute = owners[id(empty)]
            if layer := layers.get((id(module), attribute)):
                value = _merged(layer, module, attribute, value, lambda p: values.of(names[id(p)], p.shape))
                counts["merged"] += 1
            counts["weights"] += 1
            for saved, part in revert_weight_conversion(plain, {plain_name(name): value}).items():
                writer.add(saved, part)
    writer.close()
    plain.config.save_pretrained(out)
    for name in COPIED:
        own = checkpoint / name
        if found := own if own.is_file() else cached_file(source, name, revision=revision, **QUIETLY):
            shutil.copyfile(found, out / name)
    return {**counts, "files": len(writer.files), "bytes": writer.bytes}


class Shards:
    """Writes tensors to safetensors files of a bounded size, and the index of several."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limit, self.bytes = folder, limit, 0
        self.files: list[list[str]] = []
        self._waiting: dict[str, torch.Tensor] = {}

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Keep a tensor to be written, and write those before it if the file would grow too large."""
        if self._waiting and sum(t.nbytes for t in self._waiting.values()) + tensor.nbytes > self.limit:
            self._flush()
        self._waiting[name] = tensor.contiguous()
        self.bytes += tensor.nbytes

    def close(self) -> None:
        """Write the rest, and give the files their names."""
        self._flush()
        total = len(self.files)
        if total == 1:
            self._partial(0).rename(self.folder / "model.safetensors")
            return
        called = [f"model-{i + 1:05}-of-{total:05}.safetensors" for i in range(total)]
        for i, name in enumerate(called):
            self._partial(i).rename(self.folder / name)
        index = {tensor: called[i] for i, tensors in enumerate(self.files) for tensor in tensors}
        write_json(self.folder / "model.safetensors.index.json", {"metadata": {"total_size": self.bytes}, "weight_map": index})

    def _flush(self) -> None:
        save_file(self._waiting, self._partial(len(self.files)), metadata={"format": "pt"})
        self.files.append(list(self._waiting))
        self._waiting = {}

    def _partial(self, number: int) -> Path:
        return self.folder / f"partial-{number}.safetensors"


def _shapes(source: str, configuration: str, adapter: PeftConfig, revision: str | None) -> PeftModel:
    try:
        dtype = AutoConfig.from_pretrained(source, revision=revision).dtype
        config = AutoConfig.from_pretrained(configuration, revision=revision if configuration == source else None)
    except (OSError, ValueError) as e:
        raise UserError(
            f"the base {source!r} can't be read ({str(e).splitlines()[0]})", where="--base", mend="Name its folder"
        ) from e
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    model.config.dtype = dtype
    return get_peft_model(model, adapter, autocast_adapter_dtype=False, low_cpu_mem_usage=True)


def _attribute(layer: Any) -> str:
    """The attribute of the base layer that an adapter changes."""
    return str(getattr(layer, "parameter_name", "weight"))


def _merged(
    layer: Any, module: torch.nn.Module, attribute: str, value: torch.Tensor, of: Callable[[torch.nn.Parameter], torch.Tensor]
) -> torch.Tensor:
    """A weight with its adapter in it, computed in float32 by PEFT, in the weight's type."""
    for part in (layer.lora_A["default"], layer.lora_B["default"]):
        part.weight = torch.nn.Parameter(of(part.weight).float(), requires_grad=False)
    kept = module._parameters[attribute]
    module._parameters[attribute] = torch.nn.Parameter(value.float(), requires_grad=False)
    layer.merge(safe_merge=True, adapter_names=["default"])
    merged = getattr(module, attribute).data.to(value.dtype)
    module._parameters[attribute] = kept
    return torch.as_tensor(merged)
