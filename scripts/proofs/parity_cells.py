"""The cells of the parity matrix: what is trained, on what, and how it is split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations, islice, product
from typing import Any

SPLITS = [(world, sequence) for world in (1, 2, 4) for sequence in (1, 2, 4) if world % sequence == 0]
"""(processes, processes that share a sequence)."""
STEPS = 3
"""Optimizer steps of a cell: an adapter's A has no gradient at the first, where its B is still 0."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a tiny student.

    `labels`: "last" (each sequence ends in its only labels), "mixed" (numbers and places differ from document to document) or
    "none" (mixed, and some sequences have none at all). `trained`: "full" or "lora", adapters on attention and on experts and
    router (of a dense student: on its mlp). `kind`: "moe", "dense" or "llama". `reduction`: train.loss_reduction. Gradients
    are clipped where `clipped`, activations recomputed where `recomputed`.
    """

    world: int
    sequence: int
    packed: bool
    labels: str
    accumulation: int
    trained: str
    kind: str
    reduction: str = "token"
    clipped: bool = False
    recomputed: bool = False

    @property
    def rows(self) -> int:
        """Sequences of a step."""
        return self.world // self.sequence * self.accumulation

    @property
    def name(self) -> str:
        """A name that no other cell has."""
        packed = "packed" if self.packed else "single"
        extras = "".join(f"-{word}" for word in ("clipped", "recomputed") if getattr(self, word))
        return (
            f"w{self.world}-sp{self.sequence}-{packed}-{self.labels}-acc{self.accumulation}-{self.trained}-{self.kind}"
            f"-{self.reduction}{extras}"
        )

    @property
    def data(self) -> str:
        """Cells with the same data see the same documents, step by step."""
        return f"{'packed' if self.packed else 'single'}-{self.labels}-{self.rows}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `Cell(**…)` reads it."""
        return asdict(self)


def matrix() -> list[Cell]:
    """Every combination, and for each split some cells with a Llama and with every sample weighing the same.

    Clipping and recomputing are in half of the cells, so that each meets every value of every other factor.
    """
    cells = []
    for world, sequence in SPLITS:
        factors = product((False, True), ("last", "mixed", "none"), (1, 2), ("full", "lora"), ("dense", "moe"))
        for packed, labels, accumulation, trained, kind in factors:
            odd = (packed, labels == "mixed", accumulation == 2, trained == "lora", kind == "moe")
            clipped, recomputed = sum(odd) % 2 == 1, sum(odd[1:4]) % 2 == 1
            cells.append(
                Cell(world, sequence, packed, labels, accumulation, trained, kind, clipped=clipped, recomputed=recomputed)
            )
        for trained in ("full", "lora"):
            cells.append(Cell(world, sequence, True, "mixed", 2, trained, "llama", clipped=trained == "full"))
        for kind in ("dense", "moe"):
            cells.append(Cell(world, sequence, True, "mixed", 2, "full", kind, "sample", clipped=kind == "moe"))
    return cells


def pairwise(cells: Iterable[Cell]) -> list[Cell]:
    """A few of the cells in which every two values of two factors that meet anywhere, meet: greedily the one with most new.

    And one with a Llama, and one where every sample weighs the same.
    """
    cells = list(cells)
    left = [c for c in cells if c.kind != "llama" and c.reduction == "token"]
    open_pairs = {pair for cell in left for pair in _pairs(cell)}
    chosen = []
    while open_pairs:
        best = max(left, key=lambda cell: len(open_pairs & _pairs(cell)))
        chosen.append(best)
        open_pairs -= _pairs(best)
    llama = (c for c in cells if c.kind == "llama" and c.trained == "lora" and c.sequence == 2)
    sample = (c for c in cells if c.reduction == "sample" and c.kind == "moe" and c.world > c.sequence > 1)
    return [*chosen, *islice(llama, 1), *islice(sample, 1)]


def _pairs(cell: Cell) -> set[Any]:
    """Pairs of values; clipping and recomputing follow from the others and take no part."""
    values = {k: v for k, v in cell.as_dict().items() if k not in ("clipped", "recomputed")}
    return set(combinations(values.items(), 2))
