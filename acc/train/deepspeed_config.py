"""DeepSpeed's configuration: ours, offload, and over both the recipe's raw `deepspeed:` section with its names checked."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from acc.errors import UserError, UserErrors
from acc.recipe import Recipe


def zero3(recipe: Recipe, *, gpu: bool) -> dict[str, Any]:
    """The configuration of ZeRO-3 for this recipe.

    `reduce_scatter` stays at its default: without it gradients come out about twice too large under Ulysses. Offloaded, the
    optimizer is DeepSpeed's Adam for CPUs on a GPU host (it is compiled at first use), and torch's on a host without a GPU.

    Raises:
        UserError: the raw section has names that DeepSpeed does not know, or values that it refuses.
    """
    zero: dict[str, Any] = {
        "stage": 3,
        "overlap_comm": gpu,
        "contiguous_gradients": True,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "stage3_gather_16bit_weights_on_model_save": True,
    }
    for part, section in (("optimizer", "offload_optimizer"), ("parameters", "offload_param")):
        if part in recipe.parallel.offload:
            zero[section] = {"device": "cpu", "pin_memory": gpu}
    ours = {
        "zero_optimization": zero,
        "bf16": {"enabled": recipe.model.dtype == "bfloat16"},
        "gradient_clipping": recipe.train.max_grad_norm,
        "gradient_accumulation_steps": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": "auto",
        "zero_force_ds_cpu_optimizer": gpu,
    }
    if recipe.deepspeed:
        check_names(recipe.deepspeed)
    return _merged(ours, recipe.deepspeed)


def set_names(section: dict[str, Any], before: str = "") -> list[str]:
    """The dotted names of what a raw section sets, for saying what acc has not tried."""
    found = []
    for name, value in section.items():
        found += set_names(value, f"{before}{name}.") if isinstance(value, dict) and value else [f"{before}{name}"]
    return found


def check_names(section: dict[str, Any]) -> None:
    """See that DeepSpeed knows every name of a raw section, by letting it read the section.

    A name that it never asks for is unknown to it; sections that it has models for refuse unknown names and wrong values
    themselves.

    Raises:
        UserError: some it does not know, each with the nearest name that it does; or a value is refused.
    """
    from deepspeed.runtime.config import DeepSpeedConfig, DeepSpeedConfigError

    whole = _merged({"train_micro_batch_size_per_gpu": 1}, section)
    seen = _Asked(whole)
    try:
        DeepSpeedConfig(seen)
    except ValidationError as e:
        raise UserErrors([_refusal(section, error) for error in e.errors()]) from None
    except (DeepSpeedConfigError, ValueError, AssertionError, TypeError) as e:
        raise UserError(f"DeepSpeed refuses it: {e}", where="deepspeed") from None
    unknown = [(f"deepspeed.{name}", name, seen.asked) for name in section if name not in seen.asked]
    for part, value in seen.items():
        # What DeepSpeed has a model for it takes whole, asking for no name or only for those it has given up.
        if isinstance(value, _Asked) and value.asked and part != "zero_optimization":
            unknown += [(f"deepspeed.{part}.{name}", name, value.asked) for name in value if name not in value.asked]
    if unknown:
        raise UserErrors([_unknown(where, name, known) for where, name, known in unknown])


class _Asked(dict[str, Any]):
    """A dictionary, and those in it, that note the names they are asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__({k: _Asked(v) if isinstance(v, dict) else v for k, v in content.items()})
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _refusal(section: dict[str, Any], error: Any) -> UserError:
    """What a model of DeepSpeed says about one setting."""
    from deepspeed.runtime.config_utils import DeepSpeedConfigModel

    name = str(error["loc"][-1])
    parents = [n.rpartition(".")[0] for n in set_names(section) if n.rpartition(".")[2] == name]
    where = ".".join(["deepspeed", *parents[:1], name])
    if error["type"] != "extra_forbidden":
        return UserError(f"{error['msg']}, not {error['input']!r}", where=where)
    models = [DeepSpeedConfigModel]
    for model in models:
        models += model.__subclasses__()
    fields = {field.alias or known for model in models for known, field in model.model_fields.items()}
    return _unknown(where, name, fields)


def _unknown(where: str, name: str, known: set[str]) -> UserError:
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return UserError("DeepSpeed does not know this setting", where=where, mend=f"The nearest that it knows is {nearest[0]}")


def _merged(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """`theirs` over `ours`, section by section."""
    both = dict(ours)
    for name, value in theirs.items():
        both[name] = _merged(both[name], value) if isinstance(value, dict) and isinstance(both.get(name), dict) else value
    return both
