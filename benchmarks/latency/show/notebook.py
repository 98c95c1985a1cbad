"""A benchmark as a notebook shows it."""

from __future__ import annotations

from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.latency.show.tables import BENCH_LESS, bench_legend, bench_table
from pocketvae.reporting.html import Table, fragment

# Of the columns that a narrow terminal leaves out, those that a cell of a notebook has no room for either.
_LEFT_OUT = frozenset(BENCH_LESS[:8])


def bench_html(result: BenchResult) -> str:
    """Returns the recommendation if there is one, a row for each file, and what the words in the notes mean."""
    headers, rows = bench_table(result)
    kept = [place for place, header in enumerate(headers) if header not in _LEFT_OUT]
    table = Table(
        caption="", headers=[headers[place] for place in kept], rows=[[row[place] for place in kept] for row in rows]
    )
    found = result.recommendation
    title = f"embed {found.artifact or 'nothing'}: {found.why}" if found else f"latency of {result.bundle}"
    lines = [bench_legend(result), *result.warnings, *(f"{item.artifact}: {item.reason}" for item in result.not_run)]
    return fragment(title, table, list(filter(None, lines)))
