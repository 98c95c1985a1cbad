"""Numbers as text, the same in every table."""

from __future__ import annotations

Row = list[str]


def format_us(seconds: float) -> str:
    """Returns microseconds, to a tenth below 100."""
    microseconds = seconds * 1e6
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def format_ratio(ratio: float | None) -> str:
    """Returns a speed-up with two or three significant digits; `-` where there is none."""
    if ratio is None:
        return "-"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}"
