"""The results of all blocks joined to columns, in files of the work folder: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pocketvae.blocks.plan import SKIPPED, Arrays, Block
from pocketvae.blocks.work_folder import WorkFolder
from pocketvae.errors import DataError

_COLUMNS = "columns"


@dataclass(kw_only=True)
class _Size:
    """What is known of a column when the results were looked through.

    Attributes:
        rows: Number of rows.
        shape: Of a row.
        dtype: Of its values, wide enough for all of them.
    """

    rows: int = 0
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("U1"))


def join_columns(work: WorkFolder, blocks: Sequence[Block]) -> Arrays:
    """Returns the columns of all blocks, in order; each is a read-only map of a file in the work folder.

    Raises:
        DataError: a result is missing or damaged, or nothing could be read: then all results are removed.
    """
    sizes: dict[str, _Size] = {}
    for result in work.results(blocks):
        for name, values in result.items():
            size = sizes.setdefault(name, _Size(shape=values.shape[1:], dtype=values.dtype))
            size.rows += len(values)
            size.dtype = np.promote_types(size.dtype, values.dtype)
    if not sizes.keys() - {SKIPPED}:
        first = next(iter(work.results(blocks)))[SKIPPED][0]
        # Kept, they would only be in the way of the command that reads the same with other options.
        work.remove_results()
        raise DataError(f"nothing could be read: {first}")
    folder = work.path / _COLUMNS
    folder.mkdir(exist_ok=True)
    columns = {name: _empty(folder / f"{name}.npy", size) for name, size in sizes.items()}
    ends = dict.fromkeys(sizes, 0)
    for result in work.results(blocks):
        for name, values in result.items():
            columns[name][ends[name] : ends[name] + len(values)] = values
            ends[name] += len(values)
    for column in columns.values():
        if isinstance(column, np.memmap):
            column.flush()
    return columns


class Texts(Sequence[str]):
    """A column of text as Python's own."""

    def __init__(self, column: npt.NDArray[Any]) -> None:
        """Keeps the column, `[N]` of numpy's `U`."""
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Texts: ...

    def __getitem__(self, index: int | slice) -> str | Texts:
        return Texts(self._column[index]) if isinstance(index, slice) else str(self._column[index])


def _empty(path: Path, size: _Size) -> npt.NDArray[Any]:
    shape = (size.rows, *size.shape)
    # A file of no bytes cannot be mapped.
    if 0 in shape:
        return np.empty(shape, size.dtype)
    column: npt.NDArray[Any] = np.lib.format.open_memmap(path, "w+", size.dtype, shape)
    return column
