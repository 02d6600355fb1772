"""Means with bootstrap 95% intervals, over rows and over paired rows: the same numbers in evaluation and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
"""Bootstrap samples; the interval's ends move by about 2% of its width from one seed to another."""

BLOCK = 1_000_000
"""Numbers drawn at once."""


class Mean(NamedTuple):
    """A mean over n rows with its 95% interval; all zero where n is 0."""

    mean: float
    ci95: tuple[float, float]
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero: for a difference, whether it is more than chance."""
        return self.ci95[0] > 0 or self.ci95[1] < 0


def mean(values: Iterable[float], *, seed: int = 0) -> Mean:
    """The mean and its percentile bootstrap interval: rows are drawn with replacement `RESAMPLES` times.

    The same values in the same order give the same interval. Rows that are all alike give an interval of no width, however
    few they are: read n beside it. A value is a row's: of several answers to one row give their mean, or the interval would
    take them for as many rows.
    """
    data: NDArray[np.float64] = np.fromiter(values, dtype=np.float64)
    if not data.size:
        return Mean(0.0, (0.0, 0.0), 0)
    return Mean(float(data.mean()), _ci95(_resampled(data, np.random.default_rng(seed))), int(data.size))


def mean_of_bins(bins: Iterable[Iterable[float]], *, seed: int = 0) -> Mean:
    """The mean of the bins' means, every bin weighing the same, with a bootstrap stratified by bin.

    Rows are drawn with replacement within their bin, so that each bin keeps its size.

    Args:
        bins: the values of each bin's rows; empty bins are left out.

    Returns:
        With n the number of rows in all bins.
    """
    filled = [d for d in (np.fromiter(values, dtype=np.float64) for values in bins) if d.size]
    if not filled:
        return Mean(0.0, (0.0, 0.0), 0)
    draw = np.random.default_rng(seed)
    means = np.mean([_resampled(data, draw) for data in filled], axis=0)
    return Mean(float(np.mean([d.mean() for d in filled])), _ci95(means), sum(d.size for d in filled))


def paired(a: Mapping[str, float], b: Mapping[str, float], *, seed: int = 0) -> Mean:
    """The mean of a − b over the rows that both have, with the interval of the differences.

    Pairing takes out how hard each row is, so the interval is narrower than that of two separate means.

    Args:
        a, b: row key → the row's value.
    """
    return mean(differences(a, b).values(), seed=seed)


def differences(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """a − b of the rows that both have, in the order of their keys."""
    return {key: a[key] - b[key] for key in sorted(a.keys() & b.keys())}


def _resampled(data: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    """Means of `RESAMPLES` draws of all rows, [RESAMPLES]."""
    # Many resamples at once are fast; a block of them bounds the memory, whatever n.
    block = max(1, BLOCK // data.size)
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    return np.concatenate([data[draw.integers(0, data.size, (size, data.size))].mean(axis=1) for size in sizes])


def _ci95(means: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
