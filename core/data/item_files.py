"""Items of a `.npy` file that may be larger than the memory, read where they are looked at."""

from __future__ import annotations

import copy
import math
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import read_header
from pocketvae.errors import DataError


class RandomFile(Protocol):
    """A file that is open for reading at any place, of storage elsewhere."""

    def read(self, count: int, /) -> bytes:
        """Returns the next bytes."""

    def readinto(self, target: memoryview, /) -> int:
        """Reads the next bytes into memory, and returns how many."""

    def seek(self, position: int, /) -> int:
        """Goes to a place."""

    def size(self) -> int:
        """Returns its size in bytes."""


class ItemFile:
    """`[N, ...]` in an open file; items are read when they are asked for, and nothing is kept.

    Not a memory map, for the reasons of `rows.FileRows`.

    Attributes:
        shape: `(N, ...)`.
        dtype: Of the values.
    """

    def __init__(self, file: Path | RandomFile) -> None:
        """Opens the file, which stays open as long as this object.

        Args:
            file: Its path, or an open file.

        Raises:
            ValueError: it is damaged, claims more than it holds, or stores whole columns one after another.
            OSError: it cannot be read.
        """
        opened: Any = file.open("rb", buffering=0) if isinstance(file, Path) else file
        self._file, self._lock = opened, threading.Lock()
        header = read_header(opened)
        held = (file.stat().st_size if isinstance(file, Path) else file.size()) - header.offset
        if header.size_bytes > held:
            raise ValueError(f"its header claims {header.size_bytes} bytes of values, but it holds {held}")
        if header.by_columns or not header.shape:
            raise ValueError("its items do not lie one after another: write it in C order")
        self.shape, self.dtype, self._offset = header.shape, header.dtype, header.offset

    def first(self, count: int | None) -> ItemFile:
        """Returns the first items; all if `count` is None."""
        part = copy.copy(self)
        part.shape = (min(len(self), len(self) if count is None else count), *self.shape[1:])
        return part

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> npt.NDArray[Any]:
        if not isinstance(index, slice):
            number = range(len(self))[index]
            item: npt.NDArray[Any] = self._read(number, number + 1)[0]
            return item
        first, last, step = index.indices(len(self))
        if step != 1:
            raise ValueError("items are read one after another")
        return self._read(first, max(first, last))

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        items = np.empty((last - first, *self.shape[1:]), self.dtype)
        target = items.reshape(-1).view(np.uint8).data if items.size else memoryview(b"")
        with self._lock:
            self._file.seek(self._offset + first * math.prod(self.shape[1:]) * self.dtype.itemsize)
            done = 0
            while done < len(target):
                count = self._file.readinto(target[done:])
                if not count:
                    raise DataError(f"{getattr(self._file, 'name', 'the file')} became shorter while it was read")
                done += count
        return items
