"""Latency results as a page of HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.latency.results import BaselineComparison, BenchResult, Recommendation, Verdict
from pocketvae.benchmarks.latency.show.charts import (
    distribution_charts,
    duration,
    first_calls_chart,
    scaling_chart,
    trade_off_chart,
)
from pocketvae.benchmarks.latency.show.notes import join_warnings, notes_legend
from pocketvae.benchmarks.latency.show.tables import (
    baseline_table,
    bench_legend,
    bench_table,
    environment_facts,
    peaks_lines,
    profile_table,
    targets_table,
)
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.reporting.html import Figure, Table
from pocketvae.reporting.templates import render
from pocketvae.reporting.text import Row, count_of

_PACKAGE = "pocketvae.benchmarks.latency.show"
# Columns that are not times: the page shows them in a separate table.
_RESOURCES = ("kB", "load ms", "peak MB", "session MB", "delegate", "x floor", "k instr.")
_COMPONENTS = ("decoder", "encoder", "generator")


def bench_page(bench: BenchResult, verify: VerifyResult | None = None) -> str:
    """Returns the page: the verdict first, then the table, then charts."""
    verdict, failed = _verdict(bench)
    recommended = bench.recommendation.artifact if bench.recommendation else None
    trade_off = trade_off_chart(bench, verify, recommended) if verify else None
    values = {
        "title": f"{bench.bundle}: latency",
        "bench": bench,
        "verdict": verdict,
        "failed": failed,
        "tables": _tables(bench),
        "notes": _notes(bench),
        "elsewhere": _table("Time of one call, one sample", targets_table(bench)) if bench.elsewhere else None,
        "legend": notes_legend([row.warnings for row in bench.elsewhere]),
        "comparison": _comparison(bench.comparison) if bench.comparison else None,
        **_decisions(bench),
        "distributions": distribution_charts(bench),
        "trade_off": trade_off,
        **_curves(bench),
        "profiles": [_table(f"{each.artifact}: {each.method}", profile_table(each)) for each in bench.profiles],
        "machine": environment_facts(bench.environment),
        "peaks": peaks_lines(bench.peaks),
        "lost": [f"{item.artifact} ({item.target}): {item.reason}" for item in bench.not_run],
    }
    return render(_PACKAGE, "bench.html.j2", values)


def bench_markdown(bench: BenchResult) -> str:
    """Returns every table as Markdown."""
    values = {
        "bench": bench,
        "results": bench_table(bench),
        "legend": bench_legend(bench),
        "elsewhere": targets_table(bench),
        **_decisions(bench),
        "comparison": baseline_table(bench.comparison) if bench.comparison else None,
        "profiles": [(each.artifact, each.method, profile_table(each)) for each in bench.profiles],
        "machine": environment_facts(bench.environment),
        "peaks": peaks_lines(bench.peaks),
    }
    return render(_PACKAGE, "bench.md.j2", values)


def _decisions(bench: BenchResult) -> dict[str, object]:
    return {
        "forced": _forced(bench.comparison) if bench.comparison else [],
        "answer": " ".join(_answer(item) for item in _recommendations(bench)),
        "rejections": [line for item in _recommendations(bench) for line in _rejections(item)],
    }


def _recommendations(bench: BenchResult) -> tuple[Recommendation, ...]:
    here = (bench.recommendation,) if bench.recommendation else ()
    return (*here, *bench.on_targets)


def _verdict(bench: BenchResult) -> tuple[str, bool]:
    """Returns the page's first sentence, and whether it is bad news."""
    if bench.comparison is not None:
        counts = {v: sum(item.verdict is v for item in bench.comparison.artifacts) for v in Verdict}
        text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + " compared with the baseline."
        return text, bench.comparison.regressed
    if bench.recommendation is not None:
        chosen = bench.recommendation.artifact
        warnings = [text for row in bench.results if row.artifact == chosen for text in row.warnings]
        return f"Embed {chosen or 'nothing'}: {bench.recommendation.why}.{_doubt(warnings)}", chosen is None
    if bench.on_targets:
        return " ".join(_answer(item) for item in bench.on_targets), any(not item.artifact for item in bench.on_targets)
    return _fastest(bench), False


def _fastest(bench: BenchResult) -> str:
    """Returns a sentence about the fastest decoder: on this machine, or on other targets if none ran here."""
    here = [row for row in bench.results if row.component == "decoder" and not row.is_original]
    if here:
        best = min(here, key=lambda row: row.median_s)
        return f"The fastest decoder takes {duration(best.median_s)}: {best.artifact}.{_doubt(best.warnings)}"
    away = [row for row in bench.elsewhere if row.artifact.startswith("decoder.")]
    if away:
        first = min(away, key=lambda row: row.median_s)
        where = f"on {first.target}: {first.artifact}"
        return f"The fastest decoder takes {duration(first.median_s)} {where}.{_doubt(first.warnings)}"
    return "No decoder ran."


def _doubt(warnings: Sequence[str]) -> str:
    """Returns a sentence for behind a claim about a row that has warnings."""
    return f" This figure may be unreliable: {join_warnings(tuple(dict.fromkeys(warnings)))}." if warnings else ""


def _answer(recommendation: Recommendation) -> str:
    where = f" on {recommendation.target}" if recommendation.target else ""
    return f"{recommendation.artifact or 'Nothing'}{where}: {recommendation.why}."


def _rejections(recommendation: Recommendation) -> list[str]:
    where = f" on {recommendation.target}" if recommendation.target else ""
    return [f"not {item.artifact}{where}: {item.reason}" for item in recommendation.rejected]


def _forced(comparison: BaselineComparison) -> list[str]:
    return [f"compared because of --force-compare: {reason}" for reason in comparison.forced]


def _curves(bench: BenchResult) -> dict[str, list[Figure]]:
    first_calls = [first_calls_chart(bench, name) for name in _COMPONENTS]
    scaling = [scaling_chart(bench, name, setting) for setting in ("threads", "batch") for name in _COMPONENTS]
    return {"first_calls": list(filter(None, first_calls)), "scaling": list(filter(None, scaling))}


def _table(caption: str, table: tuple[Row, list[Row]]) -> Table:
    headers, rows = table
    return Table(caption=caption, headers=headers, rows=rows)


def _tables(bench: BenchResult) -> list[Table]:
    headers, rows = bench_table(bench)
    resources = [place for place, header in enumerate(headers) if header in _RESOURCES]
    which = list(range(headers.index("threads") + 1))
    times = [place for place in range(len(headers)) if place not in resources and headers[place] != "notes"]
    return [
        _table(caption, ([headers[place] for place in places], [[row[place] for place in places] for row in rows]))
        for caption, places in (
            ("Time of one call, including input and output copies, and speed-up over the original", times),
            ("Memory, what runs it, and distance from the machine's floor", [*which, *resources]),
        )
    ]


def _notes(bench: BenchResult) -> list[str]:
    return [
        f"{row.artifact}, {row.target}, {count_of(row.threads, 'thread')}, batch {row.batch}: "
        f"{join_warnings(row.warnings)}"
        for row in bench.results
        if row.warnings
    ]


def _comparison(comparison: BaselineComparison) -> Table:
    how = "in turns, side by side" if comparison.side_by_side else "with results that were measured before"
    # Either bound may fail at the level.
    margin, sure = f"{comparison.margin * 100:.3g}%", f"{1 - 2 * comparison.level:.0%}"
    caption = (
        f"{margin} slower is allowed; compared {how}; 'detectable' is the smallest slowdown that would have been "
        f"proven; intervals hold for all artifacts together at {sure}"
    )
    return _table(caption, baseline_table(comparison))
