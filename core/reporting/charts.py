"""Charts as SVG: no script, no outside file; those for pages are readable by screen readers and in dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Self

import numpy as np
import numpy.typing as npt

_BAR_HEIGHT, _BAR_GAP = 18, 8
_LABEL_WIDTH, _PLOT_WIDTH, _VALUE_WIDTH = 210, 420, 90
# Of a chart for a narrow screen, where labels stand above what they name.
_NARROW_WIDTH, _NARROW_MARGIN, _NARROW_ROW = 340, 18, 40
# For the text behind a row.
_TEXT_WIDTH = 70
# Of the scatter plot, in the units of its view box.
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _LABEL_COLUMN = 720, 420, 64, 48, 16, 210
_LINE = 16.0
# Of the unit square, which stands alone and brings its own colours.
_SIDE, _MARGIN = 360, 48
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea")
# An axis whose largest value is this many times its smallest has ticks at decades alone.
_DECADES_FROM = 100.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: `kind` picks its colour (`tflite`, `onnx` or `original`)."""

    label: str
    value: float
    text: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a scatter plot: `kind` picks its colour and shape (`tflite`, `onnx` or `original`).

    The one that is `chosen` has a ring of its own, and its label is bold.
    """

    label: str
    x: float
    y: float
    kind: str
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a line chart, from left to right."""

    label: str
    points: tuple[tuple[float, float], ...]
    kind: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve in the unit square: the coordinates `[N]` of its points."""

    label: str
    points: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Range:
    """A distribution in one row: five of its quantiles, ascending.

    Values that lie `apart` from it are drawn alone, each with its name.
    """

    label: str
    quantiles: tuple[float, float, float, float, float]
    text: str
    kind: str
    apart: tuple[tuple[str, float], ...] = ()


def _bar_rows(bars: Sequence[Bar], shares: Sequence[float]) -> list[str]:
    rows = []
    for index, (bar, share) in enumerate(zip(bars, shares, strict=True)):
        top = _BAR_GAP + index * (_BAR_HEIGHT + _BAR_GAP)
        width = max(2.0, _PLOT_WIDTH * share)
        middle = top + _BAR_HEIGHT / 2
        rows.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle}" class="label" text-anchor="end">{escape(bar.label)}</text>'
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{_BAR_HEIGHT}" class="{bar.kind}" rx="2"/>'
            f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{middle}" class="value">{escape(bar.text)}</text>'
        )
    return rows


def level_chart(bars: Sequence[Bar], *, title: str) -> str:
    """Draws horizontal bars from 0 on a linear scale, in the order given."""
    if not bars:
        return ""
    largest = max(bar.value for bar in bars) or 1.0
    shares = [bar.value / largest for bar in bars]
    height = len(bars) * (_BAR_HEIGHT + _BAR_GAP) + _BAR_GAP
    return _svg(_LABEL_WIDTH + _PLOT_WIDTH + _VALUE_WIDTH, height, title, _bar_rows(bars, shares))


def scatter_chart(points: Sequence[Point], *, title: str, x_label: str, y_label: str) -> str:
    """Draws points on two logarithmic axes; their labels stand in a column at the right, each joined to its point."""
    if not points:
        return ""
    x_axis = _Axis.fit([point.x for point in points], start=_LEFT, end=_WIDTH - _LABEL_COLUMN)
    y_axis = _Axis.fit([point.y for point in points], start=_HEIGHT - _BOTTOM, end=_TOP)
    parts = [*_vertical_grid(x_axis), *_horizontal_grid(y_axis)]
    ordered = sorted(points, key=lambda point: -point.y)
    heights = _spread([y_axis.place(point.y) for point in ordered])
    column = _WIDTH - _LABEL_COLUMN + 22
    for point, height in zip(ordered, heights, strict=True):
        x, y = x_axis.place(point.x), y_axis.place(point.y)
        parts.append(
            f'<polyline points="{x:.1f},{y:.1f} {column - 14},{height:.1f} {column - 3},{height:.1f}" class="lead"/>'
        )
        parts.append(_mark(x, y, point.kind))
        if point.chosen:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" class="chosen"/>')
        name = "label chosen" if point.chosen else "label"
        parts.append(f'<text x="{column}" y="{height:.1f}" class="{name}">{escape(point.label)}</text>')
    return _svg(_WIDTH, _HEIGHT, title, [*parts, *_axis_labels(x_axis, y_axis, x_label, y_label)])


def _mark(x: float, y: float, kind: str) -> str:
    """Returns a point: a circle, or a square of an ONNX file, so that colour is not all that tells them apart."""
    if kind.split(" ")[0] == "onnx":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" class="{kind}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{kind}"/>'


def line_chart(lines: Sequence[Line], *, title: str, x_label: str, y_label: str) -> str:
    """Draws lines on two logarithmic axes, each with its label at the right."""
    if not lines:
        return ""
    values = [point for line in lines for point in line.points]
    x_axis = _Axis.fit([x for x, _ in values], start=_LEFT, end=_WIDTH - _LABEL_COLUMN)
    y_axis = _Axis.fit([y for _, y in values], start=_HEIGHT - _BOTTOM, end=_TOP)
    parts = [*_vertical_grid(x_axis), *_horizontal_grid(y_axis)]
    ordered = sorted(lines, key=lambda line: -line.points[-1][1])
    heights = _spread([y_axis.place(line.points[-1][1]) for line in ordered])
    column = _WIDTH - _LABEL_COLUMN + 22
    for line, height in zip(ordered, heights, strict=True):
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in line.points]
        parts.append(f'<polyline points="{_points(places)}" class="line {line.kind}"/>')
        lead = [places[-1], (column - 14, height), (column - 3, height)]
        parts.append(f'<polyline points="{_points(lead)}" class="lead"/>')
        parts.append(f'<text x="{column}" y="{height:.1f}" class="label">{escape(line.label)}</text>')
    return _svg(_WIDTH, _HEIGHT, title, [*parts, *_axis_labels(x_axis, y_axis, x_label, y_label)])


def range_chart(ranges: Sequence[Range], *, title: str, is_narrow: bool = False) -> str:
    """Draws one row per distribution on a logarithmic scale: a thin line, a thick one in it, a mark at the middle.

    Args:
        ranges: From above to below.
        title: Of the chart.
        is_narrow: Whether it is for a screen as narrow as a phone's.
    """
    if not ranges:
        return ""
    values = [value for each in ranges for value in (*each.quantiles, *(value for _, value in each.apart))]
    start = _NARROW_MARGIN if is_narrow else _LABEL_WIDTH
    end = _NARROW_WIDTH - _NARROW_MARGIN if is_narrow else _LABEL_WIDTH + _PLOT_WIDTH
    axis = _Axis.fit(values, start=start, end=end)
    row = _NARROW_ROW if is_narrow else _BAR_HEIGHT + _BAR_GAP
    height = len(ranges) * row + _BAR_GAP
    parts = []
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{height + 10}" class="tick" text-anchor="middle">{tick:.10g}</text>')
    for index, each in enumerate(ranges):
        middle = (index + 1) * row - _BAR_HEIGHT / 2
        parts += [*_range_words(each, axis, middle, is_narrow=is_narrow), *_range_row(each, axis, middle)]
    width = _NARROW_WIDTH if is_narrow else _LABEL_WIDTH + _PLOT_WIDTH + _VALUE_WIDTH
    return _svg(width, height + 20, title, parts)


def _range_words(each: Range, axis: _Axis, middle: float, *, is_narrow: bool) -> list[str]:
    """Returns a row's label and text: at its sides, or above it on a narrow screen."""
    if is_narrow:
        label, text, y = (axis.start, "start"), (axis.end, "end"), middle - 19
    else:
        label, text, y = (_LABEL_WIDTH - 8, "end"), (_behind(each, axis), "start"), middle
    return [
        f'<text x="{x:.1f}" y="{y}" class="{name}" text-anchor="{anchor}">{escape(words)}</text>'
        for (x, anchor), name, words in ((label, "label", each.label), (text, "value", each.text))
    ]


def _behind(each: Range, axis: _Axis) -> float:
    """Returns where the text of a row begins: behind its lines, or behind what is apart where that is in the way."""
    end = axis.place(each.quantiles[-1])
    for place in sorted(axis.place(value) for _, value in each.apart):
        if end <= place < end + _TEXT_WIDTH:
            end = place
    return end + 8


def _range_row(each: Range, axis: _Axis, middle: float) -> list[str]:
    lowest, low, centre, high, highest = (axis.place(value) for value in each.quantiles)
    return [
        f'<rect x="{lowest:.1f}" y="{middle - 1}" width="{max(1.0, highest - lowest):.1f}" height="2" '
        f'class="{each.kind}"/>',
        f'<rect x="{low:.1f}" y="{middle - 5}" width="{max(2.0, high - low):.1f}" height="10" class="{each.kind}"/>',
        f'<rect x="{centre - 1:.1f}" y="{middle - 8}" width="2" height="16" class="middle"/>',
        *(
            f'<circle cx="{axis.place(value):.1f}" cy="{middle}" r="4" class="apart">'
            f"<title>{escape(name)}</title></circle>"
            for name, value in each.apart
        ),
    ]


def unit_square_chart(curves: Sequence[Curve], *, x_label: str, y_label: str) -> str:
    """Draws curves of shares against shares as a file of its own; their labels stand at the bottom right."""
    total, middle = _SIDE + 2 * _MARGIN, _MARGIN + _SIDE / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {total}" width="{total}" height="{total}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{total}" height="{total}" fill="#fff"/>',
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#94a3b8"/>',
        f'<path d="M{_across(0)} {_up(0)}L{_across(1)} {_up(1)}" stroke="#cbd5e1" stroke-dasharray="4 4"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{_across(share)}" y="{_up(0) + 18}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{_MARGIN - 8}" y="{_up(share) + 4}" text-anchor="end">{share:g}</text>')
    parts.append(f'<text x="{middle}" y="{total - 10}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f"translate(14 {middle}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{escape(y_label)}</text>')
    for index, curve in enumerate(curves):
        parts += _curve(curve, _COLOURS[index % len(_COLOURS)], _up(0) - 14 - 18 * (len(curves) - 1 - index))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curve(curve: Curve, colour: str, label_top: float) -> list[str]:
    # A curve of 20,000 points has no more than a pixel's worth of corners to show.
    kept = np.unique(np.round(np.stack(curve.points, axis=1) * _SIDE * 2), axis=0) / (_SIDE * 2)
    points = _points([(_across(x), _up(y)) for x, y in kept])
    return [
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<text x="{_across(1) - 8}" y="{label_top}" text-anchor="end" fill="{colour}">{escape(curve.label)}</text>',
    ]


def _across(share: float) -> float:
    return _MARGIN + share * _SIDE


def _up(share: float) -> float:
    return _MARGIN + (1 - share) * _SIDE


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _axis_labels(x_axis: _Axis, y_axis: _Axis, x_label: str, y_label: str) -> list[str]:
    middle, centre = (x_axis.start + x_axis.end) / 2, (y_axis.start + y_axis.end) / 2
    return [
        f'<text x="{middle}" y="{_HEIGHT - 8}" class="axis" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="14" y="{centre}" class="axis" text-anchor="middle" transform="rotate(-90 14 {centre})">'
        f"{escape(y_label)}</text>",
    ]


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """A logarithmic axis from `ticks[0]` at the coordinate `start` to `ticks[-1]` at `end`."""

    ticks: tuple[float, ...]
    start: float
    end: float

    @classmethod
    def fit(cls, values: Sequence[float], *, start: float, end: float) -> Self:
        """Returns the axis that holds all values: ticks at 1, 2 and 5 where they span little, else at decades."""
        low, high = min(values), max(values)
        steps = (1.0, 2.0, 5.0) if high / low < _DECADES_FROM else (1.0,)
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        candidates = [step * 10.0**exponent for exponent in range(first, last + 1) for step in steps]
        below = max((tick for tick in candidates if tick <= low), default=candidates[0])
        above = min((tick for tick in candidates if tick >= high and tick > below), default=candidates[-1] * 10)
        ticks = (*(tick for tick in candidates if below <= tick < above), above)
        return cls(ticks=ticks, start=start, end=end)

    def place(self, value: float) -> float:
        """Returns the coordinate of a value."""
        share = math.log(value / self.ticks[0]) / math.log(self.ticks[-1] / self.ticks[0])
        return self.start + (self.end - self.start) * share


def _vertical_grid(axis: _Axis) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="grid"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" class="tick" text-anchor="middle">{tick:.10g}</text>'
        )
    return parts


def _horizontal_grid(axis: _Axis) -> list[str]:
    parts = []
    for tick in axis.ticks:
        y = axis.place(tick)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _LABEL_COLUMN}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y:.1f}" class="tick" text-anchor="end">{tick:.10g}</text>')
    return parts


def _spread(wanted: Sequence[float]) -> list[float]:
    """Returns ascending heights near the wanted ones, a line apart, pushed down first and then up from the bottom."""
    heights: list[float] = []
    for height in wanted:
        heights.append(max(height, heights[-1] + _LINE if heights else _TOP))
    lowest = float(_HEIGHT - _BOTTOM)
    for index in reversed(range(len(heights))):
        heights[index] = min(heights[index], lowest)
        lowest = heights[index] - _LINE
    return heights


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
