"""A page of trends: what has changed, with a chart each, and then a table of everything."""

from __future__ import annotations

from html import escape

from pocketvae.benchmarks.trends.trends import Moment, Series, Trends, text_of, trends_line, trends_table, what_changed
from pocketvae.reporting.html import Figure, Table
from pocketvae.reporting.templates import render

_WIDTH, _HEIGHT = 700, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 26, 34
# Room above and below the values, as a share of their spread; a flat line lies in the middle.
_ROOM = 0.15


def trends_page(trends: Trends) -> str:
    """Returns the page, without scripts or external resources."""
    headers, rows = trends_table(trends, everything=True)
    values = {
        "title": "pocketvae history",
        "verdict": trends_line(trends),
        "failed": any(not item.last.passed for item in trends.series),
        "figures": [trend_figure(item) for item in trends.changed],
        "table_of_all": Table(caption="Every figure; what has changed comes first", headers=headers, rows=rows),
    }
    return render("pocketvae.benchmarks.trends", "trends.html.j2", values)


def trend_figure(series: Series) -> Figure:
    """Returns a chart of one series: a point for each result, in order; changes are marked with their revision."""
    where = f" on {series.target}" if series.target else ""
    title = f"{series.artifact}{where}: {series.what}"
    caption = f"{title}; {what_changed(series)}; {series.machine}"
    shown = [(place, moment) for place, moment in enumerate(series.moments) if moment.value is not None]
    if not shown:
        return Figure(svg=_svg(title, _verdicts(series)), caption=caption)
    values = [moment.value for _, moment in shown if moment.value is not None]
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room

    def place_y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    count = len(series.moments)
    parts = [*_grid(min(values), max(values), series, place_y), *_marks(series)]
    line = " ".join(f"{_place_x(place, count):.1f},{place_y(moment.value or 0.0):.1f}" for place, moment in shown)
    parts.append(f'<polyline points="{line}" class="line tflite"/>')
    parts += [
        _point(_place_x(place, count), place_y(moment.value or 0.0), moment, series.what) for place, moment in shown
    ]
    return Figure(svg=_svg(title, parts), caption=caption)


def _grid(low: float, high: float, series: Series, place_y: object) -> list[str]:
    parts = []
    for value in dict.fromkeys((low, high)):
        y = place_y(value) if callable(place_y) else 0.0
        moment = Moment(number=0, added="", revision="", label="", value=value, passed=True, changed=False)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" class="grid"/>')
        text = escape(text_of(moment, series.what))
        parts.append(f'<text x="{_LEFT - 8}" y="{y:.1f}" class="tick" text-anchor="end">{text}</text>')
    count = len(series.moments)
    for place in dict.fromkeys((0, count - 1)):
        number = series.moments[place].number
        x, y = _place_x(place, count), _HEIGHT - 12
        parts.append(f'<text x="{x:.1f}" y="{y}" class="tick" text-anchor="middle">result {number}</text>')
    return parts


def _marks(series: Series) -> list[str]:
    parts = []
    for place, moment in enumerate(series.moments):
        if moment.changed:
            x = _place_x(place, len(series.moments))
            name = escape((moment.revision or f"result {moment.number}")[:12])
            parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="change"/>')
            parts.append(f'<text x="{x:.1f}" y="{_TOP - 14}" class="tick" text-anchor="middle">{name}</text>')
    return parts


def _verdicts(series: Series) -> list[str]:
    count = len(series.moments)
    return [
        _point(_place_x(place, count), _HEIGHT / 2, moment, series.what) for place, moment in enumerate(series.moments)
    ]


def _point(x: float, y: float, moment: Moment, what: str) -> str:
    """Returns a point; one that fails is a cross, so that colour is not all that tells it apart."""
    parts = (f"result {moment.number}", moment.added, moment.revision, moment.label, text_of(moment, what))
    title = f"<title>{escape(', '.join(filter(None, parts)))}</title>"
    if moment.passed:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="tflite">{title}</circle>'
    arms = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
    return f'<path d="{arms}" class="failing">{title}</path>'


def _place_x(place: int, count: int) -> float:
    share = place / (count - 1) if count > 1 else 0.5
    return _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)


def _svg(title: str, parts: list[str]) -> str:
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )
