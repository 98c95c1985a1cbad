"""Statistics of latencies: robust ones, since noise on a computer is never symmetric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_UNSTABLE_MAD_SHARE = 0.1
_FEWEST_VALUES = 30


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of seconds per call."""

    median_s: float
    p90_s: float
    p99_s: float
    mad_s: float
    warnings: tuple[str, ...]


def summarize(values_s: Sequence[float]) -> Summary:
    """Returns the median, percentiles and median absolute deviation, with a warning where they are not to be trusted.

    Raises:
        ValueError: there are no values.
    """
    if not len(values_s):
        raise ValueError("at least one value is needed")
    values = np.asarray(values_s, np.float64)
    median = float(np.median(values))
    mad = float(np.median(np.abs(values - median)))
    warnings = []
    if mad > _UNSTABLE_MAD_SHARE * median:
        warnings.append(f"unstable: half of the calls are more than {mad / median:.0%} off the median")
    if len(values) < _FEWEST_VALUES:
        warnings.append(f"only {len(values)} values")
    return Summary(
        median_s=median,
        p90_s=float(np.quantile(values, 0.9)),
        p99_s=float(np.quantile(values, 0.99)),
        mad_s=mad,
        warnings=tuple(warnings),
    )
