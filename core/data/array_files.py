"""Arrays from `.npy` and `.npz` files: their sizes are checked from the headers before any memory is taken."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pocketvae.parsing import shortened

Array = npt.NDArray[Any]

_NUMBERS = "biuf"
_LARGEST_RANK = 8
# No stream of deflate grows by more than 1032 (zlib's documentation); the rest is for tiny entries.
_GROWTH, _SLACK_BYTES = 1032, 1024
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _UnfitError(ValueError):
    """The file is whole, but its values cannot be used."""


@dataclass(frozen=True, kw_only=True)
class ArrayHeader:
    """What a `.npy` file says of itself.

    Attributes:
        shape: Of the array.
        dtype: Of its values, which are numbers.
        offset: Where the values begin.
        by_columns: Whether the first index varies fastest, as Fortran stores arrays.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    by_columns: bool = False

    @property
    def size_bytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Reads the header of a `.npy` file, from its beginning.

    Raises:
        ValueError: it is empty, not a `.npy` file or damaged, or the values are not numbers.
    """
    start = file.read(len(np.lib.format.MAGIC_PREFIX))
    if not start:
        raise ValueError("it is empty")
    if not np.lib.format.MAGIC_PREFIX.startswith(start):
        raise ValueError("it is not a .npy file: it does not begin with numpy's mark")
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"the version of its format is {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            # Python's parser complains of odd signs in a header before numpy refuses them, numpy of Python 2's headers.
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = read(file)
    except Exception as e:  # numpy parses the header as Python, and raises what the parser does
        raise ValueError(f"its header is damaged: {shortened(str(e) or type(e).__name__)}") from e
    if dtype.kind not in _NUMBERS or dtype.subdtype is not None:
        raise _UnfitError(f"its values must be numbers, got {_kind(dtype)}")
    if len(shape) > _LARGEST_RANK or min(shape, default=0) < 0:
        raise ValueError(f"its shape must be of at most {_LARGEST_RANK} sizes, got {shortened(shape)}")
    return ArrayHeader(shape=shape, dtype=dtype, offset=file.tell(), by_columns=by_columns)


def read_npy(path: Path) -> Array:
    """Reads a `.npy` file.

    Raises:
        ValueError: it is damaged, claims more than it holds, or its values are not numbers.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = read_header(file)
        held = path.stat().st_size - header.offset
        if header.size_bytes > held:
            raise ValueError(f"its header claims {header.size_bytes} bytes of values, but it holds {held}")
        file.seek(0)
        return _read_array(file)


class NpzReader:
    """The arrays of an open `.npz` archive, each read when it is asked for."""

    def __init__(self, archive: zipfile.ZipFile, size_bytes: int, most_bytes: int | None) -> None:
        """Keeps the archive, its size on disk, and how much all of its arrays may hold."""
        self._archive, self._size_bytes, self._left = archive, size_bytes, most_bytes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(name.removesuffix(".npy") for name in self._archive.namelist())

    def read(self, name: str) -> Array:
        """Reads one array.

        Raises:
            ValueError: there is none, it is damaged, claims more than it holds, or its values are not numbers.
        """
        with self.opened(name) as file:
            return _read_array(file)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Yields one array as the content of a `.npy` file.

        Raises:
            ValueError: see `read`.
        """
        entries = self._archive.NameToInfo
        entry = entries.get(f"{name}.npy") or entries.get(name)
        if entry is None:
            raise ValueError(f"it does not hold the array {name!r}")
        try:
            with self._archive.open(entry) as file:
                self._check(read_header(file), entry)
            with self._archive.open(entry) as file:
                yield file
        except OSError as e:
            if e.errno == errno.ENOSPC:  # where it is copied to
                raise
            raise ValueError(f"its array {name!r} is damaged: {shortened(str(e) or type(e).__name__)}") from e
        except _UnfitError as e:
            raise ValueError(f"its array {name!r} cannot be used: {e}") from e
        except Exception as e:  # zipfile raises a dozen unrelated types for damaged archives
            raise ValueError(f"its array {name!r} is damaged: {shortened(str(e) or type(e).__name__)}") from e

    def _check(self, header: ArrayHeader, entry: zipfile.ZipInfo) -> None:
        if entry.compress_type not in _COMPRESSIONS:
            raise ValueError("it is compressed by another method than deflate")
        held = min(entry.file_size, _GROWTH * min(entry.compress_size, self._size_bytes) + _SLACK_BYTES)
        if header.size_bytes > held - header.offset:
            raise ValueError(f"its header claims {header.size_bytes} bytes, but it holds at most {held}")
        if self._left is not None:
            self._left -= header.size_bytes
            if self._left < 0:
                raise ValueError(f"its header claims {header.size_bytes} bytes, more than such a file holds")


@contextlib.contextmanager
def open_npz(source: Path | bytes, most_bytes: int | None = None) -> Iterator[NpzReader]:
    """Opens a `.npz` archive.

    Args:
        source: Its path or its content.
        most_bytes: How much all arrays that are read may hold; None for as much as there is.

    Raises:
        ValueError: it is not a zip archive, or is damaged.
        OSError: it cannot be read.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if not size:
        raise ValueError("it is empty")
    try:
        archive = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except OSError:
        raise
    except Exception as e:
        raise ValueError(f"it is not an .npz archive: {shortened(str(e) or type(e).__name__)}") from e
    with archive:
        yield NpzReader(archive, size, most_bytes)


def _kind(dtype: np.dtype[Any]) -> str:
    """Returns a type in words where numpy's name says little."""
    words = {"U": "text", "S": "text", "O": "Python objects", "V": "records", "M": "dates", "m": "times"}
    return f"{words[dtype.kind]}, {shortened(dtype)}" if dtype.kind in words else shortened(dtype)


def _read_array(file: IO[bytes]) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError as e:
        raise ValueError("there is not enough memory for it") from e
    return array
