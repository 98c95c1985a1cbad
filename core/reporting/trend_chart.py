"""A figure over many results, as one SVG: a point for each, and where a new level begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 700, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 26, 34
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


def trend_chart(points: Sequence[TrendPoint], *, title: str) -> str:
    """Draws points from left to right in their order; an empty string of none."""
    if not points:
        return ""
    values = [point.value for point in points if point.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    room = _ROOM * (high - low) or 0.5 * abs(high) or 1.0
    bottom, top = low - room, high + room
    places = [
        (_place_x(index, len(points)), _place_y(point.value, bottom, top) if values else _HEIGHT / 2, point)
        for index, point in enumerate(points)
        if point.value is not None or not values
    ]
    parts = [*_levels(points, bottom, top), *_names(points), *_marks(points)]
    if values:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{line}" class="line tflite"/>')
    parts += [_point(x, y, point) for x, y, point in places]
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _levels(points: Sequence[TrendPoint], bottom: float, top: float) -> Iterator[str]:
    """Yields the least and the largest value as lines of the grid."""
    found = {point.value: point.text for point in points if point.value is not None}
    for value in dict.fromkeys((min(found), max(found))) if found else ():
        y = _place_y(value, bottom, top)
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" class="grid"/>'
        yield f'<text x="{_LEFT - 8}" y="{y:.1f}" class="tick" text-anchor="end">{escape(found[value])}</text>'


def _names(points: Sequence[TrendPoint]) -> Iterator[str]:
    for index in dict.fromkeys((0, len(points) - 1)):
        x, name = _place_x(index, len(points)), escape(points[index].name)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 12}" class="tick" text-anchor="middle">{name}</text>'


def _marks(points: Sequence[TrendPoint]) -> Iterator[str]:
    for index, point in enumerate(points):
        if point.mark:
            x = _place_x(index, len(points))
            yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="change"/>'
            yield f'<text x="{x:.1f}" y="{_TOP - 14}" class="tick" text-anchor="middle">{escape(point.mark)}</text>'


def _point(x: float, y: float, point: TrendPoint) -> str:
    title = f"<title>{escape(point.title)}</title>"
    if point.passed:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="tflite">{title}</circle>'
    return f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" class="failing">{title}</path>'


def _place_x(index: int, count: int) -> float:
    share = index / (count - 1) if count > 1 else 0.5
    return _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)


def _place_y(value: float | None, bottom: float, top: float) -> float:
    return _TOP + (top - (value or 0.0)) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)
