"""The benchmarks room: a bundle in, parity and latency results and a report out."""

from pocketvae.benchmarks.bench import bench_bundle
from pocketvae.benchmarks.junit import junit_xml
from pocketvae.benchmarks.lone_file import verify_file
from pocketvae.benchmarks.report import write_report
from pocketvae.benchmarks.results import BenchResult, BenchRow, Check, NotRun, VerifyResult
from pocketvae.benchmarks.tables import bench_table, verify_table
from pocketvae.benchmarks.verify import verify_bundle

__all__ = [
    "BenchResult",
    "BenchRow",
    "Check",
    "NotRun",
    "VerifyResult",
    "bench_bundle",
    "bench_table",
    "junit_xml",
    "verify_bundle",
    "verify_file",
    "verify_table",
    "write_report",
]
