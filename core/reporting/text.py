"""Numbers and names as text, formatted the same way in every table."""

from __future__ import annotations

from collections.abc import Sequence

Row = list[str]


def format_us(seconds: float) -> str:
    """Returns microseconds, to a tenth below 100."""
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def format_ratio(ratio: float | None) -> str:
    """Returns a speed-up with two or three significant digits; `-` if there is none."""
    if ratio is None:
        return "-"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}"


def named(names: Sequence[str], most: int = 3) -> str:
    """Returns some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def count_of(count: int, noun: str) -> str:
    """Returns a count with its noun, such as `1 thread` or `2 threads`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
