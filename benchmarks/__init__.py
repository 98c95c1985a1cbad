"""The benchmarks room: a bundle in, parity and latency results and a report out."""

from pocketvae.benchmarks.bench import bench_bundle
from pocketvae.benchmarks.compare import compare_paths, comparison_line, comparison_table
from pocketvae.benchmarks.comparison import Comparison
from pocketvae.benchmarks.junit import junit_xml
from pocketvae.benchmarks.lone_file import verify_file
from pocketvae.benchmarks.markdown import comparison_markdown, diagnosis_lines, verify_markdown
from pocketvae.benchmarks.report import write_report
from pocketvae.benchmarks.results import BenchResult, BenchRow, Check, NotRun, VerifyResult
from pocketvae.benchmarks.tables import (
    bench_table,
    declined_lines,
    figures_table,
    layer_lines,
    targets_table,
    verdict_line,
    verify_table,
)
from pocketvae.benchmarks.target_latency import bench_targets
from pocketvae.benchmarks.thorough import add_thorough
from pocketvae.benchmarks.verify import Verification, add_layers, save_worst, verify_bundle, verify_in_detail

__all__ = [
    "BenchResult",
    "BenchRow",
    "Check",
    "Comparison",
    "NotRun",
    "Verification",
    "VerifyResult",
    "add_layers",
    "add_thorough",
    "bench_bundle",
    "bench_table",
    "bench_targets",
    "compare_paths",
    "comparison_line",
    "comparison_markdown",
    "comparison_table",
    "declined_lines",
    "diagnosis_lines",
    "figures_table",
    "junit_xml",
    "layer_lines",
    "save_worst",
    "targets_table",
    "verdict_line",
    "verify_bundle",
    "verify_file",
    "verify_in_detail",
    "verify_markdown",
    "verify_table",
    "write_report",
]
