"""Where windows lie in their recordings, and which time steps are known to be anomalies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvae.numerics.arrays import groups

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Time steps one behind the other that are all anomalies.

    Attributes:
        recording: Number of the recording.
        first: The first time step, from the recording's beginning.
        last: The last one.
    """

    recording: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The windows of recordings, in the order of the recordings and of time.

    Attributes:
        names: Of the recordings; two have the same name where a gap divides a file.
        recordings: `[N] int32`, the number of each window's recording.
        starts: `[N] int64`, its first time step, from the recording's beginning.
        length: T, time steps of a window.
        rate_hz: Time steps in a second; None where unknown.
        truth: For each recording, which time steps are anomalies; None where that is not known.
        channels: Names of the columns; empty where the files have none.
    """

    names: tuple[str, ...]
    recordings: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    length: int
    rate_hz: float | None = None
    truth: tuple[Flags, ...] | None = None
    channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, indices: slice | npt.NDArray[np.intp]) -> Timeline:
        """Returns the selected windows."""
        return replace(self, recordings=self.recordings[indices], starts=self.starts[indices])

    def overlap(self) -> int:
        """Returns how many windows a time step is in at most, but for the end; 1 where they do not overlap."""
        return math.ceil(self.length / max(1, self.stride()))

    def stride(self) -> int:
        """Returns the distance of neighbouring windows in time steps; the last of a recording may begin earlier."""
        same = np.diff(self.recordings) == 0
        steps, is_last = np.diff(self.starts)[same], ~np.append(same[1:], False)[same]
        usual = steps[~is_last] if len(steps) > is_last.sum() else steps
        return int(usual.min()) if len(usual) else self.length

    def anomalous(self) -> Flags:
        """Returns `[N]`, whether a window holds a time step that is an anomaly; all False where none is known."""
        found = np.zeros(len(self), np.bool_)
        if self.truth is None:
            return found
        for own in groups(self.recordings):
            before = np.concatenate([[0], np.cumsum(self.truth[int(self.recordings[own[0]])])])
            begin = self.starts[own]
            found[own] = before[begin + self.length] > before[begin]
        return found

    def steps_since_anomaly(self) -> npt.NDArray[np.int64]:
        """Returns `[N]`, how many time steps before each window's first one the last anomaly is; -1 where none is."""
        found = np.full(len(self), -1, np.int64)
        if self.truth is None:
            return found
        for own in groups(self.recordings):
            flags = self.truth[int(self.recordings[own[0]])]
            # Of each time step the last anomaly before it, as its number plus one.
            last = np.maximum.accumulate(np.append(0, np.where(flags, np.arange(1, len(flags) + 1), 0)))
            begin = self.starts[own]
            found[own] = np.where(last[begin] > 0, begin - last[begin] + 1, -1)
        return found

    def events(self) -> tuple[Event, ...]:
        """Returns all events, in the order of time: also those that no window holds.

        Of a recording whose windows were taken in part (`take`) only those that begin before the end of its last one,
        and none of one that has no windows left, but for recordings that are shorter than a window.
        """
        if self.truth is None:
            return ()
        ends = np.zeros(len(self.truth), np.int64)
        np.maximum.at(ends, self.recordings, self.starts + self.length)
        return tuple(
            event
            for number, flags in enumerate(self.truth)
            for event in _events_of(number, flags)
            if event.first < ends[number] or self.is_too_short(event)
        )

    def is_too_short(self, event: Event) -> bool:
        """Whether an event lies in a recording that has no windows because it is shorter than one."""
        return self.truth is not None and len(self.truth[event.recording]) < self.length


def _events_of(recording: int, flags: Flags) -> Iterator[Event]:
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    for first, end in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
        yield Event(recording=recording, first=first, last=end - 1)
