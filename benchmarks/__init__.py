"""The benchmarks room: a bundle in, parity and latency results and a report out."""

from pocketvae.benchmarks.junit import junit_xml
from pocketvae.benchmarks.latency.bench import bench_bundle
from pocketvae.benchmarks.latency.config import BenchConfig, Extra
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.report import write_report
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.benchmarks.tables import bench_table, verify_table
from pocketvae.benchmarks.verify import verify_bundle

__all__ = [
    "BenchConfig",
    "BenchResult",
    "BenchRow",
    "Check",
    "Extra",
    "NotRun",
    "VerifyResult",
    "bench_bundle",
    "bench_table",
    "junit_xml",
    "verify_bundle",
    "verify_table",
    "write_report",
]
