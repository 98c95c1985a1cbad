"""Rows of the result, computed from the values of each subject."""

from __future__ import annotations

from dataclasses import replace

from pocketvae.benchmarks.latency.analyse.roofline import roofline
from pocketvae.benchmarks.latency.analyse.summary import ratio_of_medians, summarize
from pocketvae.benchmarks.latency.measure.examination import Examination
from pocketvae.benchmarks.latency.measure.subjects import Subject
from pocketvae.benchmarks.latency.messages import OnnxCall, OriginalCall
from pocketvae.benchmarks.latency.results import BenchRow, Paced, Roofline

# A process that ran for less than this share of the time had to wait for other programs.
_DISTURBED_SHARE = 0.95


def row(subject: Subject, found: Examination, *, rounds: int) -> BenchRow:
    """Returns the row of a subject that was opened and timed."""
    assert subject.loaded is not None  # noqa: S101 - only subjects that were opened are measured
    summary = summarize(subject.values_s, rounds=rounds)
    cpu_share = subject.cpu_s / max(subject.elapsed_s, 1e-9)
    waiting = f"unstable: the process had to wait {1 - cpu_share:.0%} of the time"
    examined = found.artifacts.get(subject.artifact)
    return BenchRow(
        artifact=subject.artifact,
        target=subject.target,
        threads=subject.load.threads,
        batch=subject.load.batch,
        size_bytes=subject.size_bytes,
        load_s=subject.loaded.load_s,
        first_s=subject.loaded.first_calls_s[0],
        first_calls_s=subject.loaded.first_calls_s,
        median_s=summary.median_s,
        median_interval_s=summary.median_interval_s,
        p90_s=summary.p90_s,
        p90_interval_s=summary.p90_interval_s,
        p99_s=summary.p99_s,
        p99_interval_s=summary.p99_interval_s,
        mad_s=summary.mad_s,
        loops=subject.loaded.loops,
        rounds=rounds,
        values_s=tuple(subject.values_s),
        cpu_share=round(cpu_share, 4),
        paced=tuple(_paced(rate, values) for rate, values in sorted(subject.paced_s.items())),
        peak_rss_bytes=subject.peak_rss_bytes,
        baseline_rss_bytes=subject.loaded.baseline_rss_bytes,
        session_bytes=subject.loaded.session_bytes,
        execution=examined.execution if examined else None,
        roofline=_roofline(subject, found, summary.median_s),
        instructions=found.instructions.get(subject.artifact) if subject.load.batch == 1 else None,
        speedup_vs_original=None,
        speedups={},
        warnings=(*summary.warnings, *((waiting,) if cpu_share < _DISTURBED_SHARE else ())),
    )


def with_speedups(row: BenchRow, rows: list[BenchRow]) -> BenchRow:
    """Returns the row with its ratios to the original of the same component, threads and batch."""
    if row.is_original:
        return row
    speedups = {
        other.target: ratio_of_medians(other.values_s, other.rounds, row.values_s, row.rounds)
        for other in rows
        if other.is_original
        and (other.component, other.threads, other.batch) == (row.component, row.threads, row.batch)
    }
    graph = speedups.get(OriginalCall.TF_FUNCTION) or speedups.get(OnnxCall.ONNXRUNTIME)
    return replace(row, speedups=speedups, speedup_vs_original=graph.value if graph else None)


def _paced(calls_per_s: float, values_s: tuple[float, ...]) -> Paced:
    summary = summarize(values_s)
    return Paced(
        calls_per_s=calls_per_s,
        median_s=summary.median_s,
        median_interval_s=summary.median_interval_s,
        p90_s=summary.p90_s,
        p99_s=summary.p99_s,
        values_s=values_s,
    )


def _roofline(subject: Subject, found: Examination, median_s: float) -> Roofline | None:
    examined = found.artifacts.get(subject.artifact)
    able = [peaks for peaks in found.peaks if peaks.threads <= subject.load.threads]
    if examined is None or not able or subject.record is None or not examined.work.multiply_adds:
        return None
    return roofline(
        examined.work,
        subject.record.precision,
        # More threads can do at least what fewer do, but on a busy machine the measurement may say otherwise.
        replace(max(able, key=lambda peaks: peaks.sgemm_flops), threads=subject.load.threads),
        batch=subject.load.batch,
        weight_bytes=subject.size_bytes,
        median_s=median_s,
    )
