"""Where the documents of a sequence begin and end: found once a forward pass, used in every layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Documents:
    """The documents of one whole sequence.

    Args:
        bounds: where each begins, and the sequence's length, positions: 0 … length.
        cumulative: the same as int32 [documents + 1], on the model's device.
    """

    bounds: tuple[int, ...]
    cumulative: torch.Tensor

    @property
    def length(self) -> int:
        """Of the sequence, positions."""
        return self.bounds[-1]

    @cached_property
    def lengths(self) -> list[int]:
        """Of each document, positions."""
        return [end - start for start, end in zip(self.bounds, self.bounds[1:], strict=False)]

    @cached_property
    def longest(self) -> int:
        """Length of the longest document, positions."""
        return max(self.lengths)


def bounds_of(position_ids: torch.Tensor) -> torch.Tensor:
    """Position ids of a whole sequence [length] → the bounds of its documents, int32 [documents + 1].

    A document begins wherever the position is 0, and the sequence itself begins one.
    """
    starts = position_ids[1:].eq(0).nonzero()[:, 0] + 1
    ends = starts.new_tensor([len(position_ids)])
    return torch.cat([torch.zeros_like(ends), starts, ends]).to(torch.int32)


def documents_at(bounds: torch.Tensor) -> Documents:
    """Bounds, as `bounds_of` gives them → documents. The one point at which a GPU is waited for."""
    return Documents(tuple(bounds.tolist()), bounds)
