"""The values of windows, cut from their recordings when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.rows import FileRows, Rows
from pocketvae.fields import Channel
from pocketvae.numerics.arrays import groups
from pocketvae.numerics.normalization import normalized
from pocketvae.processes.guard import check_memory

Floats = npt.NDArray[np.float32]
# Windows of more than this together stay in their recordings; overlapping ones are many times as large as these.
HELD_BYTES = 64 << 20
# Values that are computed with together; sums depend on where they are divided, so this holds for all data.
_BLOCK_VALUES = 1 << 21
# Windows of one recording that are copied one by one, which is faster than what copies many at once.
_FEW = 8


class WindowValues:
    """`[N, T, C] float32`, in the unit of the recordings or of a model; slices and indices give arrays.

    Attributes:
        shape: `(N, T, C)`.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self,
        sources: Sequence[Rows],
        recordings: npt.NDArray[np.integer[Any]],
        starts: npt.NDArray[np.integer[Any]],
        length: int,
        channels: tuple[Channel, ...] = (),
    ) -> None:
        """Keeps where the windows lie.

        Args:
            sources: The values of the recordings, `[steps, C]` each.
            recordings: `[N]`, the number of each window's recording.
            starts: `[N]`, its first time step.
            length: T.
            channels: Whose unit the values are in; none for that of the recordings.
        """
        self._sources, self._recordings, self._starts = sources, recordings, starts
        self._length, self._channels = length, channels
        self.shape = (len(starts), length, sources[0].shape[1])

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, indices: Any) -> Floats:
        if isinstance(indices, (int, np.integer)):
            found: Floats = self[np.array([indices])][0]
            return found
        return normalized(self._cut(self._recordings[indices], self._starts[indices]), self._channels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.whole().astype(dtype or self.dtype, copy=False)

    @property
    def nbytes(self) -> int:
        """Of all windows, if they were in memory."""
        count, length, channels = self.shape
        return int(count * length * channels * self.dtype.itemsize)

    def _cut(self, recordings: npt.NDArray[Any], starts: npt.NDArray[Any]) -> Floats:
        values = np.empty((len(starts), *self.shape[1:]), np.float32)
        for own in groups(recordings):
            source = self._sources[int(recordings[own[0]])]
            if isinstance(source, FileRows):
                self._cut_from_file(source, own, starts[own], values)
            elif len(own) <= _FEW:
                for place, start in zip(own.tolist(), starts[own].tolist(), strict=True):
                    values[place] = source[start : start + self._length]
            else:
                views = np.lib.stride_tricks.sliding_window_view(source, self._length, axis=0)
                values[own] = views[starts[own]].transpose(0, 2, 1)
        return values

    def _cut_from_file(
        self, source: FileRows, places: npt.NDArray[Any], starts: npt.NDArray[Any], values: Floats
    ) -> None:
        """Reads windows; those that follow one another closely with one call."""
        order = np.argsort(starts, kind="stable")
        ends = np.flatnonzero(np.diff(starts[order]) > self._length) + 1
        for group in np.split(order, ends):
            first = int(starts[group[0]])
            rows = source[first : int(starts[group[-1]]) + self._length]
            for index in group.tolist():
                begin = int(starts[index]) - first
                values[places[index]] = rows[begin : begin + self._length]

    def select(self, indices: slice | npt.NDArray[np.intp]) -> WindowValues:
        """Returns some windows, which stay in their recordings."""
        return WindowValues(
            self._sources, self._recordings[indices], self._starts[indices], self._length, self._channels
        )

    def in_units_of(self, channels: tuple[Channel, ...]) -> WindowValues:
        """Returns the same windows normalized, whatever unit these are in."""
        return WindowValues(self._sources, self._recordings, self._starts, self._length, channels)

    def whole(self) -> Floats:
        """Returns all windows as an array.

        Raises:
            SpecError: they cannot fit into memory.
        """
        check_memory(self.nbytes, f"{len(self)} windows", "pass a larger --stride, or fewer files")
        return self[:]


Values = Floats | WindowValues


def held(values: Values) -> Values:
    """Returns windows as an array if they are few; else they stay in their recordings."""
    return values.whole() if isinstance(values, WindowValues) and values.nbytes <= HELD_BYTES else values


def selected(values: Values, indices: slice | npt.NDArray[np.intp]) -> Values:
    """Returns some items: as an array if they are few or are one already."""
    return held(values.select(indices)) if isinstance(values, WindowValues) else values[indices]


def value_blocks(values: Any) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yields items, some at a time, each with the number of the first; of both kinds of values the same ones."""
    size = max(1, _BLOCK_VALUES // int(np.prod(values.shape[1:])))
    for first in range(0, len(values), size):
        yield first, values[first : first + size]
