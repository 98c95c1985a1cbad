"""How well scores separate anomalies from normal items: areas under curves, with bootstrap intervals.

Every area depends only on how many items of each kind lie at or above each threshold. Items are put in order once; a
resample changes how often each counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.features import Doubles
from pocketvae.spec import STRICT

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
# The share of normal items up to which a partial area is taken, as the DCASE challenge on machine sound takes it.
FALSE_ALARM_SHARE = 0.1
_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.96
# Resamples: of few items many, of many items fewer, so that intervals take seconds.
_MOST_RESAMPLES, _FEWEST_RESAMPLES, _RESAMPLED_ITEMS = 1000, 200, 2_000_000
# Too few blocks of windows that share time steps say nothing.
_FEWEST_BLOCKS = 5


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: On all items.
        low: Lower end of the interval of 95 %, by the bootstrap; 0 where overlapping windows are too few for one.
        high: Its upper end; 1 where they are.
    """

    __pydantic_config__ = STRICT
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many items lie at or above each threshold, the highest threshold first.

    Attributes:
        false: `[T]` normal items.
        true: `[T]` anomalies.
    """

    false: Integers
    true: Integers


Measure: TypeAlias = Callable[[Counts], float]


class Ranking:
    """Items in the order of their scores."""

    def __init__(self, values: Doubles, anomalous: Flags) -> None:
        """Puts items in order.

        Args:
            values: `[N]` scores.
            anomalous: `[N]`, which items are anomalies.
        """
        self._order = np.argsort(-values, kind="stable")
        ordered = values[self._order]
        # A threshold has all items of its score at or above it.
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._anomalous = anomalous[self._order]

    def counts(self, weights: Integers | None = None) -> Counts:
        """Returns the counts, without thresholds at which no item lies.

        Args:
            weights: `[N]`, how often each item counts; None for once.
        """
        own = np.ones(len(self._order), np.int64) if weights is None else weights[self._order]
        true = np.cumsum(np.where(self._anomalous, own, 0))[self._ends]
        both = np.cumsum(own)[self._ends]
        kept = np.diff(both, prepend=0) > 0
        return Counts(false=(both - true)[kept], true=true[kept])


def rates_of(counts: Counts) -> tuple[Doubles, Doubles]:
    """Returns false-positive and true-positive rates at every threshold, from (0, 0) to (1, 1)."""
    return np.append(0.0, counts.false / counts.false[-1]), np.append(0.0, counts.true / counts.true[-1])


def auroc_of(counts: Counts) -> float:
    """Returns the probability that an anomaly scores higher than a normal item, ties counting half."""
    normal, strange = counts.false[-1], counts.true[-1]
    # Twice the normal items below a threshold, and those at it.
    below = 2 * (normal - counts.false) + np.diff(counts.false, prepend=0)
    return float((np.diff(counts.true, prepend=0) * below).sum() / strange / (2 * normal))


def average_precision_of(counts: Counts) -> float:
    """Returns the area under the precision-recall curve as a sum over thresholds, without interpolation."""
    recall = counts.true / counts.true[-1]
    precision = counts.true / (counts.false + counts.true)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def partial_auroc_of(counts: Counts, share: float = FALSE_ALARM_SHARE) -> float:
    """Returns the area under the ROC curve up to a share of normal items, scaled: 0.5 is chance, 1 is perfect.

    Args:
        counts: Of the scores.
        share: Above 0 and below 1.
    """
    false, true = rates_of(counts)
    # Where a step of the curve lies at the share itself, all its points count: the end is then of no width.
    inside = false <= share
    ends = float(np.interp(share, false, true))
    x, y = np.append(false[inside], share), np.append(true[inside], ends)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    least = share**2 / 2
    return 0.5 * (1 + (area - least) / (share - least))


def average_precision(normal: Doubles, anomalous: Doubles) -> float:
    """Returns `average_precision_of` of scores, `[N]` and `[M]`."""
    return average_precision_of(counts_of(normal, anomalous))


def partial_auroc(normal: Doubles, anomalous: Doubles, share: float = FALSE_ALARM_SHARE) -> float:
    """Returns `partial_auroc_of` of scores, `[N]` and `[M]`."""
    return partial_auroc_of(counts_of(normal, anomalous), share)


def counts_of(normal: Doubles, anomalous: Doubles) -> Counts:
    """Returns the counts of scores, `[N]` of normal items and `[M]` of anomalies."""
    return Ranking(np.concatenate([normal, anomalous]), np.arange(len(normal) + len(anomalous)) >= len(normal)).counts()


def estimates(
    measures: Sequence[Measure],
    values: Doubles,
    anomalous: Flags,
    blocks: npt.NDArray[np.intp],
    seed: int,
    *,
    overlap: bool,
) -> tuple[Estimate, ...]:
    """Returns figures with percentile intervals; a resample without one of the classes gets one item of it.

    Args:
        measures: What is estimated, from the same resamples.
        values: `[N]` scores.
        anomalous: `[N]`, which items are anomalies.
        blocks: `[N]`, the number of each item's block: what is resampled is blocks.
        seed: Of the resamples.
        overlap: Whether items of a block share time steps: few blocks then say little, and their intervals are wider.
    """
    ranking, block_count = Ranking(values, anomalous), int(blocks.max()) + 1
    whole = ranking.counts()
    exact = [measure(whole) for measure in measures]
    if overlap and block_count < _FEWEST_BLOCKS:
        return tuple(Estimate(value=value, low=0.0, high=1.0) for value in exact)
    resampled = (ranking.counts(weights) for weights in _resamples(anomalous, blocks, np.random.default_rng(seed)))
    found = np.array([[measure(counts) for measure in measures] for counts in resampled])
    wider = _widening(block_count) if overlap else 1.0
    return tuple(_interval(value, column, wider) for value, column in zip(exact, found.T, strict=True))


def _resamples(anomalous: Flags, blocks: npt.NDArray[np.intp], rng: np.random.Generator) -> Iterator[Integers]:
    """Yields how often each item is drawn, `[N]`."""
    numbers, place = np.unique(blocks, return_inverse=True)
    for _ in range(min(_MOST_RESAMPLES, max(_FEWEST_RESAMPLES, _RESAMPLED_ITEMS // len(blocks)))):
        drawn = rng.integers(0, len(numbers), len(numbers))
        weights = np.bincount(drawn, minlength=len(numbers))[place]
        strange = int(weights[anomalous].sum())
        if strange in (0, int(weights.sum())):
            weights[rng.choice(np.flatnonzero(anomalous == (strange == 0)), 1)] += 1
        yield weights


def _interval(value: float, resampled: Doubles, wider: float) -> Estimate:
    tail = (1 - _CONFIDENCE) / 2
    low, high = (float(bound) for bound in np.quantile(resampled, [tail, 1 - tail]))
    low, high = min(low, value), max(high, value)
    if wider > 1:
        low, high = max(0.0, value - wider * (value - low)), min(1.0, value + wider * (high - value))
    return Estimate(value=value, low=low, high=high)


def _widening(blocks: int) -> float:
    """Returns how much wider an interval of a mean of few blocks is than the percentiles of its bootstrap.

    The quantile of Student's t lies beyond the normal one (the first term of its expansion, Abramowitz and Stegun
    26.7.5), and resamples have the variance of a population (Hesterberg, What Teachers Should Know About the Bootstrap,
    2015).
    """
    free = blocks - 1
    return math.sqrt(blocks / free) * (1 + (_NORMAL_QUANTILE**2 + 1) / (4 * free))
