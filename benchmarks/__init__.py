"""The benchmarks room: a bundle in, parity and latency results and a report out."""

from pocketvae.benchmarks.compare import compare_paths, comparison_line, comparison_table
from pocketvae.benchmarks.comparison import Comparison
from pocketvae.benchmarks.junit import junit_xml
from pocketvae.benchmarks.latency.bench import bench_bundle, check_bench
from pocketvae.benchmarks.latency.config import Baseline, BenchConfig, Extra
from pocketvae.benchmarks.latency.elsewhere import bench_targets
from pocketvae.benchmarks.latency.page import bench_markdown, bench_page
from pocketvae.benchmarks.latency.recommend import Wish, recommend
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
from pocketvae.benchmarks.latency.tables import baseline_table, bench_table, peaks_lines, profile_table, targets_table
from pocketvae.benchmarks.lone_file import verify_file
from pocketvae.benchmarks.markdown import comparison_markdown, diagnosis_lines, verify_markdown
from pocketvae.benchmarks.report import write_report
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.benchmarks.tables import declined_lines, figures_table, layer_lines, verdict_line, verify_table
from pocketvae.benchmarks.thorough import add_thorough
from pocketvae.benchmarks.verify import (
    Verification,
    add_layers,
    check_limits,
    save_worst,
    verify_bundle,
    verify_in_detail,
)

__all__ = [
    "Baseline",
    "BenchConfig",
    "BenchResult",
    "BenchRow",
    "Check",
    "Comparison",
    "Extra",
    "NotRun",
    "Verification",
    "VerifyResult",
    "Wish",
    "add_layers",
    "add_thorough",
    "baseline_table",
    "bench_bundle",
    "bench_markdown",
    "bench_page",
    "bench_table",
    "bench_targets",
    "check_bench",
    "check_limits",
    "compare_paths",
    "comparison_line",
    "comparison_markdown",
    "comparison_table",
    "declined_lines",
    "diagnosis_lines",
    "figures_table",
    "junit_xml",
    "layer_lines",
    "peaks_lines",
    "profile_table",
    "recommend",
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
