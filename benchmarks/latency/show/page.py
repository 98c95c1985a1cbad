"""Latency results as a page of HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pocketvae.benchmarks.latency.results import BaselineComparison, BenchResult, Recommendation, Verdict
from pocketvae.benchmarks.latency.show.charts import (
    distribution_charts,
    duration,
    first_calls_chart,
    scaling_chart,
    trade_off_chart,
)
from pocketvae.benchmarks.latency.show.tables import (
    baseline_table,
    bench_table,
    join_warnings,
    peaks_lines,
    profile_table,
    targets_table,
)
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.reporting.html import bullets, document, fact_table, text_table
from pocketvae.reporting.markdown import markdown_table
from pocketvae.reporting.text import count_of
from pocketvae.system.environment import Environment

# Columns that are not times: the page shows them in a separate table.
_RESOURCES = ("kB", "load ms", "peak MB", "session MB", "delegate", "x floor", "k instr.")
_COMPONENTS = ("decoder", "encoder", "generator")


def bench_page(bench: BenchResult, verify: VerifyResult | None = None) -> str:
    """Returns the page: the verdict first, then the table, then charts."""
    sections = [
        f"<h1>{escape(bench.bundle)}: latency</h1>\n",
        _verdict(bench),
        f"<h2>Every artifact</h2>\n{_tables(bench)}" if bench.results else "",
        _elsewhere(bench),
        _comparison(bench),
        f"<h2>Latency</h2>\n{distribution_charts(bench)}" if bench.results else "",
        _choice(bench, verify),
        _first_calls(bench),
        _scaling(bench),
        _profiles(bench),
        _machine(bench),
    ]
    return document(f"{bench.bundle}: latency", sections)


def bench_markdown(bench: BenchResult) -> str:
    """Returns every table as Markdown."""
    parts = [f"# {bench.bundle}: latency"]
    if bench.results:
        parts.append(markdown_table(*bench_table(bench)))
    if bench.elsewhere:
        parts += ["## Other targets", markdown_table(*targets_table(bench))]
    if bench.comparison is not None:
        parts += [f"## Compared with {bench.comparison.baseline}", markdown_table(*baseline_table(bench.comparison))]
        parts += _list(_forced(bench.comparison))
    if bench.recommendation is not None:
        parts += ["## What to embed", f"{bench.recommendation.artifact or 'Nothing'}: {bench.recommendation.why}."]
        parts += _list(_rejections(bench.recommendation))
    for profile in bench.profiles:
        parts += [f"## {profile.artifact}", f"{profile.method}.", markdown_table(*profile_table(profile))]
    notes = [*bench.warnings, *(f"not run: {i.artifact} ({i.target}): {i.reason}" for i in bench.not_run)]
    facts = [f"{name}: {value}" for name, value in environment_facts(bench.environment)]
    lines = "\n".join(f"- {line}" for line in (*facts, *peaks_lines(bench.peaks), *notes))
    return "\n\n".join([*parts, "## The machine", lines]) + "\n"


def _list(lines: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def environment_facts(environment: Environment) -> list[tuple[str, str]]:
    """Returns a description of the machine."""
    turbo = {None: "unknown", True: "on", False: "off"}[environment.turbo]
    return [
        ("CPU", f"{environment.cpu}, {environment.logical_cores} logical cores"),
        ("instruction sets", ", ".join(environment.cpu_features) or "unknown"),
        ("system", f"{environment.system} {environment.machine}, Python {environment.python}"),
        ("frequency governor", environment.governor or "unknown"),
        ("turbo", turbo),
        ("load before", "unknown" if environment.load_average is None else f"{environment.load_average:g}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items()))),
    ]


def _verdict(bench: BenchResult) -> str:
    failed = False
    if bench.comparison is not None:
        counts = {v: sum(item.verdict is v for item in bench.comparison.artifacts) for v in Verdict}
        text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + " compared with the baseline."
        failed = bench.comparison.regressed
    elif bench.recommendation is not None:
        text = f"Embed {bench.recommendation.artifact or 'nothing'}: {bench.recommendation.why}."
        failed = bench.recommendation.artifact is None
    else:
        text = _fastest(bench)
    unstable = sum(bool(row.warnings) for row in bench.results)
    note = f"<p class='soft'>{unstable} of {len(bench.results)} rows are unstable, see below the tables.</p>\n"
    return f"<p class='verdict{' failed' if failed else ''}'>{escape(text)}</p>\n{note if unstable else ''}"


def _fastest(bench: BenchResult) -> str:
    """Returns a sentence about the fastest decoder: on this machine, or on other targets if none ran here."""
    here = [row for row in bench.results if row.component == "decoder" and not row.is_original]
    if here:
        best = min(here, key=lambda row: row.median_s)
        return f"The fastest decoder takes {duration(best.median_s)}: {best.artifact}."
    away = [row for row in bench.elsewhere if row.artifact.startswith("decoder.")]
    if away:
        first = min(away, key=lambda row: row.median_s)
        return f"The fastest decoder takes {duration(first.median_s)} on {first.target}: {first.artifact}."
    return "No decoder ran."


def _elsewhere(bench: BenchResult) -> str:
    if not bench.elsewhere:
        return ""
    return f"<h2>Other targets</h2>\n{text_table('Time of one call, one sample', *targets_table(bench))}"


def _choice(bench: BenchResult, verify: VerifyResult | None) -> str:
    """Returns what to embed, what not and why, and a chart of the choice."""
    parts = []
    if bench.recommendation is not None:
        answer = f"{bench.recommendation.artifact or 'Nothing'}: {bench.recommendation.why}."
        rejections = _rejections(bench.recommendation)
        parts += [f"<p>{escape(answer)}</p>\n", bullets(rejections) if rejections else ""]
    parts.append(trade_off_chart(bench, verify) if verify else "")
    return f"<h2>What to embed</h2>\n{''.join(parts)}" if any(parts) else ""


def _first_calls(bench: BenchResult) -> str:
    charts = [first_calls_chart(bench, name) for name in _COMPONENTS]
    return f"<h2>First calls</h2>\n{''.join(charts)}" if any(charts) else ""


def _rejections(recommendation: Recommendation) -> list[str]:
    return [f"not {item.artifact}: {item.reason}" for item in recommendation.rejected]


def _forced(comparison: BaselineComparison) -> list[str]:
    return [f"compared because of --force-compare: {reason}" for reason in comparison.forced]


def _tables(bench: BenchResult) -> str:
    headers, rows = bench_table(bench)
    resources = [place for place, header in enumerate(headers) if header in _RESOURCES]
    which = list(range(headers.index("threads") + 1))
    times = [place for place in range(len(headers)) if place not in resources and headers[place] != "notes"]
    parts = [
        text_table(caption, [headers[place] for place in places], [[row[place] for place in places] for row in rows])
        for caption, places in (
            ("Time of one call, including input and output copies, and speed-up over the original", times),
            ("Memory, what runs it, and distance from the machine's floor", [*which, *resources]),
        )
    ]
    notes = [
        f"{row.artifact}, {row.target}, {count_of(row.threads, 'thread')}, batch {row.batch}: "
        f"{join_warnings(row.warnings)}"
        for row in bench.results
        if row.warnings
    ]
    return "".join(parts) + (bullets(notes) if notes else "")


def _comparison(bench: BenchResult) -> str:
    if bench.comparison is None:
        return ""
    how = "in turns, side by side" if bench.comparison.side_by_side else "with results that were measured before"
    margin, sure = f"{bench.comparison.margin * 100:.3g}%", f"{1 - bench.comparison.level:.0%}"
    caption = (
        f"{margin} slower is allowed; compared {how}; 'detectable' is the smallest slowdown that would have been "
        f"proven; intervals hold for all artifacts together at {sure}"
    )
    table = text_table(caption, *baseline_table(bench.comparison))
    forced = _forced(bench.comparison)
    return f"<h2>Compared with {escape(bench.comparison.baseline)}</h2>\n{table}{bullets(forced) if forced else ''}"


def _scaling(bench: BenchResult) -> str:
    charts = [scaling_chart(bench, name, setting) for setting in ("threads", "batch") for name in _COMPONENTS]
    return f"<h2>Threads and batches</h2>\n{''.join(charts)}" if any(charts) else ""


def _profiles(bench: BenchResult) -> str:
    tables = [text_table(f"{p.artifact}: {p.method}", *profile_table(p)) for p in bench.profiles]
    return f"<h2>Where the time goes</h2>\n{''.join(tables)}" if tables else ""


def _machine(bench: BenchResult) -> str:
    lost = [f"{item.artifact} ({item.target}): {item.reason}" for item in bench.not_run]
    return (
        f"<h2>The machine</h2>\n{fact_table('What the figures were measured on', environment_facts(bench.environment))}"
        f"{bullets(peaks_lines(bench.peaks))}{bullets(bench.warnings) if bench.warnings else ''}"
        f"{'<h2>What did not run</h2>' + bullets(lost) if lost else ''}"
    )
