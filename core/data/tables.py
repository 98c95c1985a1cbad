"""Tables from `.csv` files: one row an example, every column a number."""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, did_you_mean
from pocketvae.parsing import shortened

if TYPE_CHECKING:
    import _csv

_DELIMITERS = ",;\t"
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
_BARE_INDEX = re.compile(r"__index_level_\d+__")
_LARGEST = float(np.finfo(np.float32).max)


def at_row(path: Path, row: int) -> str:
    """Returns where a row lies, for messages: rows of text as editors count them, those of Parquet from 0."""
    return f"{path}, row {row}{' (from 0)' if path.suffix.lower() == '.parquet' else ''}"


def read_table(path: Path) -> npt.NDArray[np.float32]:
    """Reads a table, `[N, F] float32`.

    The first row is a header if none of its cells is a number. Cells are separated by commas, semicolons or tabs; with
    the last two, numbers may have decimal commas.

    Raises:
        DataError: the file cannot be read, its rows have different lengths, or a cell is not a finite number; the
            message names row and column.
    """
    with _opened(path) as rows:
        return _parsed(rows, path)


@contextlib.contextmanager
def opened_table(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Opens a table as text and yields its rows with their numbers, as editors count them; empty ones are left out.

    Separators and decimal commas are those of `read_table`.

    Raises:
        DataError: the file cannot be read, or its rows have different lengths.
    """
    with _opened(path) as rows:
        yield _of_one_length(rows, path)


def is_header(row: list[str]) -> bool:
    """Whether a row names columns: it has a text, and none of its cells is a number."""
    return any(map(_is_text, row)) and not any(map(_is_number, row))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Opens a table and yields its rows, see `_rows`.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            yield _rows(csv.reader(file, delimiter=delimiter), decimal_commas=delimiter != ",")
    except (OSError, csv.Error) as e:
        raise DataError(f"{path} cannot be read: {shortened(e)}") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path} must be text in UTF-8: {shortened(e)}") from e


def _delimiter(line: str) -> str:
    """Returns what separates the cells of a line; commas are not it where they are parts of numbers."""
    found = max(_DELIMITERS, key=line.count)
    others = [sign for sign in _DELIMITERS if sign != "," and sign in line]
    if found == "," and any(all(map(_is_local_number, line.split(sign))) for sign in others):
        return max(others, key=line.count)
    return found


def _is_local_number(cell: str) -> bool:
    return not cell.strip() or _is_number(_with_point(cell))


def _with_point(cell: str) -> str:
    """Returns a number with a decimal comma as one with a point; everything else as it is."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _rows(reader: _csv.Reader, *, decimal_commas: bool) -> Iterator[tuple[int, list[str]]]:
    """Yields rows with their numbers, as editors count them; empty ones are left out."""
    number = 1
    for row in reader:
        if row:
            yield number, [_with_point(cell) for cell in row] if decimal_commas else row
        # A quoted cell may hold line breaks.
        number = reader.line_num + 1


def _of_one_length(rows: Iterator[tuple[int, list[str]]], path: Path) -> Iterator[tuple[int, list[str]]]:
    length = 0
    for number, row in rows:
        length = length or len(row)
        _check_length(row, length, number, path)
        yield number, row


def _parsed(rows: Iterator[tuple[int, list[str]]], path: Path) -> npt.NDArray[np.float32]:
    number, row = next(rows, (1, []))
    has_header = is_header(row)
    names = [cell.strip() for cell in row] if has_header else [""] * len(row)
    values = [] if has_header or not row else [_numbers(row, number, names, path)]
    values += [_numbers(row, number, names, path) for number, row in rows]
    if not values:
        raise DataError(f"{path} must hold rows of numbers, got none{' below its header' if has_header else ''}")
    return np.stack(values)


def _check_length(row: list[str], expected: int, number: int, path: Path) -> None:
    if len(row) != expected:
        columns = f"{expected} column{'s' if expected > 1 else ''}"
        raise DataError(f"{path}, row {number}: every row must have {columns} as the first, got {len(row)}")


def _is_text(cell: str) -> bool:
    return bool(cell.strip()) and not _is_number(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(row: list[str], number: int, names: list[str], path: Path) -> npt.NDArray[np.float32]:
    _check_length(row, len(names), number, path)
    try:
        values = np.array([float(cell) for cell in row])
    except ValueError:
        values = np.array([float(cell) if _is_number(cell) else math.nan for cell in row])
    bad = np.flatnonzero(~(np.abs(values) <= _LARGEST))
    if len(bad):
        column = int(bad[0])
        name = f" ({shortened(names[column])})" if names[column] else ""
        found = repr(shortened(row[column])) if row[column].strip() else "an empty cell"
        # Python reads 1e999 as infinite, too.
        is_large = any(sign.isdigit() for sign in row[column]) and not math.isnan(values[column])
        large = ", which is too large for float32" if is_large else ""
        raise DataError(f"{path}, row {number}, column {column + 1}{name}: must be a finite number, got {found}{large}")
    return values.astype(np.float32)


def is_bare_index(name: str) -> bool:
    """Whether a column of Parquet is the index of a table of pandas, without a name of its own."""
    return _BARE_INDEX.fullmatch(name) is not None


def column_places(names: Sequence[str], known: Sequence[str], path: Path) -> list[int]:
    """Returns where columns stand in a table.

    Raises:
        DataError: there is no such column.
    """
    for name in names:
        if name not in known:
            raise DataError(
                f"{path} has no column {name!r}: {did_you_mean(name, known)}known: {shortened(', '.join(known))}"
            )
    return [known.index(name) for name in names]
