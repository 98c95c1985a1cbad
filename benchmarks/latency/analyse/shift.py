"""Rank-based estimates of the shift between two sets of timings, without assuming a noise distribution.

Bounds come from rank tests: the Hodges-Lehmann estimate with the Walsh averages for pairs (Wilcoxon's signed-rank
test), with all differences for two independent samples (Mann and Whitney); Hollander, Wolfe and Chicken 2013, sections
3.3 and 4.3. Both are exact for small samples, and a few outliers hardly affect them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Shift:
    """An estimate with two one-sided bounds, each of which holds with probability 1 - alpha."""

    estimate: float
    low: float
    high: float


def pairs_needed(alpha: float) -> int:
    """Returns the smallest number of pairs that can prove anything at this level."""
    return math.ceil(math.log2(1 / alpha))


def paired_shift(differences: Sequence[float], alpha: float) -> Shift:
    """Returns the median difference within pairs.

    Raises:
        ValueError: there are fewer pairs than the level needs.
    """
    count = len(differences)
    if count < pairs_needed(alpha):
        raise ValueError(f"at least {pairs_needed(alpha)} pairs are needed for the level {alpha:g}, got {count}")
    values = np.asarray(differences, np.float64)
    first, second = np.triu_indices(count)
    averages = np.sort((values[first] + values[second]) / 2)
    # Each rank is on the positive side or not: sums of subsets of 1..n, all of which are equally likely.
    ways = [1.0]
    for rank in range(1, count + 1):
        ways = _added(ways, rank)
    return _bounded(averages, ways, alpha)


def unpaired_shift(before: Sequence[float], after: Sequence[float], alpha: float) -> Shift:
    """Returns the median difference of `after` from `before`, two independent samples.

    Raises:
        ValueError: the samples are too small for the level.
    """
    differences = np.sort(np.subtract.outer(np.asarray(after), np.asarray(before)).ravel())
    ways = _mann_whitney(len(before), len(after))
    if ways[0] / sum(ways) > alpha:
        raise ValueError(f"{len(before)} and {len(after)} values are too few for the level {alpha:g}")
    return _bounded(differences, ways, alpha)


def _bounded(ordered: _Floats, ways: Sequence[float], alpha: float) -> Shift:
    """Returns the bounds; the statistic is the number of ordered values on one side of the true shift."""
    shares = np.cumsum(ways) / sum(ways)
    outside = int(np.searchsorted(shares, alpha, side="right"))
    return Shift(
        estimate=float(np.median(ordered)), low=float(ordered[outside - 1]), high=float(ordered[len(ordered) - outside])
    )


def _added(ways: Sequence[float], rank: int) -> list[float]:
    longer = [*ways, *[0.0] * rank]
    for total, count in enumerate(ways):
        longer[total + rank] += count
    return longer


def _mann_whitney(first: int, second: int) -> list[float]:
    """Returns the number of orders of two samples for each value of U: the coefficients of the Gaussian binomial."""
    ways = [1.0]
    for size in range(1, first + 1):
        # Multiply by (1 - q^(second + size)) and divide by (1 - q^size).
        product = [*ways, *[0.0] * (second + size)]
        for total, count in enumerate(ways):
            product[total + second + size] -= count
        for total in range(size, len(product)):
            product[total] += product[total - size]
        ways = product[: size * second + 1]
    return ways
