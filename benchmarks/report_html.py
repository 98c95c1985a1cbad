"""The pieces of HTML that the report's sections are made of."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape


def table(caption: str, headers: Sequence[str], rows: Sequence[str]) -> str:
    """Returns a table of rows made by `table_row`; it scrolls sideways on a narrow screen."""
    head = "".join(f"<th scope='col'>{escape(header)}</th>" for header in headers)
    return (
        f"<div class='scroll'><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def table_row(name: str, cells: Sequence[str], *, wrap_last: bool = False) -> str:
    """Returns a row: the name is escaped, the cells are HTML already."""
    last = len(cells) - 1
    body = "".join(f"<td{' class=wrap' if wrap_last and i == last else ''}>{cell}</td>" for i, cell in enumerate(cells))
    return f"<tr><th scope='row'><code>{escape(name)}</code></th>{body}</tr>"


def image(png: bytes, alt: str, *, smooth: bool = False) -> str:
    """Returns a PNG inside the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f"<img{' class=smooth' if smooth else ''} alt='{escape(alt, quote=True)}' src='data:image/png;base64,{data}'>"
    )
