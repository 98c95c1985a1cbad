"""Text and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pocketvae.reporting.text import Row

_ESCAPES = str.maketrans(
    {**{character: f"\\{character}" for character in "\\`*_[]|#~"}, "<": "&lt;", ">": "&gt;", "@": "&#64;"}
)
# What would be markup where it stands: a link, an entity, emphasis; `z_mean [1, 4] <= 1` is none.
_MARKUP = re.compile(
    r"[`|~]|(?<!\s)\*|\*(?!\s)|\\(?=[!-/:-@\[-`{-~]|$)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
_BLOCK = re.compile(r"^(?:#{1,6}(?=\s|$)|[-+](?=\s|$)|[-=](?=[-=\s]*$)|>|\d+(?=[.)](?:\s|$)))")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def markdown_table(headers: Sequence[str], rows: Sequence[Row]) -> str:
    """Returns a table; what would end a cell is escaped."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(plain_text(cell) for cell in line)} |" for line in lines)


def plain_text(text: str) -> str:
    """Returns text that stands for itself: no markup, no link, no mention."""
    return " ".join(text.translate(_ESCAPES).split())


def md_text(text: str) -> str:
    """Returns text in one line for a page that people also read as it is: only what would be markup is escaped."""
    line = _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), " ".join(text.split()))
    return _BLOCK.sub(_escape_block, line)


def md_code(text: str) -> str:
    """Returns text as code inside a line or a cell; a fence is longer than any in the text."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _escape_block(found: re.Match[str]) -> str:
    # A number is escaped at the full stop behind it.
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"
