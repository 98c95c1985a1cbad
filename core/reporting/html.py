"""Building blocks of self-contained HTML pages, without scripts or external resources: tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.reporting.templates import render

# A cell of more characters is a sentence and may be broken into lines.
_LONG = 40
_VERDICTS = {"pass": "pass", "regressed": "fail", "FAIL": "fail", "incomplete": "incomplete"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell whose look is not that of its text: `kind` is a class of the style sheet, `title` is shown over it."""

    text: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of plain text.

    Attributes:
        caption: Above it; none where it is empty.
        headers: One for each column.
        rows: The first cell of each names the row.
    """

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]

    @property
    def columns(self) -> list[str]:
        """For each column the class of its header: `text` where it holds words, which are aligned at the left."""
        return ["text" if self._holds_words(place) else "" for place in range(len(self.headers))]

    def cells(self, row: Sequence[str | Cell]) -> list[tuple[Cell, str]]:
        """Returns a row's cells behind its name, each with the class of its column or of its length."""
        cells = [cell if isinstance(cell, Cell) else Cell(text=cell, kind=_VERDICTS.get(cell, "")) for cell in row[1:]]
        return [
            (cell, "wrap" if len(cell.text) > _LONG else column)
            for cell, column in zip(cells, self.columns[1:], strict=True)
        ]

    def _holds_words(self, place: int) -> bool:
        return any(isinstance(row[place], str) and not _is_figure(str(row[place])) for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart, as `charts` draws it, with its caption; a figure of no chart is left out.

    Where there is a `narrow` one too, a narrow screen shows that; otherwise it scrolls the chart.
    """

    svg: str
    caption: str
    narrow: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.svg)


def figures_page(title: str, figures: Sequence[Figure]) -> str:
    """Returns a page of figures."""
    return render("pocketvae.reporting", "figures.html.j2", {"title": title, "figures": figures})


def fragment(title: str, table: Table, lines: Sequence[str] = (), pictures: Sequence[tuple[str, bytes]] = ()) -> str:
    """Returns a part of a page, as a notebook shows it below a cell: it has no styles of its own.

    Args:
        title: The first line.
        table: Below it.
        lines: Below the table.
        pictures: PNG files with what they show, above the table.
    """
    values = {"title": title, "content": table, "lines": lines, "pictures": pictures}
    return render("pocketvae.reporting", "fragment.html.j2", values)


def _is_figure(text: str) -> bool:
    is_number = text.removeprefix("-")[:1].isdigit() and len(text) <= _LONG
    return is_number or text in ("", "-", *_VERDICTS)
