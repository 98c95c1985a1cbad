"""Tables of time steps from `.csv` and `.parquet` files: one row a time step, every column but the time a channel."""

from __future__ import annotations

import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.clocks import Clock, UnknownUnitError, clock_of, is_time
from pocketvae.data.tables import at_row, column_places, is_bare_index, is_header, opened_table
from pocketvae.errors import DataError, TargetError
from pocketvae.installation import install_command
from pocketvae.parsing import shortened

_BATCH_ROWS = 1 << 14
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class TimeTable:
    """A table of time steps as it was read.

    Attributes:
        names: Of the channels.
        values: `[T, C] float64`; NaN where a cell is empty or not a number.
        times_s: `[T] float64`, when each step was, in seconds; None where no column says.
        rows: `[T] int64`, the number of each step's row, as editors count them; from 0 where no text has rows.
        texts: Of each channel that has a cell which is not a number, the first: its time step and its text.
        clock: Name of the column that says the times; empty where none does.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    times_s: npt.NDArray[np.float64] | None
    rows: npt.NDArray[np.int64]
    texts: dict[int, tuple[int, str]]
    clock: str = ""

    @property
    def first_row(self) -> int:
        """Number of the first time step's row."""
        return self.row(0)

    def row(self, step: int) -> int:
        """Returns the number of a time step's row."""
        return int(self.rows[step])

    def chosen(self, names: Sequence[str], path: Path) -> TimeTable:
        """Returns some channels, in the order asked for.

        Raises:
            DataError: there is no such column.
        """
        places = column_places(names, self.names, path)
        texts = {index: self.texts[place] for index, place in enumerate(places) if place in self.texts}
        return replace(self, names=tuple(names), values=self.values[:, places], texts=texts)

    def without(self, name: str) -> TimeTable:
        """Returns all channels but one."""
        place = self.names.index(name)
        texts = {index - (index > place): text for index, text in self.texts.items() if index != place}
        names = (*self.names[:place], *self.names[place + 1 :])
        return replace(self, names=names, values=np.delete(self.values, place, axis=1), texts=texts)

    def flags(self, name: str, path: Path) -> npt.NDArray[np.bool_]:
        """Returns a column of 0 and 1, `[T] bool`.

        Raises:
            DataError: there is no such column, or it holds something else.
        """
        column = self.chosen([name], path)
        values = column.checked(path)[:, 0]
        other = np.flatnonzero((values != 0) & (values != 1))
        if len(other):
            step = int(other[0])
            raise DataError(
                f"{at_row(path, self.row(step))}, column {name}: must be 1 for an anomaly and 0 for none, got "
                f"{values[step]:g}"
            )
        return np.asarray(values == 1)

    def checked(self, path: Path, *, may_miss: bool = False) -> npt.NDArray[np.float32]:
        """Returns the values, `[T, C] float32`.

        Args:
            path: Of the file, for messages.
            may_miss: Whether a missing value stays, as NaN.

        Raises:
            DataError: one is missing, not a number or too large; the message names row and column.
        """
        is_bad = ~(np.abs(self.values) <= _LARGEST)
        if may_miss:
            is_bad &= ~np.isnan(self.values)
            for channel, (step, _) in self.texts.items():
                is_bad[step, channel] = True
        bad = np.argwhere(is_bad)
        if not len(bad):
            return self.values.astype(np.float32)
        step, channel = bad[0].tolist()
        raise DataError(
            f"{at_row(path, self.row(step))}, column {self.names[channel]}: must be a finite number, got "
            f"{self._found(step, channel)}"
        )

    def _found(self, step: int, channel: int) -> str:
        value = self.values[step, channel]
        if np.isfinite(value):
            return f"{value:g}, which is too large for float32"
        if np.isinf(value):
            return f"{value}"
        run = _run_length(~np.isfinite(self.values[step:, channel]))
        rows = "" if run == 1 else f", as in the next {run - 1} row{'s' if run > 2 else ''}"
        first_text = self.texts.get(channel)
        if first_text is not None and first_text[0] == step:
            return f"{shortened(first_text[1])!r}{rows}"
        way = "fill it in, pass --fill-gaps"
        way = way if self.times_s is None else f"{way}, or delete the row, which makes a gap"
        return f"a missing value{rows}: {way}"


def read_time_table(path: Path) -> TimeTable:
    """Reads a table; see `time_tables`."""
    (table,) = time_tables(path, 0)
    return table


def time_tables(path: Path, most_rows: int, channels: Sequence[str] = ()) -> Iterator[TimeTable]:
    """Reads a table, some rows at a time; 0 for all at once.

    Args:
        path: Of the table.
        most_rows: How many.
        channels: Names of columns that are channels, which tells from the time what may be either; see `clock_of`.

    Raises:
        DataError: the file is damaged or empty, its rows have different lengths, a time cannot be read, or there are
            several columns of one name.
        TargetError: pyarrow, which reads Parquet, is not installed.
    """
    columns = None
    for columns in (_parquet if path.suffix.lower() == ".parquet" else _csv)(path, channels):
        if most_rows and columns.count >= most_rows:
            yield columns.table()
    if columns is None or not columns.total:
        raise DataError(f"{path} must hold time steps, got none")
    if columns.count:
        yield columns.table()


class _Columns:
    """Takes a table row by row, as numbers, which are smaller than their texts.

    Attributes:
        clock: The column that is the time; None if none is.
        total: Rows so far.
    """

    def __init__(self, names: Sequence[str], path: Path, channels: Sequence[str]) -> None:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{path} must have columns of different names, got two of {shortened(twice)!r}")
        self._path, self._names = path, names
        self.clock = clock_of(names, channels)
        self._channels = [index for index, name in enumerate(names) if self.clock is None or name != self.clock.name]
        if not self._channels:
            raise DataError(f"{path} must have columns beside the time, got {shortened(', '.join(names))}")
        self._clock_at = 0 if self.clock is None else names.index(self.clock.name)
        self.total = 0
        self._begin()

    def _begin(self) -> None:
        self._times_s, self._values, self._rows = array.array("d"), array.array("d"), array.array("q")
        self._texts: dict[int, tuple[int, str]] = {}

    @property
    def count(self) -> int:
        """Rows that `table` would return."""
        return len(self._rows)

    def add(self, number: int, cells: Sequence[Any]) -> None:
        """Takes the next row.

        Raises:
            DataError: its time cannot be read.
        """
        if self.clock is not None:
            self._times_s.append(self._time(self.clock, number, cells[self._clock_at]))
        for place, index in enumerate(self._channels):
            try:
                self._values.append(float(cells[index]))
            except (TypeError, ValueError):
                self._values.append(np.nan)
                self._note(place, cells[index])
        self._rows.append(number)
        self.total += 1

    def table(self) -> TimeTable:
        """Returns the rows since it was called last."""
        found = TimeTable(
            names=tuple(self._names[index] for index in self._channels),
            values=np.frombuffer(self._values).reshape(len(self._rows), -1),
            times_s=None if self.clock is None else np.array(self._times_s),
            rows=np.array(self._rows, np.int64),
            texts=self._texts,
            clock="" if self.clock is None else self.clock.name,
        )
        self._begin()
        return found

    def _time(self, clock: Clock, number: int, cell: Any) -> float:
        try:
            return clock.seconds(cell)
        except UnknownUnitError as e:
            raise DataError(f"{at_row(self._path, number)}: {e}") from e
        except (TypeError, ValueError) as e:
            raise DataError(
                f"{at_row(self._path, number)}: the time must be a number or a date such as 2026-01-31T12:00:00, got "
                f"{shortened(cell)!r}"
            ) from e

    def _note(self, place: int, cell: Any) -> None:
        if cell is not None and str(cell).strip():
            self._texts.setdefault(place, (len(self._rows), str(cell)))


def _csv(path: Path, channels: Sequence[str]) -> Iterator[_Columns]:
    """Yields the columns after every row."""
    with opened_table(path) as rows:
        number, first = next(rows, (0, []))
        if not first:
            raise DataError(f"{path} must hold time steps, got none")
        # Columns may have numbers for names; where one is called like a time, the row is a header.
        cells = [cell.strip() for cell in first]
        has_header = is_header(first) or any(map(is_time, cells))
        columns = _Columns(cells if has_header else list(map(str, range(len(cells)))), path, channels)
        if not has_header:
            columns.add(number, first)
            yield columns
        for number, cells in rows:
            columns.add(number, cells)
            yield columns


def _parquet(path: Path, channels: Sequence[str]) -> Iterator[_Columns]:
    """Yields the columns after every batch of rows."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise TargetError(f"Parquet needs pyarrow: run {install_command('parquet')}") from e
    try:
        # Else all of the file is read in advance, and kept to its end.
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            names = _arrow_names(file.schema_arrow, channels)
            found = _Columns(list(names.values()), path, channels)
            clock = "" if found.clock is None else found.clock.name
            if found.clock is not None and any(
                name == clock and _holds_dates(file.schema_arrow.types[place]) for place, name in names.items()
            ):
                found.clock.unit_s = 1.0
            for batch in file.iter_batches(_BATCH_ROWS):
                columns = [_arrow_column(batch.column(place), is_time=name == clock) for place, name in names.items()]
                for number, cells in enumerate(zip(*columns, strict=True), found.total):
                    found.add(number, cells)
                yield found
    except (pyarrow.ArrowException, OSError) as e:
        raise DataError(f"{path} cannot be read as Parquet: {shortened(str(e).splitlines()[0])}") from e


def _arrow_names(schema: Any, channels: Sequence[str]) -> dict[int, str]:
    """Returns the names of columns by their places; an index of pandas without a name is the time, or is left out."""
    names = dict(enumerate(schema.names))
    has_time = clock_of(list(names.values()), channels) is not None
    for place in [place for place, name in names.items() if is_bare_index(name)]:
        if has_time or not _holds_dates(schema.types[place]):
            del names[place]
        else:
            names[place], has_time = "time", True
    return names


def _arrow_column(column: Any, *, is_time: bool) -> Sequence[Any]:
    """Returns the cells of a column; dates as seconds where it is the time, and else as text."""
    import pyarrow

    if not _holds_dates(column.type):
        values: Sequence[Any] = column.to_pylist()
        return values
    if not is_time:
        texts: Sequence[Any] = column.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.string()).to_pylist()
        return texts
    items = column.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64()).to_pylist()
    return [None if item is None else item / 1e9 for item in items]


def _holds_dates(arrow_type: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_timestamp(arrow_type) or pyarrow.types.is_date(arrow_type))


def _run_length(flags: npt.NDArray[np.bool_]) -> int:
    """Returns how many of the first flags are set."""
    unset = np.flatnonzero(~flags)
    return int(unset[0]) if len(unset) else len(flags)
