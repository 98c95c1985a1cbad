"""Tables with one row an example: columns of numbers, of two values and of categories, as a model takes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.tables import at_row, column_places, is_bare_index, is_header, opened_table
from pocketvae.errors import DataError, TargetError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.installation import install_command
from pocketvae.parsing import shortened

SUFFIXES = (".csv", ".parquet")
_TRUTH = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}
_MOST_CATEGORIES = 64
_LARGEST = float(np.finfo(np.float32).max)
# Python's own texts take four times as much memory.
_TEXT = np.dtypes.StringDType()
_ROWS_AT_ONCE = 1 << 14
_NO_TEXT = np.zeros(0, _TEXT)

Texts: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it was read.

    Attributes:
        path: Of the file, for messages.
        names: Of the columns; their numbers from 0 where the file has no header.
        cells: `[F][N]`, the cells of each column as text, of numpy's `StringDType`.
        rows: `[N]`, the number of each row, as editors count them; from 0 where no text has rows.
    """

    path: Path
    names: tuple[str, ...]
    cells: tuple[Texts, ...]
    rows: npt.NDArray[np.int64]

    def chosen(self, names: Sequence[str]) -> Table:
        """Returns some columns, in the order asked for.

        Raises:
            DataError: there is no such column.
        """
        places = column_places(names, self.names, self.path)
        return Table(
            path=self.path, names=tuple(names), cells=tuple(self.cells[place] for place in places), rows=self.rows
        )

    def error(self, column: int, row: int, must: str) -> DataError:
        """Returns what is wrong with a cell."""
        cell = self.cells[column][row]
        found = repr(shortened(cell)) if cell else "a missing value: fill it in, or delete the row"
        return DataError(
            f"{at_row(self.path, int(self.rows[row]))}, column {self.names[column]!r}: must be {must}, got {found}"
        )


def read_columns(path: Path, names: Sequence[str] = ()) -> Table:
    """Reads a table with one row an example.

    Args:
        path: A `.csv` or `.parquet` file; the first row of a `.csv` is a header if none of its cells is a number.
        names: Which columns; all where none are named, but no index of pandas that has no name.

    Raises:
        DataError: the file is damaged or empty, its rows have different lengths, two columns have one name, a column is
            missing, or a cell is empty.
        TargetError: pyarrow, which reads Parquet, is not installed.
    """
    table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    twice = next((name for name in table.names if table.names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} must have columns of different names, got two of {shortened(twice)!r}")
    table = table.chosen(names or [name for name in table.names if not is_bare_index(name)])
    if not len(table.rows) or not table.names:
        raise DataError(f"{path} must hold {'rows' if table.names else 'columns'}, got none")
    for column, cells in enumerate(table.cells):
        if (is_missing := cells == "").any():
            raise table.error(column, int(is_missing.argmax()), "given")
    return table


def found_channels(table: Table, categories: Sequence[str], *, real_alone: bool) -> tuple[Channel, ...]:
    """Returns what the columns are, not yet normalized.

    A column of 0 and 1 (or false and true) is binary. One of text is a category, and so is one of numbers that is
    named. All others are real numbers.

    Args:
        table: The columns.
        categories: Names of columns that are categories.
        real_alone: Whether all columns of numbers are real, for likelihoods that know nothing else.

    Raises:
        DataError: a column holds numbers and a text, or too many texts to be categories; or there is no such column.
    """
    for name in categories:
        table.chosen([name])
    return tuple(
        _channel(table, column, is_category=name in categories, real_alone=real_alone)
        for column, name in enumerate(table.names)
    )


def encoded(table: Table, channels: Sequence[Channel]) -> npt.NDArray[np.float32]:
    """Returns the columns as a model takes them, in their own unit: `[N, F] float32`, categories one-hot.

    Args:
        table: The columns, in the order of the channels.
        channels: What they are.

    Raises:
        DataError: a cell is not of its column's kind; the message names row and column.
    """
    return np.concatenate([_encoded(table, index, channel) for index, channel in enumerate(channels)], axis=1)


def _channel(table: Table, column: int, *, is_category: bool, real_alone: bool) -> Channel:
    name, cells = table.names[column], table.cells[column]
    numbers = _numbers(cells)
    if numbers is not None and not is_category and not np.isin(numbers, (0, 1)).all():
        return Channel(name=name, kind=ChannelKind.REAL)
    different = set(np.unique(cells).tolist())
    texts = {cell for cell in different if _number(cell) is None}
    is_truth = {cell.lower() for cell in different} <= set(_TRUTH)
    if is_category or (texts and not is_truth):
        _check_categories(table, column, different, texts, is_category=is_category)
        order = sorted(different) if texts else sorted(different, key=float)
        return Channel(name=name, kind=ChannelKind.CATEGORY, categories=tuple(order))
    is_binary = is_truth and bool(texts or not real_alone)
    return Channel(name=name, kind=ChannelKind.BINARY if is_binary else ChannelKind.REAL)


def _check_categories(table: Table, column: int, different: set[str], texts: set[str], *, is_category: bool) -> None:
    name = table.names[column]
    numbers = len(different) - len(texts)
    if not is_category and numbers > len(texts):
        row = next(row for row, cell in enumerate(table.cells[column]) if cell in texts)
        raise table.error(column, row, "a number like most others, or a category that the key categories names")
    if len(different) > _MOST_CATEGORIES:
        raise DataError(
            f"{table.path}, column {name!r}: a category must have at most {_MOST_CATEGORIES} different values, got "
            f"{len(different)}: leave the column out with --channels"
        )


def _encoded(table: Table, column: int, channel: Channel) -> npt.NDArray[np.float32]:
    cells = table.cells[column]
    if channel.kind is ChannelKind.CATEGORY:
        codes = np.full(len(cells), -1)
        for index, category in enumerate(channel.categories):
            codes[cells == category] = index
        if (codes < 0).any():
            must = f"one of {shortened(', '.join(channel.categories))}"
            raise table.error(column, int((codes < 0).argmax()), must)
        one_hot: npt.NDArray[np.float32] = np.eye(len(channel.categories), dtype=np.float32)[codes]
        return one_hot
    if channel.kind is ChannelKind.BINARY:
        values, lower = np.full(len(cells), np.nan, np.float32), np.strings.lower(cells)
        for text, value in _TRUTH.items():
            values[lower == text] = value
        if (is_other := np.isnan(values)).any():
            raise table.error(column, int(is_other.argmax()), "0 or 1")
        return values[:, None]
    numbers = _numbers(cells)
    if numbers is None:
        row = next(row for row, cell in enumerate(cells) if _number(cell) is None)
        raise table.error(column, row, "a finite number")
    return numbers.astype(np.float32)[:, None]


def _numbers(cells: Texts) -> npt.NDArray[np.float64] | None:
    """Returns the numbers that all cells are; None where one is not."""
    try:
        values = cells.astype(np.float64)
    except ValueError:
        return None
    return values if (np.abs(values) <= _LARGEST).all() else None


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def _csv(path: Path) -> Table:
    with opened_table(path) as lines:
        number, first = next(lines, (0, []))
        has_header = is_header(first)
        rows = lines if has_header or not first else itertools.chain([(number, first)], lines)
        found = [_gathered(some, len(first)) for some in iter(lambda: list(itertools.islice(rows, _ROWS_AT_ONCE)), [])]
    names = [cell.strip() if has_header else str(index) for index, cell in enumerate(first)]
    cells = [np.concatenate([_NO_TEXT, *(part[1][index] for part in found)]) for index in range(len(first))]
    numbers = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in found)])
    return Table(path=path, names=tuple(names), cells=tuple(cells), rows=numbers)


def _gathered(rows: Sequence[tuple[int, list[str]]], width: int) -> tuple[npt.NDArray[np.int64], list[Texts]]:
    """Returns the numbers of rows, and their cells by column."""
    columns = [np.array([row[index].strip() for _, row in rows], _TEXT) for index in range(width)]
    return np.array([number for number, _ in rows], np.int64), columns


def _parquet(path: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise TargetError(f"Parquet needs pyarrow: run {install_command('parquet')}") from e
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as e:
        raise DataError(f"{path} cannot be read as Parquet: {shortened(str(e).splitlines()[0])}") from e
    parts = table.to_batches(max_chunksize=_ROWS_AT_ONCE)
    cells = [
        np.concatenate(
            [_NO_TEXT, *(np.array(list(map(_text, part.column(index).to_pylist())), _TEXT) for part in parts)]
        )
        for index in range(table.num_columns)
    ]
    return Table(path=path, names=tuple(table.column_names), cells=tuple(cells), rows=np.arange(table.num_rows))


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()
