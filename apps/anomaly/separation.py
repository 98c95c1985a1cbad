"""How well scores separate anomalies from normal items: areas under curves, with intervals.

Every area depends only on how many items of each kind lie at or above each threshold. Items are put in order once;
weights change how often each counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
_NORMAL_QUANTILE = 1.959964
# How often blocks with anomalies, and others, are left out in turn: so intervals of many items take seconds.
_MOST_GROUPS = 50
# Without two blocks of a kind there is no variance.
_FEWEST_OF_A_KIND = 2
# Too few blocks of windows that share time steps say nothing.
_FEWEST_BLOCKS = 5
# With 0, the least of the shares in docs/anomalies.md is 87 %: that of 10 anomalies of N(2.5, 1).
_DOUBT = 0.3
# Of quantiles: how many standard deviations or lengths of a tail on either side are looked at, in how many steps.
_REACH, _STEPS = 25.0, 1 << 12
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: On all items.
        low: Lower end of the interval of 95 %; 0 where there are too few items for one.
        high: Its upper end; 1 where there are.
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


# The areas, and the least that each can be.
_AREAS: tuple[tuple[Measure, float], ...] = (
    (auroc_of, 0.0),
    (average_precision_of, 0.0),
    (partial_auroc_of, (1 - FALSE_ALARM_SHARE) / (2 - FALSE_ALARM_SHARE)),
)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Areas without some of the items.

    Attributes:
        blocks: Number of blocks in this part of the items.
        areas: `[G, 3]`, the areas without one of its blocks at a time, or without several neighbours.
    """

    blocks: int
    areas: Doubles


def estimates(
    values: Doubles, anomalous: Flags, blocks: npt.NDArray[np.intp], *, overlap: bool
) -> tuple[Estimate, ...]:
    """Returns AUROC, average precision and partial AUROC, with intervals.

    The variance of an area is that of the jackknife over blocks, those with anomalies apart from all others; for the
    AUROC of independent items it is DeLong's (1988). The interval is that of Clopper and Pearson for as many draws as
    have this variance (Korn and Graubard, Survey Methodology 24, 1998): it stays within the area's range, and where an
    area is 1 it is that of as many draws as there are blocks of the rarer kind. A variance of few blocks is uncertain,
    for which Student's t stands. And by chance it may be far too small: `_DOUBT` of a block has the largest variance
    that there can be. How often intervals hold the area, by simulation: docs/anomalies.md.

    Args:
        values: `[N]` scores.
        anomalous: `[N]`, which items are anomalies: some of them, and not all.
        blocks: `[N]`, the number of each item's block: what is left out is blocks.
        overlap: Whether items of a block share time steps: few blocks then say nothing.
    """
    ranking = Ranking(values, anomalous)
    whole, rarer = ranking.counts(), min(len(np.unique(blocks[kind])) for kind in (anomalous, ~anomalous))
    is_known = rarer > 1 and not (overlap and len(np.unique(blocks)) < _FEWEST_BLOCKS)
    parts = _without_blocks(ranking, anomalous, blocks) if is_known else []
    found = []
    for index, (measure, least) in enumerate(_AREAS):
        value, low, high = measure(whole), 0.0, 1.0
        if parts:
            own = [_Part(blocks=part.blocks, areas=(part.areas[:, index] - least) / (1 - least)) for part in parts]
            low, high = (least + (1 - least) * end for end in _interval((value - least) / (1 - least), own, rarer))
        found.append(Estimate(value=value, low=min(low, value), high=max(high, value)))
    return tuple(found)


def _without_blocks(ranking: Ranking, anomalous: Flags, blocks: npt.NDArray[np.intp]) -> list[_Part]:
    """Returns the areas without blocks with anomalies, and without others; nothing where all of a kind lie together."""
    numbers, place = np.unique(blocks, return_inverse=True)
    has_anomalies = np.bincount(place, anomalous, len(numbers)) > 0
    kinds = [np.flatnonzero(has_anomalies == kind) for kind in (True, False)]
    if min(map(len, kinds)) < _FEWEST_OF_A_KIND:
        kinds = [np.arange(len(numbers))]
    parts = []
    for kind in kinds:
        areas = []
        for own in np.array_split(kind, min(len(kind), _MOST_GROUPS)):
            weights = np.ones(len(numbers), np.int64)
            weights[own] = 0
            counts = ranking.counts(weights[place])
            if not (len(counts.true) and counts.true[-1] and counts.false[-1]):
                return []
            areas.append([measure(counts) for measure, _ in _AREAS])
        parts.append(_Part(blocks=len(kind), areas=np.array(areas)))
    return parts


def _interval(area: float, parts: Sequence[_Part], rarer: int) -> tuple[float, float]:
    """Returns the ends of the interval of an area between 0 and 1; see `estimates`."""
    largest = area * (1 - area)
    draws = float(rarer)
    if largest > 0:
        terms = [_term(part, largest) for part in parts]
        variance = sum(own for own, _ in terms)
        # Welch (1947), Satterthwaite (1946).
        degrees = variance**2 / sum(own**2 / free for own, free in terms)
        draws = largest / variance * (_NORMAL_QUANTILE / student_quantile(degrees)) ** 2
    hits, tail = area * draws, (1 - _CONFIDENCE) / 2
    low = beta_quantile(tail, hits, draws - hits + 1) if area > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, draws - hits) if area < 1 else 1.0
    return low, high


def _term(part: _Part, largest: float) -> tuple[float, float]:
    """Returns what a part adds to an area's variance, and its degrees of freedom."""
    groups = len(part.areas)
    own = (groups - 1) * float(np.var(part.areas))
    doubt = _DOUBT / (part.blocks - 1 + _DOUBT)
    return (1 - doubt) * own + doubt * largest / part.blocks, groups - 1 + _DOUBT


def student_quantile(degrees: float) -> float:
    """Returns the value that Student's t exceeds in size in one case of 20.

    Args:
        degrees: Of freedom, above 0.
    """
    odds = _beta_log_odds(_CONFIDENCE, 0.5, degrees / 2)
    return math.sqrt(degrees) * math.exp(odds / 2)


def beta_quantile(share: float, a: float, b: float) -> float:
    """Returns the value that a share of the distribution Beta(a, b) lies below.

    Args:
        share: Between 0 and 1.
        a: Above 0.
        b: Above 0.
    """
    return 1 / (1 + math.exp(min(-_beta_log_odds(share, a, b), _LARGEST_EXPONENT)))


def _beta_log_odds(share: float, a: float, b: float) -> float:
    """Returns log(x / (1 - x)) of a quantile x of Beta(a, b), by the trapezoidal rule over log-odds."""
    middle, spread = math.log(a / b), math.sqrt(1 / a + 1 / b)
    odds = np.linspace(middle - _REACH * max(1 / a, spread), middle + _REACH * max(1 / b, spread), _STEPS)
    log_density = a * odds - (a + b) * np.logaddexp(0, odds)
    density = np.exp(log_density - log_density.max())
    below = np.cumsum(density) - density / 2
    return float(np.interp(share * density.sum(), below, odds))
