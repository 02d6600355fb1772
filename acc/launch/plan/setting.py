"""What of a recipe decides memory and time: how a step is split, what is trained, in which types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acc.errors import UserError
from acc.launch.plan.architecture import Architecture
from acc.recipe import Recipe

LIVE = 1e9
"""Parameters that DeepSpeed keeps gathered at most before it stops fetching ahead, number (stage3_max_live_parameters)."""
SUB_GROUP = 1e9
"""Elements that its optimizer steps through at a time, number (sub_group_size)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to train the student.

    Args:
        world: processes, one a GPU.
        sequence: processes that share a sequence.
        zero3: whether DeepSpeed runs; a process that is alone without offload trains on plain torch.
        half: the recipe's type is bfloat16.
        at_once: attention's kernel takes all documents in one call, as FlashAttention; else SDPA, one after the other.
        adapted: targets of LoRA; empty for full fine-tuning.
    """

    world: int
    sequence: int
    zero3: bool
    half: bool
    at_once: bool
    checkpointing: bool
    adapted: tuple[str, ...]
    rank: int
    router: bool
    offload: frozenset[str]
    live: float = LIVE
    sub_group: float = SUB_GROUP

    @property
    def data(self) -> int:
        """Sequences in work at once."""
        return self.world // self.sequence

    @property
    def operand(self) -> int:
        """Bytes of what matrix products take."""
        return 2 if self.half else 4

    @property
    def stream(self) -> int:
        """Bytes of the hidden states between layers: alone, torch keeps them in float32 and casts for each product."""
        return 2 if self.half and self.zero3 else 4

    @property
    def weight(self) -> int:
        """Bytes of a parameter that the forward pass reads."""
        return self.stream

    @property
    def casts(self) -> bool:
        """Whether float32 weights are cast for each product (torch's autocast)."""
        return self.half and not self.zero3

    def learns(self, part: str) -> bool:
        """Whether the student's own weights of a part are trained ("attention", "experts", "router", "norms", …)."""
        return not self.adapted and (part != "router" or self.router)

    def feels(self, part: str) -> bool:
        """Whether a part's input must be kept: its weights are trained, or adapters beside them; or DeepSpeed's own linear
        function runs, which keeps the input of frozen weights too. Experts have none of those."""
        return self.learns(part) or part in self.adapted or (self.zero3 and part != "experts")


def setting_of(recipe: Recipe, world: int, *, gpu: bool = True) -> Setting:
    """The setting of a recipe on so many processes.

    Raises:
        UserError: the processes can't be cut into groups of parallel.sequence, or deepspeed.zero_optimization is no section.
    """
    sequence = recipe.parallel.sequence
    if world % sequence:
        raise UserError(
            f"{world} GPU{'s' if world > 1 else ''} can't be cut into groups of {sequence}",
            where="parallel.sequence",
            mend=f"Plan a multiple of {sequence}, or --set parallel.sequence=… to a divisor of {world}",
        )
    zero = recipe.deepspeed.get("zero_optimization", {})
    if not isinstance(zero, Mapping):
        raise UserError(
            f"this is {zero!r}, and DeepSpeed takes a section",
            where="deepspeed.zero_optimization",
            mend="Leave it out, or write names and values under it",
        )
    return Setting(
        world=world,
        sequence=sequence,
        zero3=world > 1 or bool(recipe.parallel.offload or recipe.deepspeed),
        half=recipe.model.dtype == "bfloat16",
        at_once=gpu and recipe.model.attention != "documents_sdpa" and recipe.model.dtype == "bfloat16",
        checkpointing=recipe.train.gradient_checkpointing,
        adapted=tuple(recipe.lora.targets) if recipe.lora else (),
        rank=recipe.lora.rank if recipe.lora else 0,
        router=recipe.moe.router == "trained",
        offload=frozenset(recipe.parallel.offload),
        live=_number(zero, "stage3_max_live_parameters", LIVE),
        sub_group=_number(zero, "sub_group_size", SUB_GROUP),
    )


def check_heads(a: Architecture, s: Setting) -> None:
    """Raise a `UserError` if Ulysses can't share the student's heads out."""
    from acc.train.parallel import Sizes

    Sizes(s.world, 0, 0, s.world, s.sequence).check_heads(a.heads, a.key_heads)


def trained(a: Architecture, s: Setting) -> int:
    """Parameters that the optimizer sees, number: the student's own, or adapters."""
    if not s.adapted:
        return a.total - (0 if s.router else a.parameters["router"])
    return adapters(a, s)


def adapters(a: Architecture, s: Setting) -> int:
    """Parameters of the adapters, number: rank × (inputs + outputs) of each matrix; of a fused one, of each of its experts."""
    dense = a.layers - a.sparse
    sides = {
        "attention": a.layers * (4 * a.width + 2 * a.query + 2 * a.key),
        "mlp": dense * 3 * (a.width + a.intermediate),
        "experts": a.sparse * a.experts * (2 * a.width + 3 * a.expert_width),
        "router": a.sparse * (a.width + a.experts),
    }
    return s.rank * sum(sides[target] for target in s.adapted)


def _number(section: Mapping[str, Any], name: str, default: float) -> float:
    value = section.get(name, default)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
