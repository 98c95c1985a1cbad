"""Warnings of timed rows as short notes: what a word stands for is said once, not in every row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_COMMON = "unstable: "
# The beginning of a warning, its word in a table, and what that stands for.
_WORDS = (
    ("half of the calls are more than ", " off the median", "spread", "half of the calls are further off the median"),
    ("one call in ten takes ", " times the median", "tail", "one call in ten takes so many medians or more"),
    ("the median is known to ", "", "median", "how well the median is known"),
    ("the process had to wait ", " of the time", "waited", "the share of the time that the process had to wait"),
)
_NAMES = "|".join(word for _, _, word, _ in _WORDS)


def join_warnings(warnings: Sequence[str]) -> str:
    """Returns the warnings of a row in one line, with a shared prefix stated once."""
    unstable = [warning.removeprefix(_COMMON) for warning in warnings if warning.startswith(_COMMON)]
    parts = [_COMMON + "; ".join(unstable)] if unstable else []
    return "; ".join([*parts, *(warning for warning in warnings if not warning.startswith(_COMMON))])


def short_notes(warnings: Sequence[str]) -> str:
    """Returns the warnings of a row for a table, such as `unstable: spread 9%, tail 2.1x`."""
    return re.sub(rf"; (?=(?:{_NAMES}) )", ", ", join_warnings([_shortened(warning) for warning in warnings]))


def notes_legend(rows: Iterable[Sequence[str]]) -> str:
    """Returns what the words in the notes of a table stand for; empty where none is used.

    Args:
        rows: The warnings of each row.
    """
    given = {warning.removeprefix(_COMMON) for warnings in rows for warning in warnings}
    used = [f"{word}: {meaning}" for start, _, word, meaning in _WORDS if any(text.startswith(start) for text in given)]
    return f"unstable where something else used the CPU; {'; '.join(used)}" if used else ""


def _shortened(warning: str) -> str:
    text = warning.removeprefix(_COMMON)
    for start, end, word, _ in _WORDS:
        if text.startswith(start):
            value = text.removeprefix(start).removesuffix(end)
            return f"{_COMMON}{word} {value}{'x' if word == 'tail' else ''}"
    return warning
