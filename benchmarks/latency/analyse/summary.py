"""Robust statistics of latencies, with bootstrap intervals.

Noise on a computer is never symmetric, hence robust statistics. Values of one round are similar, because they were
taken within milliseconds of one another. The bootstrap therefore draws whole rounds (Davison and Hinkley 1997, section
3.8): intervals then show how far another run may be, not how precisely one moment was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks.latency.results import Interval, Ratio

_Floats = npt.NDArray[np.float64]
_UNSTABLE_MAD_SHARE = 0.1
_UNSTABLE_TAIL = 1.5
_UNSTABLE_INTERVAL_SHARE = 0.05
_FEWEST_VALUES = 30
_RESAMPLES = 400
_OUTSIDE = (0.025, 0.975)
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary statistics of seconds per call."""

    median_s: float
    median_interval_s: Interval
    p90_s: float
    p90_interval_s: Interval
    p99_s: float
    p99_interval_s: Interval
    mad_s: float
    warnings: tuple[str, ...]


def summarize(values_s: Sequence[float], *, rounds: int | None = None) -> Summary:
    """Returns the median, percentiles and median absolute deviation, with warnings if they are unreliable.

    Args:
        values_s: Seconds per call in the order measured.
        rounds: Number of rounds of equal length in which they were taken; None means one round per value.

    Raises:
        ValueError: there are no values.
    """
    turns = _turns(values_s, rounds)
    values = turns.ravel()
    median, p90, p99 = (float(value) for value in np.quantile(values, (0.5, 0.9, 0.99)))
    mad = float(np.median(np.abs(values - median)))
    resampled = turns[_draws(len(turns))].reshape(_RESAMPLES, -1)
    intervals = [_interval(column) for column in np.quantile(resampled, (0.5, 0.9, 0.99), axis=1)]
    return Summary(
        median_s=median,
        median_interval_s=intervals[0],
        p90_s=p90,
        p90_interval_s=intervals[1],
        p99_s=p99,
        p99_interval_s=intervals[2],
        mad_s=mad,
        warnings=_warnings(len(values), median, mad, p90, intervals[0]),
    )


def ratio_of_medians(above_s: Sequence[float], above_rounds: int, below_s: Sequence[float], below_rounds: int) -> Ratio:
    """Returns the ratio of two medians; rounds are drawn in pairs if both were timed in the same rounds.

    Raises:
        ValueError: there are no values.
    """
    above, below = _turns(above_s, above_rounds), _turns(below_s, below_rounds)
    draws = _draws(len(above))
    other = draws if len(above) == len(below) else _draws(len(below))
    ratios = np.median(above[draws].reshape(_RESAMPLES, -1), axis=1) / np.median(
        below[other].reshape(_RESAMPLES, -1), axis=1
    )
    return Ratio(value=float(np.median(above) / np.median(below)), interval=_interval(ratios))


def round_medians(values_s: Sequence[float], rounds: int) -> _Floats:
    """Returns the median of every round, in seconds."""
    medians: _Floats = np.median(_turns(values_s, rounds), axis=1)
    return medians


def _turns(values_s: Sequence[float], rounds: int | None) -> _Floats:
    if not len(values_s):
        raise ValueError("at least one value is needed")
    count = len(values_s) if rounds is None or len(values_s) % rounds else rounds
    return np.asarray(values_s, np.float64).reshape(count, -1)


def _draws(count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))


def _interval(values: _Floats) -> Interval:
    low, high = np.quantile(values, _OUTSIDE)
    return Interval(low=float(low), high=float(high))


def _warnings(count: int, median: float, mad: float, p90: float, interval: Interval) -> tuple[str, ...]:
    warnings = []
    if mad > _UNSTABLE_MAD_SHARE * median:
        warnings.append(f"unstable: half of the calls are more than {mad / median:.0%} off the median")
    if p90 > _UNSTABLE_TAIL * median:
        warnings.append(f"unstable: one call in ten takes {p90 / median:.1f} times the median")
    uncertain = (interval.high - interval.low) / 2
    if uncertain > _UNSTABLE_INTERVAL_SHARE * median:
        warnings.append(f"unstable: the median is known to +-{uncertain / median:.0%}")
    if count < _FEWEST_VALUES:
        warnings.append(f"only {count} values")
    return tuple(warnings)
