"""Rows of numbers: in memory, or in a file that is larger than that and read where it is looked at."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, NoSpaceError

Floats = npt.NDArray[np.float32]
# Rows that are looked at together, whatever they hold.
BLOCK_ROWS = 1 << 16


class FileRows:
    """Rows `[T, C] float32` in an open file; slices are read when they are asked for, and nothing is kept.

    Not a memory map: its pages would count as this process's memory, and a file cut short would end it.

    Attributes:
        shape: `(T, C)`.
    """

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any], offset: int, shape: tuple[int, int]) -> None:
        """Keeps where the rows are.

        Args:
            file: Open for reading, without a buffer; it stays open as long as this object.
            dtype: Of the values.
            offset: Of the first row, in bytes.
            shape: `(T, C)`.
        """
        self._file, self._dtype, self._offset, self.shape = file, dtype, offset, shape
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> Floats:
        first, last, _ = part.indices(len(self))
        width = self.shape[1]
        values = np.empty((max(0, last - first), width), self._dtype)
        row_bytes = width * self._dtype.itemsize
        target = values.data.cast("B") if values.size else memoryview(b"")
        with self._lock:
            self._file.seek(self._offset + first * row_bytes)
            done = 0
            while done < len(target):
                count = self._file.readinto(target[done:])  # type: ignore[attr-defined]
                if not count:
                    raise DataError(f"{self._file.name} became shorter while it was read")
                done += count
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)

    def part(self, first: int, last: int) -> FileRows:
        """Returns the rows from `first` on, before `last`."""
        offset = self._offset + first * self.shape[1] * self._dtype.itemsize
        return FileRows(self._file, self._dtype, offset, (last - first, self.shape[1]))


Rows = Floats | FileRows


def part_of(rows: Rows, first: int, last: int) -> Rows:
    """Returns some rows, from `first` on, before `last`."""
    return rows.part(first, last) if isinstance(rows, FileRows) else rows[first:last]


def blocks(rows: Rows) -> Iterator[Floats]:
    """Yields rows, some at a time, in their order."""
    for first in range(0, len(rows), BLOCK_ROWS):
        yield rows[first : first + BLOCK_ROWS]


class Collector(Protocol):
    """Takes rows block by block."""

    def add(self, block: Floats) -> None:
        """Takes the next rows, `[n, C] float32`."""

    def rows(self) -> Rows:
        """Returns all of them; at least one was added."""


class InMemory:
    """A `Collector` that keeps rows in memory."""

    def __init__(self) -> None:
        self._blocks: list[Floats] = []

    def add(self, block: Floats) -> None:
        """See `Collector.add`."""
        self._blocks.append(block)

    def rows(self) -> Rows:
        """See `Collector.rows`."""
        return self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)


class OnDisk:
    """A `Collector` that writes rows to a file without a name, which is gone when nothing uses it any more."""

    def __init__(self, path: Path) -> None:
        """Opens the file, among the system's temporary ones.

        Args:
            path: Where the rows come from, for messages.
        """
        self._path, self._count, self._width = path, 0, 1
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the rows keep it open

    def add(self, block: Floats) -> None:
        """See `Collector.add`.

        Raises:
            NoSpaceError: the disk is full.
        """
        left = np.ascontiguousarray(block).data.cast("B") if block.size else memoryview(b"")
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError as e:
            raise NoSpaceError(
                f"{self._path} is unpacked to a file in {tempfile.gettempdir()}, which takes no more ({e.strerror}): "
                f"name a folder with more space in the variable TMPDIR"
            ) from e
        self._count, self._width = self._count + len(block), block.shape[1]

    def rows(self) -> Rows:
        """See `Collector.rows`."""
        return FileRows(self._file, np.dtype(np.float32), 0, (self._count, self._width))
