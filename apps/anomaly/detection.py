"""How well an anomaly detector does on data whose anomalies are known: separation, false alarms and delay.

Areas are of items: a window is an anomaly if one of its time steps is. False alarms and delays are of a detector that
watches a recording as time goes on, window by window, and knows a window's score when its last time step is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.separation import Estimate, Flags, estimates
from pocketvae.data.timeline import Timeline
from pocketvae.numerics.arrays import groups
from pocketvae.spec import STRICT

# Neighbouring windows resemble each other: taken one by one, they would make intervals too narrow. Where they share
# time steps, a block is as long as two windows at least.
_MOST_BLOCKS = 50
_WINDOWS_LONG = 2
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What a detector with one threshold does as time goes on.

    Attributes:
        events: Number of events in the recordings.
        too_short: How many of them no window holds, for their recording, or its part between gaps, is shorter than one.
        detected: How many of them an alarm falls into.
        delays_s: For each detected event, from its first time step to the end of the first window above the threshold
            that holds one of its time steps, in seconds; in time steps where the rate is not known.
        false_alarms: Number of alarms outside events: runs of windows above the threshold that hold no anomaly. A run
            that began in an event is not one as long as its windows begin within a window's length behind the event.
        watched_s: Time that the normal windows cover, in seconds, or in time steps.
        rate_hz: Time steps in a second; None where unknown.
    """

    __pydantic_config__ = STRICT
    events: int
    too_short: int
    detected: int
    delays_s: tuple[float, ...]
    false_alarms: int
    watched_s: float
    rate_hz: float | None

    @property
    def false_alarms_per_day(self) -> float | None:
        """False alarms in a day of normal operation; None where the rate is not known, or there is none."""
        return self.false_alarms / self.watched_s * _DAY_S if self.rate_hz is not None and self.watched_s else None

    @property
    def median_delay_s(self) -> float | None:
        """Half of the detected events take at most so long; None where none is detected."""
        return float(np.median(self.delays_s)) if self.delays_s else None


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How well one score detects anomalies.

    Attributes:
        normal: Number of normal items.
        anomalous: Number of anomalies.
        false_positive_rate: Share of normal items above the score's threshold; None where there are none.
        recall: Share of anomalies above it; None where there are none.
        auroc: Probability that an anomaly scores higher than a normal item, ties counting half; None, like all areas,
            where every item is normal or every one an anomaly.
        auprc: Average precision.
        partial_auroc: The area under the ROC curve up to `FALSE_ALARM_SHARE`, scaled so that chance is 0.5 (McClish
            1989).
        alarms: Of the threshold; None for items that are not windows of recordings.
    """

    __pydantic_config__ = STRICT
    normal: int
    anomalous: int
    false_positive_rate: float | None
    recall: float | None
    auroc: Estimate | None
    auprc: Estimate | None
    partial_auroc: Estimate | None
    alarms: Alarms | None = None


def detect(
    values: Doubles,
    anomalous: Flags,
    threshold: float,
    timeline: Timeline | None,
    *,
    sources: Sequence[Timeline | int] = (),
) -> Detection:
    """Compares scores with the truth.

    Args:
        values: `[N]` scores.
        anomalous: `[N]`, which items are anomalies.
        threshold: Above which there is an alarm.
        timeline: Where the items lie, if they are windows of recordings.
        sources: Of items from several sources, one behind another, for the intervals: where each one's windows lie, or
            how many items it has if they are no windows of recordings.
    """
    auroc, auprc, partial = None, None, None
    if has_both_kinds(anomalous):
        sources = sources or (len(values) if timeline is None else timeline,)
        blocks, overlap = _blocks(sources), any(isinstance(one, Timeline) and one.overlap() > 1 for one in sources)
        auroc, auprc, partial = estimates(values, anomalous, blocks, overlap=overlap)
    return Detection(
        normal=int((~anomalous).sum()),
        anomalous=int(anomalous.sum()),
        false_positive_rate=_share(values[~anomalous] > threshold),
        recall=_share(values[anomalous] > threshold),
        auroc=auroc,
        auprc=auprc,
        partial_auroc=partial,
        alarms=None if timeline is None else alarms(values > threshold, anomalous, timeline),
    )


def has_both_kinds(anomalous: Flags) -> bool:
    """Tells whether there is something to tell apart: of `[N]` items, some are anomalies and some are not."""
    return bool(anomalous.any() and not anomalous.all())


def _share(chosen: Flags) -> float | None:
    return float(chosen.mean()) if len(chosen) else None


def alarms(above: Flags, anomalous: Flags, timeline: Timeline) -> Alarms:
    """Returns what a detector does as time goes on.

    Args:
        above: `[N]`, which windows are above the threshold.
        anomalous: `[N]`, which windows hold an anomaly.
        timeline: Of the windows, with the truth.
    """
    rate = timeline.rate_hz or 1.0
    delays, events = [], timeline.events()
    alarmed = timeline.take(np.flatnonzero(above))
    raised_in = {int(alarmed.recordings[own[0]]): alarmed.starts[own] for own in groups(alarmed.recordings)}
    for event in events:
        starts = raised_in.get(event.recording, alarmed.starts[:0])
        ends = starts + timeline.length - 1
        raised = ends[(ends >= event.first) & (starts <= event.last)]
        if len(raised):
            delays.append(float(raised.min() - event.first + 1) / rate)
    return Alarms(
        events=len(events),
        too_short=sum(map(timeline.is_too_short, events)),
        detected=len(delays),
        delays_s=tuple(delays),
        false_alarms=_false_alarms(above, anomalous, timeline),
        watched_s=_covered(timeline, ~anomalous) / rate,
        rate_hz=timeline.rate_hz,
    )


def _false_alarms(above: Flags, anomalous: Flags, timeline: Timeline) -> int:
    """Returns the number of runs of windows above the threshold outside events.

    A run ends at a gap or where the next recording begins. One that began in an event ends a window's length behind it:
    a detector that never stops is wrong from there on.
    """
    if not len(above):
        return 0
    begins = np.append(True, (timeline.recordings[1:] != timeline.recordings[:-1]) | ~above[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(above)), 0))
    hit = np.maximum.accumulate(np.where(above & anomalous, np.arange(len(above)), -1))
    since = timeline.steps_since_anomaly()
    belongs = (hit >= first) & (since > 0) & (since <= timeline.length)
    is_false = above & ~anomalous & ~belongs
    return int((is_false & (begins | np.append(True, ~is_false[:-1]))).sum())


def _covered(timeline: Timeline, chosen: Flags) -> int:
    """Returns how many time steps some windows cover, those that overlap counting once."""
    total = 0
    watched = timeline.take(np.flatnonzero(chosen))
    for own in groups(watched.recordings):
        starts = np.sort(watched.starts[own])
        total += int(np.minimum(np.diff(starts), timeline.length).sum()) + timeline.length
    return total


def _blocks(sources: Sequence[Timeline | int]) -> npt.NDArray[np.intp]:
    """Returns `[N]`, the number of each item's block: items are independent, windows in runs of neighbours."""
    parts: list[npt.NDArray[np.intp]] = []
    for source in sources:
        own: npt.NDArray[np.intp] = np.arange(source) if isinstance(source, int) else _runs(source)
        parts.append(own + (int(parts[-1].max()) + 1 if parts else 0))
    return np.concatenate(parts)


def _runs(timeline: Timeline) -> npt.NDArray[np.intp]:
    """Returns `[N]`, the number of each window's run of neighbours."""
    overlap = timeline.overlap()
    size = max(1, math.ceil(len(timeline) / _MOST_BLOCKS), _WINDOWS_LONG * overlap if overlap > 1 else 1)
    runs = np.zeros(len(timeline), np.intp)
    block = -1
    for own in groups(timeline.recordings):
        for first in range(0, len(own), size):
            block += 1
            runs[own[first : first + size]] = block
    return runs
