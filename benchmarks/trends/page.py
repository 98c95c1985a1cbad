"""A page of trends: what has changed, with a chart each, and then a table of everything."""

from __future__ import annotations

from pocketvae.benchmarks.trends.trends import (
    Moment,
    Series,
    Trends,
    device_lines,
    failure_lines,
    text_of,
    trends_line,
    trends_table,
    what_changed,
)
from pocketvae.reporting.html import Figure, Table
from pocketvae.reporting.templates import render
from pocketvae.reporting.trend_chart import TrendPoint, trend_chart

# Of a revision, which may be a whole hash.
_MARK_LETTERS = 12


def trends_page(trends: Trends) -> str:
    """Returns the page, without scripts or external resources."""
    headers, rows = trends_table(trends, everything=True)
    values = {
        "title": "pocketvae history",
        "verdict": trends_line(trends),
        "failures": failure_lines(trends),
        "devices": device_lines(trends),
        "figures": [trend_figure(item) for item in trends.changed],
        "table_of_all": Table(caption="Every figure; what has changed comes first", headers=headers, rows=rows),
    }
    return render("pocketvae.benchmarks.trends", "trends.html.j2", values)


def trend_figure(series: Series) -> Figure:
    """Returns a chart of one series: a point for each result, in order; changes are marked with their revision."""
    where = f" on {series.target}" if series.target else ""
    title = f"{series.artifact}{where}: {series.what}"
    points = [_point(moment, series.what) for moment in series.moments]
    return Figure(
        svg=trend_chart(points, title=title),
        narrow=trend_chart(points, title=title, is_narrow=True),
        caption="; ".join(filter(None, (title, what_changed(series), series.bundle, series.machine))),
    )


def _point(moment: Moment, what: str) -> TrendPoint:
    name, text = f"result {moment.number}", text_of(moment, what)
    parts = (name, moment.added, moment.revision, moment.label, text)
    return TrendPoint(
        name=name,
        value=moment.value,
        text=text,
        title=", ".join(filter(None, parts)),
        passed=moment.passed,
        mark=(moment.revision or name)[:_MARK_LETTERS] if moment.changed else "",
    )
