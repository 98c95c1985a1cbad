"""The benchmarks room: a bundle in, parity and latency results and a report out."""

from pocketvae.benchmarks.junit import junit_xml
from pocketvae.benchmarks.latency.bench import bench_bundle
from pocketvae.benchmarks.latency.config import Baseline, BenchConfig, Extra
from pocketvae.benchmarks.latency.page import bench_markdown, bench_page
from pocketvae.benchmarks.latency.recommend import Wish, recommend
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.latency.tables import bench_table, comparison_table, peaks_lines, profile_table
from pocketvae.benchmarks.report import write_report
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.benchmarks.tables import verify_table
from pocketvae.benchmarks.verify import verify_bundle

__all__ = [
    "Baseline",
    "BenchConfig",
    "BenchResult",
    "BenchRow",
    "Check",
    "Extra",
    "NotRun",
    "VerifyResult",
    "Wish",
    "bench_bundle",
    "bench_markdown",
    "bench_page",
    "bench_table",
    "comparison_table",
    "junit_xml",
    "peaks_lines",
    "profile_table",
    "recommend",
    "verify_bundle",
    "verify_table",
    "write_report",
]
