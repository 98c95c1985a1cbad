"""A figure over many results, as one SVG: a point for each, and where a new level begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_HEIGHT, _TOP, _BOTTOM = 190, 26, 34
# Two marks that are closer would run into one another, and one that is closer to the side would leave the chart.
_MARK_WIDTH = 84
# Room above and below the values, as a share of their spread; a flat line lies in the middle.
_ROOM = 0.15


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """One result.

    Attributes:
        name: Below the axis, of the first and the last.
        value: None where there is a verdict alone.
        text: The value with its unit.
        title: Shown over the point.
        passed: One that did not is a cross, so that colour is not all that tells it apart.
        mark: What is written where a new level begins here; empty where none does.
    """

    name: str
    value: float | None
    text: str
    title: str
    passed: bool
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """The places of points in a chart: from `left` to `right` of `width`, for values from `bottom` to `top`."""

    width: int
    left: int
    right: int
    count: int
    bottom: float
    top: float

    def x(self, index: int) -> float:
        share = index / (self.count - 1) if self.count > 1 else 0.5
        return self.left + 8 + share * (self.right - self.left - 16)

    def y(self, value: float) -> float:
        return _TOP + (self.top - value) / (self.top - self.bottom) * (_HEIGHT - _TOP - _BOTTOM)


def trend_chart(points: Sequence[TrendPoint], *, title: str, is_narrow: bool = False) -> str:
    """Draws points from left to right in their order; an empty string of none.

    Args:
        points: In their order.
        title: Of the chart.
        is_narrow: Whether it is for a screen as narrow as a phone's.
    """
    if not points:
        return ""
    values = [point.value for point in points if point.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    room = _ROOM * (high - low) or 0.5 * abs(high) or 1.0
    width, left = (340, 72) if is_narrow else (700, 84)
    frame = _Frame(width=width, left=left, right=width - 24, count=len(points), bottom=low - room, top=high + room)
    places = [
        (frame.x(index), _HEIGHT / 2 if point.value is None else frame.y(point.value), point)
        for index, point in enumerate(points)
        if point.value is not None or not values
    ]
    parts = [*_levels(points, frame), *_names(points, frame), *_marks(points, frame)]
    if values:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{line}" class="line tflite"/>')
    parts += [_point(x, y, point) for x, y, point in places]
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{name}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _levels(points: Sequence[TrendPoint], frame: _Frame) -> Iterator[str]:
    """Yields the least and the largest value as lines of the grid."""
    found = {point.value: point.text for point in points if point.value is not None}
    for value in dict.fromkeys((min(found), max(found))) if found else ():
        y, left = frame.y(value), frame.left
        yield f'<line x1="{left}" y1="{y:.1f}" x2="{frame.right}" y2="{y:.1f}" class="grid"/>'
        yield f'<text x="{left - 8}" y="{y:.1f}" class="tick" text-anchor="end">{escape(found[value])}</text>'


def _names(points: Sequence[TrendPoint], frame: _Frame) -> Iterator[str]:
    for index in dict.fromkeys((0, len(points) - 1)):
        x, name = frame.x(index), escape(points[index].name)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 12}" class="tick" text-anchor="middle">{name}</text>'


def _marks(points: Sequence[TrendPoint], frame: _Frame) -> Iterator[str]:
    free = 0.0
    for index, point in enumerate(points):
        if point.mark:
            x = frame.x(index)
            yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="change"/>'
            middle = min(max(x, _MARK_WIDTH / 2), frame.width - _MARK_WIDTH / 2)
            if middle - _MARK_WIDTH / 2 >= free:
                text = escape(point.mark)
                yield f'<text x="{middle:.1f}" y="{_TOP - 14}" class="tick" text-anchor="middle">{text}</text>'
                free = middle + _MARK_WIDTH / 2


def _point(x: float, y: float, point: TrendPoint) -> str:
    title = f"<title>{escape(point.title)}</title>"
    if point.passed:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="tflite">{title}</circle>'
    return f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" class="failing">{title}</path>'
