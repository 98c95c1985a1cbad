"""Latency results as rows of text, for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.benchmarks.latency.results import (
    BaselineComparison,
    BenchResult,
    BenchRow,
    MachinePeaks,
    OperatorProfile,
    Ratio,
)
from pocketvae.benchmarks.latency.show.notes import notes_legend, short_notes
from pocketvae.reporting.text import Row, count_of, format_ratio, format_us
from pocketvae.system.environment import Environment

_TOP_OPERATORS = 8
# Columns of the table that a narrow terminal can do without, the least important first; --json has them all.
BENCH_LESS = (
    "session MB",
    "x floor",
    "delegate",
    "k instr.",
    "x predict",
    "peak MB",
    "load ms",
    "x tf.function",
    "first ms",
    "kB",
    "p90 µs",
    "threads",
    "±",
    "p99 µs",
)


def bench_table(result: BenchResult) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact, target, number of threads and batch size.

    Columns without measurements are left out.
    """
    rows = result.results
    batched = any(row.batch > 1 for row in rows)
    counted = any(row.instructions is not None for row in rows)
    paces = sorted({paced.calls_per_s for row in rows for paced in row.paced})
    headers = [
        "artifact",
        "target",
        "threads",
        *(["batch", "samples/s"] if batched else []),
        "kB",
        "load ms",
        "first ms",
    ]
    headers += ["median µs", "±", "p90 µs", "p99 µs", *(f"{pace:g}/s µs" for pace in paces)]
    headers += ["peak MB", "session MB", "delegate", "x floor", "x tf.function", "x predict"]
    headers += [*(["k instr."] if counted else []), "notes"]
    return headers, [_row(row, paces, batched=batched, counted=counted) for row in rows]


def bench_legend(result: BenchResult) -> str:
    """Returns what the words in the notes of all tables stand for; empty where there is nothing to say."""
    return notes_legend([*(row.warnings for row in result.results), *(row.warnings for row in result.elsewhere)])


def _row(row: BenchRow, paces: Sequence[float], *, batched: bool, counted: bool) -> Row:
    paced = {each.calls_per_s: each.median_s for each in row.paced}
    predict = row.speedups.get("keras-predict")
    return [
        row.artifact,
        row.target,
        str(row.threads),
        *([str(row.batch), f"{row.samples_per_s:.0f}"] if batched else []),
        f"{row.size_bytes / 1000:.1f}",
        f"{row.load_s * 1e3:.1f}",
        f"{row.first_s * 1e3:.2f}",
        format_us(row.median_s),
        f"{_half_width(row):.1%}",
        format_us(row.p90_s),
        format_us(row.p99_s),
        *(format_us(paced[pace]) if pace in paced else "-" for pace in paces),
        f"{row.peak_rss_bytes / 1e6:.0f}",
        "-" if row.session_bytes is None else f"{row.session_bytes / 1e6:.1f}",
        delegate_text(row),
        "-" if row.roofline is None else f"{row.roofline.distance:.1f}",
        format_ratio(row.speedup_vs_original),
        format_ratio(predict.value if predict else None),
        *(["-" if row.instructions is None else f"{row.instructions / 1e3:.0f}"] if counted else []),
        short_notes(row.warnings),
    ]


def delegate_text(row: BenchRow) -> str:
    """Returns the delegate and its share of operators, such as `XNNPACK 8 of 8`."""
    found = row.execution
    if found is None:
        return "-"
    return f"{found.delegate.removesuffix('ExecutionProvider')} {found.delegated_count} of {found.node_count}"


def peaks_lines(peaks: Sequence[MachinePeaks]) -> list[str]:
    """Returns one line per number of threads."""
    lines = []
    for each in peaks:
        speeds = ", ".join(
            f"{max(s.copy_bytes_per_s, s.read_bytes_per_s) / 1e9:.0f} GB/s in {_block_text(s.block_bytes)}"
            for s in each.memory
        )
        sgemm = f"{each.sgemm_flops / 1e9:.1f} GFLOP/s"
        lines.append(f"peaks with {count_of(each.threads, 'thread')}: sgemm {sgemm}; memory {speeds}")
    return lines


def profile_table(profile: OperatorProfile) -> tuple[Row, list[Row]]:
    """Returns the slowest operators of one artifact."""
    top = profile.operators[:_TOP_OPERATORS]
    rows = [[each.kind, format_us(each.time_s), f"{each.share:.0%}", each.name] for each in top]
    rest = profile.operators[_TOP_OPERATORS:]
    if rest:
        share, time_s = sum(each.share for each in rest), sum(each.time_s for each in rest)
        rows.append(["1 other" if len(rest) == 1 else f"{len(rest)} others", format_us(time_s), f"{share:.0%}", ""])
    return ["operator", "µs", "share", "name"], rows


def baseline_table(comparison: BaselineComparison) -> tuple[Row, list[Row]]:
    """Returns one row per artifact and metric, the worst verdict first."""
    order = ["regressed", "inconclusive", "pass"]
    items = sorted(comparison.artifacts, key=lambda item: order.index(item.verdict))
    rows = [
        [
            item.artifact,
            str(item.threads),
            str(item.batch),
            item.metric,
            ratio_text(item.ratio),
            f"{item.minimum_detectable - 1:.1%}",
            str(item.pairs),
            item.verdict.value,
            item.reason,
        ]
        for item in items
    ]
    rows += [[item.artifact, *["-"] * 6, "not run", item.reason] for item in comparison.not_compared]
    headers = ["artifact", "threads", "batch", "metric", "new/old", "detectable", "pairs", "verdict", "slowdown"]
    return headers, rows


def ratio_text(ratio: Ratio) -> str:
    """Returns a ratio with its interval."""
    return f"{ratio.value:.3f} [{ratio.interval.low:.3f}, {ratio.interval.high:.3f}]"


def _half_width(row: BenchRow) -> float:
    return (row.median_interval_s.high - row.median_interval_s.low) / 2 / row.median_s


def _block_text(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes >> 10} KiB"


def targets_table(result: BenchResult) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact, target and number of threads, other than this machine."""
    headers = ["artifact", "target", "threads", "load ms", "first ms", "median µs", "p90 µs", "p99 µs", "notes"]
    return headers, [
        [
            row.artifact,
            row.target,
            str(row.threads),
            f"{row.load_s * 1e3:.1f}",
            f"{row.first_s * 1e3:.2f}",
            *(format_us(value) for value in (row.median_s, row.p90_s, row.p99_s)),
            short_notes(row.warnings),
        ]
        for row in result.elsewhere
    ]


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
