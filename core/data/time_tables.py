"""Tables of time steps from `.csv` and `.parquet` files: one row a time step, every column but the time a channel."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.tables import read_cells
from pocketvae.errors import DataError, TargetError, did_you_mean
from pocketvae.installation import install_command
from pocketvae.parsing import shortened

# Names of a column that is the time, without a unit in brackets or behind an underscore.
_TIME_NAMES = frozenset({"time", "timestamp", "date", "datetime", "t", "ts"})
_UNITS_S = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "": 1.0}
_UNIT = re.compile(r"^(.*?)[ _]*[\[(]?(s|sec|seconds|ms|us|ns)?[\])]?$")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class TimeTable:
    """A table of time steps as it was read.

    Attributes:
        names: Of the channels.
        values: `[T, C] float64`; NaN where a cell is empty or not a number.
        times_s: `[T] float64`, when each step was, in seconds; None where no column says.
        first_row: Number of the first time step's row, as editors count them; 0 of a format without rows of text.
        texts: Cells that are not numbers, by time step and channel.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    times_s: npt.NDArray[np.float64] | None
    first_row: int
    texts: dict[tuple[int, int], str]

    def row(self, step: int) -> int:
        """Returns the number of a time step's row."""
        return step + self.first_row

    def chosen(self, names: Sequence[str], path: Path) -> TimeTable:
        """Returns some channels, in the order asked for.

        Raises:
            DataError: there is no such column.
        """
        for name in names:
            if name not in self.names:
                raise DataError(
                    f"{path} has no column {name!r}: {did_you_mean(name, self.names)}known: "
                    f"{shortened(', '.join(self.names))}"
                )
        places = [self.names.index(name) for name in names]
        texts = {
            (step, place): text
            for (step, column), text in self.texts.items()
            for place in [index for index, chosen in enumerate(places) if chosen == column]
        }
        return replace(self, names=tuple(names), values=self.values[:, places], texts=texts)

    def checked(self, path: Path) -> npt.NDArray[np.float32]:
        """Returns the values, `[T, C] float32`.

        Raises:
            DataError: one is missing, not a number or too large; the message names row and column.
        """
        bad = np.argwhere(~(np.abs(self.values) <= _LARGEST))
        if not len(bad):
            return self.values.astype(np.float32)
        step, channel = bad[0].tolist()
        run = _run_length(~np.isfinite(self.values[step:, channel]))
        found = repr(shortened(self.texts[step, channel])) if (step, channel) in self.texts else "a missing value"
        if np.isfinite(self.values[step, channel]):
            found = f"{self.values[step, channel]:g}, which is too large for float32"
        rows = f", as in the next {run - 1} rows" if run > 1 else ""
        raise DataError(
            f"{path}, row {self.row(step)}, column {self.names[channel]}: must be a finite number, got {found}{rows}"
        )


def read_time_table(path: Path) -> TimeTable:
    """Reads a table.

    A column is the time if it has such a name (`time`, `timestamp`, `date`, `datetime`, `t`, `ts`, also with a unit
    such as `time_ms`). Times are numbers, in seconds unless the name has a unit, or dates as ISO 8601 writes them.

    Raises:
        DataError: the file is damaged or empty, its rows have different lengths, a time cannot be read, or there are
            several columns of one name.
        TargetError: pyarrow, which reads Parquet, is not installed.
    """
    names, columns, first_row = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    if not columns or not len(columns[0]):
        raise DataError(f"{path} must hold time steps, got none")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} must have columns of different names, got two of {shortened(twice)!r}")
    clock = next((index for index, name in enumerate(names) if _time_unit_s(name) is not None), None)
    times_s = None if clock is None else _times_s(columns[clock], _time_unit_s(names[clock]) or 1.0, path, first_row)
    channels = [index for index in range(len(names)) if index != clock]
    if not channels:
        raise DataError(f"{path} must have columns beside the time, got {shortened(', '.join(names))}")
    texts: dict[tuple[int, int], str] = {}
    values = np.stack([_numbers(columns[index], place, texts) for place, index in enumerate(channels)], axis=1)
    return TimeTable(
        names=tuple(names[index] for index in channels),
        values=values,
        times_s=times_s,
        first_row=first_row,
        texts=texts,
    )


def _csv(path: Path) -> tuple[list[str], list[Sequence[Any]], int]:
    rows, has_header = read_cells(path)
    if not rows:
        return [], [], 0
    number, first = rows[0]
    names = [cell.strip() for cell in first] if has_header else [str(index) for index in range(len(first))]
    body = rows[1:] if has_header else rows
    columns: list[Sequence[Any]] = [list(column) for column in zip(*(cells for _, cells in body), strict=True)]
    return names, columns, body[0][0] if body else number


def _parquet(path: Path) -> tuple[list[str], list[Sequence[Any]], int]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise TargetError(f"Parquet needs pyarrow: run {install_command('parquet')}") from e
    try:
        table = pyarrow.parquet.read_table(path)
        columns = [_arrow_column(table.column(index)) for index in range(table.num_columns)]
    except (pyarrow.ArrowException, OSError) as e:
        raise DataError(f"{path} cannot be read as Parquet: {shortened(str(e).splitlines()[0])}") from e
    return list(table.column_names), columns, 0


def _arrow_column(column: Any) -> Sequence[Any]:
    import pyarrow

    if pyarrow.types.is_timestamp(column.type) or pyarrow.types.is_date(column.type):
        nanoseconds = column.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64())
        return [None if item is None else item / 1e9 for item in nanoseconds.to_pylist()]
    values: Sequence[Any] = column.to_pylist()
    return values


def _time_unit_s(name: str) -> float | None:
    """Returns how many seconds 1 of a column is; None if it is not a time."""
    match = _UNIT.match(name.strip().lower())
    if name.strip().lower() in _TIME_NAMES:
        return 1.0
    if match is None or match[1] not in _TIME_NAMES:
        return None
    return _UNITS_S[match[2] or ""]


def _times_s(column: Sequence[Any], unit_s: float, path: Path, first_row: int) -> npt.NDArray[np.float64]:
    found = np.empty(len(column))
    for step, cell in enumerate(column):
        try:
            found[step] = _time_s(cell, unit_s)
        except (TypeError, ValueError) as e:
            raise DataError(
                f"{path}, row {step + first_row}: the time must be a number or a date such as 2026-01-31T12:00:00, got "
                f"{shortened(cell)!r}"
            ) from e
    return found


def _time_s(cell: Any, unit_s: float) -> float:
    try:
        seconds = float(cell) * unit_s
    except ValueError:
        moment = datetime.datetime.fromisoformat(str(cell).strip())
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    if not np.isfinite(seconds):
        raise ValueError("not finite")
    return seconds


def _numbers(column: Sequence[Any], place: int, texts: dict[tuple[int, int], str]) -> npt.NDArray[np.float64]:
    """Returns a column as numbers, and notes the cells that are not."""
    try:
        return np.array([np.nan if cell is None else float(cell) for cell in column])
    except (TypeError, ValueError):
        pass
    found = np.full(len(column), np.nan)
    for step, cell in enumerate(column):
        try:
            found[step] = float(cell)
        except (TypeError, ValueError):
            if cell is not None and str(cell).strip():
                texts[step, place] = str(cell)
    return found


def _run_length(flags: npt.NDArray[np.bool_]) -> int:
    """Returns how many of the first flags are set."""
    unset = np.flatnonzero(~flags)
    return int(unset[0]) if len(unset) else len(flags)
