"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.reporting.text import Row

_ESCAPES = str.maketrans(
    {**{character: f"\\{character}" for character in "\\`*_[]|#~"}, "<": "&lt;", ">": "&gt;", "@": "&#64;"}
)


def markdown_table(headers: Sequence[str], rows: Sequence[Row]) -> str:
    """Returns a table; what would end a cell is escaped."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(plain_text(cell) for cell in line)} |" for line in lines)


def plain_text(text: str) -> str:
    """Returns text that stands for itself: no markup, no link, no mention."""
    return " ".join(text.translate(_ESCAPES).split())
