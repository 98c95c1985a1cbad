"""Charts as inline SVG: no script, no outside file, readable by screen readers and in dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_BAR_HEIGHT, _BAR_GAP = 18, 8
_LABEL_WIDTH, _PLOT_WIDTH, _VALUE_WIDTH = 210, 420, 90


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: `kind` picks its colour (`tflite`, `onnx` or `original`)."""

    label: str
    value: float
    text: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a scatter plot."""

    label: str
    x: float
    y: float
    kind: str


def bar_chart(bars: Sequence[Bar], *, title: str) -> str:
    """Draws horizontal bars on a logarithmic scale that begins at the decade below the smallest value."""
    if not bars:
        return ""
    low = 10 ** math.floor(math.log10(min(bar.value for bar in bars)))
    high = 10 ** math.ceil(math.log10(max(bar.value for bar in bars) * 1.0001))
    span = math.log10(high / low)
    height = len(bars) * (_BAR_HEIGHT + _BAR_GAP) + _BAR_GAP
    rows = []
    for index, bar in enumerate(bars):
        top = _BAR_GAP + index * (_BAR_HEIGHT + _BAR_GAP)
        width = max(2.0, _PLOT_WIDTH * math.log10(bar.value / low) / span)
        middle = top + _BAR_HEIGHT / 2
        rows.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle}" class="label" text-anchor="end">{escape(bar.label)}</text>'
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{_BAR_HEIGHT}" class="{bar.kind}" rx="2"/>'
            f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{middle}" class="value">{escape(bar.text)}</text>'
        )
    return _svg(_LABEL_WIDTH + _PLOT_WIDTH + _VALUE_WIDTH, height, title, rows)


def scatter_chart(points: Sequence[Point], *, title: str, x_label: str, y_label: str) -> str:
    """Draws labelled points, both axes logarithmic with a line at each decade."""
    if not points:
        return ""
    width, height, left, bottom, top, right = 720, 420, 64, 48, 16, 150
    x_low, x_high = _decades([point.x for point in points])
    y_low, y_high = _decades([point.y for point in points])

    def place(point_x: float, point_y: float) -> tuple[float, float]:
        x = left + (width - left - right) * math.log10(point_x / x_low) / math.log10(x_high / x_low)
        y = height - bottom - (height - bottom - top) * math.log10(point_y / y_low) / math.log10(y_high / y_low)
        return x, y

    parts = []
    for decade in _between(x_low, x_high):
        x, _ = place(decade, y_low)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{height - bottom}" class="grid"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{height - bottom + 16}" class="tick" text-anchor="middle">{decade:g}</text>'
        )
    for decade in _between(y_low, y_high):
        _, y = place(x_low, decade)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 8}" y="{y:.1f}" class="tick" text-anchor="end">{decade:g}</text>')
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: point.y):
        x, y = place(point.x, point.y)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{point.kind}"/>')
        parts.append(f'<text x="{x + 9:.1f}" y="{_free(taken, x, y):.1f}" class="label">{escape(point.label)}</text>')
    middle = (height - bottom + top) / 2
    centre = (left + width - right) / 2
    parts.append(f'<text x="{centre}" y="{height - 8}" class="axis" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text x="14" y="{middle}" class="axis" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_label)}</text>"
    )
    return _svg(width, height, title, parts)


def _free(taken: list[tuple[float, float]], x: float, y: float) -> float:
    """Returns a height for a label near y that no earlier label in the same area uses."""
    while any(abs(x - other_x) < 140 and abs(y - other_y) < 13 for other_x, other_y in taken):
        y -= 13
    taken.append((x, y))
    return y


def _decades(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _between(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), round(math.log10(high))
    return [10.0**exponent for exponent in range(first, last + 1)]


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
