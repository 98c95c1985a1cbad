"""The time steps of a table: when each was, and the parts at a steady rate that they make, without gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.data.row_numbers import RowNumbers, joined
from pocketvae.data.rows import BLOCK_ROWS, Collector, Rows
from pocketvae.data.tables import at_row
from pocketvae.errors import DataError

Times = npt.NDArray[np.float64]
# How many usual steps a gap is more than.
_GAP = 1.5
# How many steps a rate is taken from, and how far it may be off from one such block to another.
_BLOCK, _UNSTEADY = 16, 0.1
_RUN = _BLOCK // 2
# Means of more steps are closer: how far one of as many may be off that of its part, whose own needs still more.
_LONG, _DRIFT = 64, 0.03
_OWN_RATE, _OTHER_RATE = 256, 0.02
FEWEST_TIMES = 3
# As many rows with the time of the row before, and such a share of them, are no rows that were written twice.
_MANY_EQUAL, _OFTEN_EQUAL = 3, 0.1
# Of so many steps the usual one is taken.
_MOST_COMPARED = 1 << 20


def is_other_rate(rate_hz: float, expected_hz: float) -> bool:
    """Whether a rate differs from another by more than clocks of sensors do."""
    return abs(rate_hz / expected_hz - 1) > _OTHER_RATE


class TimeSteps:
    """Takes a table's time steps block by block, and finds its parts."""

    def __init__(self, path: Path, collector: Collector) -> None:
        """Begins with none.

        Args:
            path: Of the table, for messages.
            collector: Takes the times, in memory or not.
        """
        self._path, self._collector, self._has_times = path, collector, False
        self._clock = "time"
        self._numbers: list[RowNumbers] = []
        self._times: Rows | None = None

    def add(self, rows: RowNumbers, times_s: Times | None, clock: str = "time") -> None:
        """Takes the next steps.

        Args:
            rows: Numbers of their rows.
            times_s: When they were; None where no column says.
            clock: Name of that column.
        """
        self._clock = clock
        self._numbers.append(rows)
        if times_s is not None:
            # The bits of a float64 are those of two float32, which a collector takes.
            self._collector.add(np.ascontiguousarray(times_s).view(np.float32).reshape(-1, 2))
            self._has_times = True

    @property
    def numbers(self) -> RowNumbers:
        """Those of their rows."""
        self._numbers = [joined(self._numbers)]
        return self._numbers[0]

    @property
    def have_rate(self) -> bool:
        """Whether they say how fast they follow one another."""
        return self._has_times and len(self.numbers) >= FEWEST_TIMES

    def rates_hz(self, parts: Sequence[tuple[int, int]]) -> list[float]:
        """Returns the mean rate of each part: of one too short for a mean of its own, that of the longest."""
        longest_hz = self._rate_hz(*max(parts, key=_length))
        return [self._rate_hz(*part) if _length(part) > _OWN_RATE else longest_hz for part in parts]

    def _rate_hz(self, first: int, last: int) -> float:
        return (last - 1 - first) / float(self._at(last - 1, last)[0] - self._at(first, first + 1)[0])

    def parts(self) -> list[tuple[int, int]]:
        """Returns, of each part without a gap, the first time step and the one behind the last.

        Raises:
            DataError: time does not rise, or the rate changes: one model cannot fit both.
        """
        for first, steps_s in self._differences():
            self._check_rises(first, steps_s)
        usual_s = self._usual_s()
        found = [first + np.flatnonzero(steps_s > _GAP * usual_s) for first, steps_s in self._differences()]
        gaps = np.concatenate(found)
        # As many gaps one behind the other are a slower rate.
        begins = gaps[: max(0, len(gaps) - _RUN + 1)]
        slow = begins[gaps[_RUN - 1 :] - begins == _RUN - 1]
        if len(slow):
            at = int(slow[0])
            raise self._unsteady(at, f"{usual_s:.4g} s elsewhere", float(np.diff(self._at(at, at + 2))[0]))
        parts = list(itertools.pairwise([0, *(gaps + 1).tolist(), len(self.numbers)]))
        before_s = 0.0
        for first, last in parts:
            before_s = self._checked_rate_s(first, last, before_s)
        usual_s = 1 / self._rate_hz(*max(parts, key=_length))
        for first, last in parts:
            self._check_mean(first, last, usual_s)
        return parts

    def _at(self, first: int, last: int) -> Times:
        if self._times is None:
            self._times = self._collector.rows()
        return np.ascontiguousarray(self._times[first:last]).view(np.float64)[:, 0]

    def _differences(self) -> Iterator[tuple[int, Times]]:
        """Yields a number of a step, and the seconds from it and the next ones to those behind them."""
        for first in range(0, len(self.numbers) - 1, BLOCK_ROWS):
            yield first, np.diff(self._at(first, first + BLOCK_ROWS + 1))

    def _usual_s(self) -> float:
        """Returns the median step; of very many, of some of them."""
        every = -(-len(self.numbers) // _MOST_COMPARED)
        chosen = [steps_s[-first % every :: every] for first, steps_s in self._differences()]
        return float(np.median(np.concatenate(chosen)))

    def _check_rises(self, first: int, steps_s: Times) -> None:
        late = np.flatnonzero(steps_s <= 0)
        if len(late):
            row = self.numbers[first + late[0] + 1]
            found = _backwards(steps_s[late[0] :], self._clock)
            raise DataError(f"{at_row(self._path, row)}: time must rise from row to row, got {found}")

    def _checked_rate_s(self, first: int, last: int, before_s: float) -> float:
        """Checks that one part's rate is steady; returns its usual step, or that of the parts before.

        Raises:
            DataError: it changes.
        """
        for begin in range(first, last, BLOCK_ROWS):
            end = begin + BLOCK_ROWS
            # A rest that is too short for a mean of its own belongs to the block before.
            end = last if last - end < _BLOCK else end
            times_s = self._at(begin, end)
            # Means of some steps, since loggers round times to whole milliseconds or seconds.
            starts = np.append(0, np.arange(_BLOCK, len(times_s) - _BLOCK, _BLOCK))
            counts = np.diff(starts, append=len(times_s))
            is_long = counts > _RUN
            steps_s = (times_s[starts + counts - 1] - times_s[starts])[is_long] / (counts[is_long] - 1)
            if not len(steps_s):
                continue
            before_s = before_s or float(steps_s[0])
            other = np.flatnonzero(np.abs(steps_s / before_s - 1) > _UNSTEADY)
            if len(other):
                start = begin + int(starts[is_long][other[0]])
                raise self._unsteady(start, f"{before_s:.4g} s before", float(steps_s[other[0]]))
            if end == last:
                break
        return before_s

    def _check_mean(self, first: int, last: int, usual_s: float) -> None:
        """Checks that one part has the rate of the longest, and has it from its beginning to its end.

        A time may be late by up to half a step where a logger was busy or rounded it: that is less than one step from
        the first to the last of a mean.

        Raises:
            DataError: it has another, or drifts away.
        """
        steps = last - 1 - first
        if steps < _RUN:
            return
        step_s = 1 / self._rate_hz(first, last)
        limit = _OTHER_RATE if steps >= _OWN_RATE else min(max(_DRIFT, 1 / steps), _UNSTEADY)
        if abs(step_s / usual_s - 1) > limit:
            raise self._unsteady(first, f"{usual_s:.4g} s in the longest part without a gap", step_s)
        # The last block takes the rest.
        marks = np.append(first + np.arange(max(1, steps // _LONG)) * _LONG, last - 1)
        steps_s = np.diff(self._times_of(marks)) / np.diff(marks)
        drifting = np.flatnonzero(np.abs(steps_s / step_s - 1) > _DRIFT)
        if len(drifting):
            at = int(drifting[0])
            raise self._unsteady(int(marks[at]), f"{step_s:.4g} s on the whole", float(steps_s[at]))

    def _times_of(self, steps: npt.NDArray[np.int64]) -> Times:
        """Returns when some steps were, which are in their order."""
        begins = range(int(steps[0]), int(steps[-1]) + 1, BLOCK_ROWS)
        places = np.split(steps, np.searchsorted(steps, begins[1:]))
        return np.concatenate(
            [self._at(begin, begin + BLOCK_ROWS)[own - begin] for begin, own in zip(begins, places, strict=True)]
        )

    def _unsteady(self, step: int, usual: str, step_s: float) -> DataError:
        return DataError(
            f"{at_row(self._path, self.numbers[step])}: the rate must be steady, got a time step every {usual} and "
            f"every {step_s:.4g} s here: resample it, or split it by rate"
        )


def _length(part: tuple[int, int]) -> int:
    return part[1] - part[0]


def _backwards(steps_s: Times, clock: str) -> str:
    """Returns what is wrong with steps of which the first does not rise, and what to do about it."""
    if steps_s[0]:
        return (
            f"a step of {steps_s[0]:g} s: sort the rows; local times need their offset (+02:00) where summer time ends"
        )
    equal = int((steps_s == 0).sum())
    if equal < _MANY_EQUAL or equal < _OFTEN_EQUAL * len(steps_s):
        return "the time of the row before: remove one of them"
    return (
        f"the time of the row before, here and in {equal - 1} of the next {len(steps_s) - 1} rows: the clock is too "
        f"coarse, so write times with more digits, or leave the column {clock!r} out of the file, without which "
        f"neither gaps nor the rate are checked"
    )
