"""Where a series of figures changed its level.

Figures of parity and size repeat exactly, so that one other value is a change. Times do not: there a split of the
series counts if a random order of its values would hardly ever be split as clearly, by the difference of the means in
units of its standard error; then both parts are looked at in the same way. The method is that of Matteson and James,
"A nonparametric approach for multiple change point analysis of multivariate data" (2014), for means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

# Smaller changes come from rounding in another machine's kernels, or are of no importance.
_SAME_SHARE, _SAME_TIME_SHARE = 0.01, 0.03
# On each side of a change of what varies: with fewer, chance alone makes as clear a split too often.
_FEWEST = 4
_PERMUTATIONS = 999
_LEVEL = 0.01


def change_points(values: Sequence[float], *, is_exact: bool) -> tuple[int, ...]:
    """Returns the places at which a new level begins, in order.

    Args:
        values: Figures in the order of their results, all finite.
        is_exact: Whether they repeat exactly, as all but times do.
    """
    series = np.asarray(values, np.float64)
    if is_exact:
        return tuple(place for place in range(1, len(series)) if _differ(series[place - 1], series[place], _SAME_SHARE))
    return tuple(sorted(_splits(series, 0)))


def _differ(before: float, after: float, share: float) -> bool:
    return abs(after - before) > share * max(abs(before), abs(after))


def _splits(series: Values, start: int) -> list[int]:
    """Returns the places of the changes inside one part, which begins at `start`."""
    if len(series) < 2 * _FEWEST:
        return []
    place, clearness = _clearest(series)
    # From the same seed for the same series, so that a page does not change by itself.
    rng = np.random.default_rng(len(series))
    as_clear = sum(_clearest(rng.permutation(series))[1] >= clearness for _ in range(_PERMUTATIONS))
    if (as_clear + 1) / (_PERMUTATIONS + 1) > _LEVEL:
        return []
    before, after = float(np.median(series[:place])), float(np.median(series[place:]))
    rest = [*_splits(series[:place], start), *_splits(series[place:], start + place)]
    return [start + place, *rest] if _differ(before, after, _SAME_TIME_SHARE) else rest


def _clearest(series: Values) -> tuple[int, float]:
    """Returns the split with the largest difference of means, in units of what it would be by chance."""
    count = len(series)
    left = np.arange(_FEWEST, count - _FEWEST + 1)
    sums = np.cumsum(series)
    means = sums[left - 1] / left, (sums[-1] - sums[left - 1]) / (count - left)
    clearness = np.abs(means[0] - means[1]) * np.sqrt(left * (count - left) / count)
    best = int(np.argmax(clearness))
    return int(left[best]), float(clearness[best])


def ratio(before: float, after: float) -> float | None:
    """Returns how much larger a figure is than before, as a share; None where it was 0."""
    return (after - before) / abs(before) if before and math.isfinite(after) else None
