"""The two tests: equivalence of paired means, and equality of two samples' distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]

_CONFIDENCE = 0.95
# Fewer say too little of how differences are distributed for any test of their mean.
LEAST_PAIRS = 5
# Halvings of a right angle, until neighbouring floats are left.
_HALVINGS = 60
_PERMUTATIONS = 1000
_NULL_QUANTILE = 0.999


@dataclass(frozen=True, kw_only=True)
class PairedChange:
    """The mean of paired differences with its two-sided 90 % confidence interval.

    Two one-sided tests at 5 % each (TOST, Schuirmann 1987) show equivalence within a margin if the interval lies
    inside it. The interval uses Student's quantile with one degree of freedom less than there are pairs; of fewer than
    five pairs it has no ends, so that nothing is shown.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def farthest(self) -> float:
        """The end of the interval that is farther from 0, which is below the margin if equivalence is shown."""
        return max(abs(self.low), abs(self.high))


def paired_change(differences: DoubleArray) -> PairedChange:
    """Returns the mean change of `[N]` paired differences, N at least 1."""
    count = len(differences)
    mean, half = float(differences.mean()), math.inf
    if count >= LEAST_PAIRS:
        half = _student_quantile(count - 1) * float(differences.std(ddof=1)) / math.sqrt(count)
    return PairedChange(mean=mean, low=mean - half, high=mean + half, count=count)


@cache
def _student_quantile(degrees: int) -> float:
    """Returns the 95 % quantile of Student's t with so many degrees of freedom, at least 1.

    Found by bisection of the angle of which `_share_within` is a growing function; exact but for rounding.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _share_within(middle, degrees) < 2 * _CONFIDENCE - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _share_within(angle: float, degrees: int) -> float:
    """Returns P(|T| <= sqrt(degrees) tan(angle)) of Student's t.

    For whole degrees of freedom it is a finite sum (Abramowitz and Stegun 26.7.3 and 26.7.4), of which all terms are
    positive: none cancels another's digits.
    """
    is_odd, square = degrees % 2, math.cos(angle) ** 2
    total, term = 0.0, math.cos(angle) if is_odd else 1.0
    for power in range(is_odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * square
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if is_odd else total


def squared_distance(first: DoubleArray, second: DoubleArray) -> float:
    """Returns the squared maximum mean discrepancy of two samples `[N, D]`.

    The unbiased estimate with the polynomial kernel (x y / D + 1)^3 (Binkowski et al. 2018).
    """
    return _estimate(_kernel(first, first), _kernel(second, second), _kernel(first, second))


def largest_equal_distance(first: DoubleArray, same: DoubleArray, seed: int) -> float:
    """Returns the squared distance that one in a thousand equal pairs of samples exceeds, by a permutation test.

    It takes a second or more for 2,048 samples, and does not depend on what they are compared with.

    Args:
        first: `[N, D]`.
        same: `[N, D]`, of the source of the first.
        seed: Seed of the permutations.
    """
    count = len(first)
    pooled = np.concatenate([first, same])
    gram = _kernel(pooled, pooled)
    diagonal = np.diag(gram)
    rng = np.random.default_rng(seed)
    chosen = np.zeros((_PERMUTATIONS, 2 * count))
    for row in chosen:
        row[rng.permutation(2 * count)[:count]] = 1
    # Sums over pairs within and across the two halves of every permutation, all at once.
    products = chosen @ gram
    within = np.sum(products * chosen, axis=1)
    across = np.sum(products * (1 - chosen), axis=1)
    rest = gram.sum() - within - 2 * across
    own = chosen @ diagonal
    pairs = count * (count - 1)
    null = (within - own) / pairs + (rest - (diagonal.sum() - own)) / pairs - 2 * across / count**2
    return float(np.quantile(null, _NULL_QUANTILE))


def _kernel(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    base: DoubleArray = first @ second.T / first.shape[1] + 1
    # A fifth of the time of base**3.
    return base * base * base


def _estimate(first: DoubleArray, second: DoubleArray, across: DoubleArray) -> float:
    count = len(first)
    within = sum(float(kernel.sum() - np.trace(kernel)) for kernel in (first, second)) / (count * (count - 1))
    return within - 2 * float(across.mean())
