"""The layout of a table for a given width: what does not fit is left out or goes below; nothing is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len

_GAP = "  "
# Text of more words than this is wrapped between them, or printed below; names and numbers are neither.
_WORDS_OF_A_NAME = 3
_NARROWEST_TEXT = 30


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table that fits.

    Attributes:
        header: The headers, aligned.
        lines: The rows, aligned; each is one or more lines of cells.
        below: Lines to print below it: what was left out, or the same in every row, and texts that did not fit.
    """

    header: list[str]
    lines: list[list[str]]
    below: list[str]


@dataclass(frozen=True, kw_only=True)
class _Column:
    header: str
    cells: list[str]

    @property
    def width(self) -> int:
        return max(map(cell_len, (self.header, *self.cells)))

    @property
    def is_text(self) -> bool:
        return any(len(cell.split()) > _WORDS_OF_A_NAME for cell in self.cells)

    @property
    def is_figures(self) -> bool:
        return all(cell[:1].isdigit() or cell in ("", "-") for cell in self.cells)

    @property
    def is_constant(self) -> bool:
        return len(self.cells) > 1 and bool(self.cells[0]) and len(set(self.cells)) == 1


def lay_out(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int, less: Sequence[str] = ()) -> Layout:
    """Lays a table out.

    Where it is too wide, columns of text are wrapped between words if there is room for them, and else go below. Then
    columns are left out: first those with the same cell in every row, which is said below, then those that the caller
    can do without, then others from the right. The first column always stays.

    Args:
        headers: One a column; the first column names the row.
        rows: The cells.
        width: Of the terminal, in columns of characters.
        less: Headers of the columns that the caller can do without, the least important first.
    """
    columns = [_Column(header=name, cells=[row[i] for row in rows]) for i, name in enumerate(headers)]
    below: list[str] = []
    text_width = _room_for_text(columns, width)
    if text_width is None:
        texts = [column for column in columns[1:] if column.is_text]
        below = [
            f"{_name(columns, row)}{_kind(column, texts)}: {column.cells[row]}"
            for row in range(len(rows))
            for column in texts
            if column.cells[row]
        ]
        columns = [column for index, column in enumerate(columns) if index == 0 or not column.is_text]
        columns, left_out = _fitting(columns, width, less)
        below = left_out + below
    return Layout(header=_aligned(columns, text_width), lines=_lines(columns, text_width), below=below)


def _name(columns: Sequence[_Column], row: int) -> str:
    """Returns what names a row: its first cell, which those below it share if they have none, and else the second."""
    first = list(columns[0].cells)
    for index, cell in enumerate(first):
        first[index] = cell or first[max(index - 1, 0)]
    return f"{first[row]} {columns[1].cells[row]}".rstrip() if first.count(first[row]) > 1 else first[row]


def _kind(column: _Column, texts: Sequence[_Column]) -> str:
    return f", {column.header}" if column.header and len(texts) > 1 else ""


def _total(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def _room_for_text(columns: Sequence[_Column], width: int) -> int | None:
    """Returns the width of each column of text; 0 if all have room as they are, None if text must go below."""
    if _total(columns) <= width:
        return 0
    texts = [column for column in columns[1:] if column.is_text]
    if not texts:
        return None
    fixed = _total(columns) - sum(column.width for column in texts)
    room = (width - fixed) // len(texts)
    longest = max((cell_len(word) for column in texts for cell in column.cells for word in cell.split()), default=0)
    return room if room >= max(_NARROWEST_TEXT, longest) else None


def _fitting(columns: list[_Column], width: int, less: Sequence[str]) -> tuple[list[_Column], list[str]]:
    """Returns the columns that are kept, and lines that say what the others were."""
    same, dropped = [], []
    while _total(columns) > width and len(columns) > 1:
        constant = next((column for column in columns[1:] if column.is_constant), None)
        if constant is not None:
            same.append(f"{constant.header} {constant.cells[0]}")
            columns = [column for column in columns if column is not constant]
            continue
        names = [column.header for column in columns[1:]]
        name = next((name for name in less if name in names), names[-1])
        dropped.append(name)
        columns = [column for index, column in enumerate(columns) if index == 0 or column.header != name]
    lines = [f"in every row: {', '.join(same)}"] if same else []
    return columns, lines + ([f"left out for want of width: {', '.join(dropped)}"] if dropped else [])


def _width_of(column: _Column, index: int, text_width: int | None) -> int:
    return min(column.width, text_width) if text_width and index and column.is_text else column.width


def _aligned(columns: Sequence[_Column], text_width: int | None) -> list[str]:
    return [
        _pad(column.header, _width_of(column, index, text_width), right=index > 0 and column.is_figures)
        for index, column in enumerate(columns)
    ]


def _lines(columns: Sequence[_Column], text_width: int | None) -> list[list[str]]:
    lines = []
    for row in range(len(columns[0].cells) if columns else 0):
        wrapped = [
            _wrapped(column.cells[row], _width_of(column, index, text_width)) for index, column in enumerate(columns)
        ]
        for cells in zip_longest(*wrapped, fillvalue=""):
            lines.append(
                [
                    _pad(cell, _width_of(column, index, text_width), right=index > 0 and column.is_figures)
                    for index, (column, cell) in enumerate(zip(columns, cells, strict=True))
                ]
            )
    return lines


def _wrapped(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]


def _pad(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def joined(cells: Sequence[str]) -> str:
    """Returns the cells of one line as text."""
    return _GAP.join(cells).rstrip()
