"""The charts of latency: distributions, first calls, scaling, and size against deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pocketvae.benchmarks.latency.analyse.deviation import deviations
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.reporting.charts import Line, Point, Range, line_chart, range_chart, scatter_chart
from pocketvae.reporting.html import Figure
from pocketvae.reporting.text import format_us

_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
_MOST_LINES = 12
# A logarithmic axis cannot show an error of 0.
_FEWEST_STEPS = 1e-3


def distribution_charts(bench: BenchResult) -> list[Figure]:
    """Returns one chart per component: every row's distribution, the fastest first."""
    charts = []
    for component in dict.fromkeys(row.component for row in bench.results):
        rows = sorted(_first_setting(bench, component), key=lambda row: row.median_s)
        ranges = [
            Range(
                label=label(row),
                quantiles=_quantiles_us(row),
                text=duration(row.median_s),
                kind=kind(row),
            )
            for row in rows
        ]
        title = f"Latency of the {component} [µs], logarithmic: 1st to 99th percentile, middle half, median"
        narrow = range_chart(ranges, title=title, is_narrow=True)
        charts.append(Figure(svg=range_chart(ranges, title=title), narrow=narrow, caption=title))
    return charts


def first_calls_chart(bench: BenchResult, component: str) -> Figure:
    """Returns a chart of the time of each of the first calls."""
    rows = [row for row in _first_setting(bench, component) if len(row.first_calls_s) > 1]
    lines = [
        Line(
            label=label(row),
            points=tuple((number, value * 1e6) for number, value in enumerate(row.first_calls_s, start=1)),
            kind=kind(row),
        )
        for row in sorted(rows, key=lambda row: row.median_s)[:_MOST_LINES]
    ]
    title = f"The first calls of the {component}, after opening"
    return Figure(svg=line_chart(lines, title=title, x_label="call", y_label="time [µs]"), caption=title)


def scaling_chart(bench: BenchResult, component: str, setting: str) -> Figure:
    """Returns the latency against `threads` or `batch`; an empty figure if there is only one value."""
    groups: dict[tuple[str, str], list[BenchRow]] = {}
    for row in bench.results:
        fixed = row.batch if setting == "threads" else row.threads
        if row.component == component and fixed == (1 if setting == "threads" else bench.results[0].threads):
            groups.setdefault((row.artifact, row.target), []).append(row)
    lines = [
        Line(
            label=label(rows[0]),
            points=tuple(sorted((float(getattr(row, setting)), row.median_s * 1e6) for row in rows)),
            kind=kind(rows[0]),
        )
        for rows in groups.values()
        if len(rows) > 1
    ]
    title = f"The {component} with more {'threads' if setting == 'threads' else 'samples per call'}"
    chart = line_chart(lines[:_MOST_LINES], title=title, x_label=setting, y_label="time of a call [µs]")
    return Figure(svg=chart, caption=title)


def trade_off_chart(bench: BenchResult, verify: VerifyResult, recommended: str | None = None) -> Figure:
    """Returns size against deviation of the decoders, with latency; Pareto-optimal ones are ringed.

    The recommended one, by its file name, is marked.
    """
    rows = [row for row in _first_setting(bench, "decoder") if not row.is_original]
    known = deviations(verify, [row.artifact for row in rows])
    found = [(row, known[row.artifact].value) for row in rows if row.artifact in known]
    costs = [(row.size_bytes, steps, row.median_s) for row, steps in found]
    points = [
        Point(
            label=f"{label(row)}, {duration(row.median_s)}",
            chosen=row.artifact == recommended,
            x=row.size_bytes / 1000,
            y=max(steps, _FEWEST_STEPS),
            kind=f"{kind(row)} best" if is_best(cost, costs) else kind(row),
        )
        for (row, steps), cost in zip(found, costs, strict=True)
    ]
    shared = {each.metric for each in known.values()} == {"p99_abs"}
    error = "99th percentile" if shared else "float: largest; quantized: 99th percentile"
    ring = "the bold one is recommended; " if any(point.chosen for point in points) else ""
    title = (
        f"Decoders: size against error ({error}), with the median latency; {ring}an outline marks those that no other "
        f"beats in all three; errors below {_FEWEST_STEPS:g} are drawn at {_FEWEST_STEPS:g}"
    )
    chart = scatter_chart(points, title=title, x_label="file size [kB]", y_label="error [1/255 of the range]")
    return Figure(svg=chart, caption=title)


def is_best(cost: tuple[float, ...], costs: Sequence[tuple[float, ...]]) -> bool:
    """Whether a row is Pareto-optimal: no other is at least as good in everything and better in something."""
    return not any(
        other != cost and all(theirs <= mine for theirs, mine in zip(other, cost, strict=True)) for other in costs
    )


def duration(seconds: float) -> str:
    """Returns microseconds below a millisecond, milliseconds above."""
    return f"{format_us(seconds)} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def label(row: BenchRow) -> str:
    """Returns a row's short name."""
    return row.target if row.is_original else row.artifact.removeprefix(f"{row.component}.")


def kind(row: BenchRow) -> str:
    """Returns the colour of a row."""
    return "original" if row.is_original else row.artifact.rsplit(".", 1)[1]


def _first_setting(bench: BenchResult, component: str) -> list[BenchRow]:
    threads = bench.results[0].threads if bench.results else 1
    return [r for r in bench.results if r.component == component and r.threads == threads and r.batch == 1]


def _quantiles_us(row: BenchRow) -> tuple[float, float, float, float, float]:
    lowest, low, middle, high, highest = (float(value) * 1e6 for value in np.quantile(row.values_s, _QUANTILES))
    return lowest, low, middle, high, highest
