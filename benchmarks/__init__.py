"""Benchmarks: a bundle in, parity and latency results and a report out."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.benchmarks.chips import require_chips, try_on_chips
    from pocketvae.benchmarks.compare.compare import compare_paths, comparison_line, comparison_table
    from pocketvae.benchmarks.compare.comparison import Comparison
    from pocketvae.benchmarks.compiling import check_compiled, compile_for_apps
    from pocketvae.benchmarks.drift.thorough import add_thorough
    from pocketvae.benchmarks.latency.analyse.recommend import Constraints, recommend
    from pocketvae.benchmarks.latency.config import Baseline, BenchConfig, Extra
    from pocketvae.benchmarks.latency.measure.bench import BenchPlan, bench_bundle, bench_planned, plan_bench
    from pocketvae.benchmarks.latency.measure.remote_latency import bench_targets
    from pocketvae.benchmarks.latency.measure.target_choice import recommend_on_targets
    from pocketvae.benchmarks.latency.results import BenchResult, BenchRow
    from pocketvae.benchmarks.latency.show.page import bench_markdown, bench_page
    from pocketvae.benchmarks.latency.show.tables import (
        BENCH_LESS,
        baseline_table,
        bench_legend,
        bench_table,
        peaks_lines,
        profile_table,
        targets_table,
    )
    from pocketvae.benchmarks.not_run import NotRun, summed_up
    from pocketvae.benchmarks.parity.lone_file import verify_file
    from pocketvae.benchmarks.parity.results import Check, VerifyResult
    from pocketvae.benchmarks.parity.tables import (
        VERIFY_LESS,
        declined_lines,
        figures_table,
        idle,
        layer_lines,
        remark_lines,
        verdict_line,
        verify_summary,
        verify_table,
    )
    from pocketvae.benchmarks.parity.verify import (
        Verification,
        add_layers,
        check_limits,
        save_worst,
        verify_bundle,
        verify_in_detail,
    )
    from pocketvae.benchmarks.report.junit import junit_xml
    from pocketvae.benchmarks.report.markdown import comparison_markdown, diagnosis_lines, verify_markdown
    from pocketvae.benchmarks.report.report import write_report

_MODULES = {
    "pocketvae.benchmarks.compiling": (
        "check_compiled",
        "compile_for_apps",
    ),
    "pocketvae.benchmarks.chips": (
        "require_chips",
        "try_on_chips",
    ),
    "pocketvae.benchmarks.compare.compare": (
        "compare_paths",
        "comparison_line",
        "comparison_table",
    ),
    "pocketvae.benchmarks.compare.comparison": ("Comparison",),
    "pocketvae.benchmarks.drift.thorough": ("add_thorough",),
    "pocketvae.benchmarks.latency.analyse.recommend": (
        "Constraints",
        "recommend",
    ),
    "pocketvae.benchmarks.latency.config": (
        "Baseline",
        "BenchConfig",
        "Extra",
    ),
    "pocketvae.benchmarks.latency.measure.bench": (
        "BenchPlan",
        "bench_bundle",
        "bench_planned",
        "plan_bench",
    ),
    "pocketvae.benchmarks.latency.measure.remote_latency": ("bench_targets",),
    "pocketvae.benchmarks.latency.measure.target_choice": ("recommend_on_targets",),
    "pocketvae.benchmarks.latency.results": (
        "BenchResult",
        "BenchRow",
    ),
    "pocketvae.benchmarks.latency.show.page": (
        "bench_markdown",
        "bench_page",
    ),
    "pocketvae.benchmarks.latency.show.tables": (
        "BENCH_LESS",
        "baseline_table",
        "bench_legend",
        "bench_table",
        "peaks_lines",
        "profile_table",
        "targets_table",
    ),
    "pocketvae.benchmarks.parity.lone_file": ("verify_file",),
    "pocketvae.benchmarks.not_run": ("NotRun", "summed_up"),
    "pocketvae.benchmarks.parity.results": (
        "Check",
        "VerifyResult",
    ),
    "pocketvae.benchmarks.parity.tables": (
        "VERIFY_LESS",
        "declined_lines",
        "figures_table",
        "idle",
        "layer_lines",
        "remark_lines",
        "verdict_line",
        "verify_summary",
        "verify_table",
    ),
    "pocketvae.benchmarks.parity.verify": (
        "Verification",
        "add_layers",
        "check_limits",
        "save_worst",
        "verify_bundle",
        "verify_in_detail",
    ),
    "pocketvae.benchmarks.report.junit": ("junit_xml",),
    "pocketvae.benchmarks.report.markdown": (
        "comparison_markdown",
        "diagnosis_lines",
        "verify_markdown",
    ),
    "pocketvae.benchmarks.report.report": ("write_report",),
}

__all__ = [
    "BENCH_LESS",
    "VERIFY_LESS",
    "Baseline",
    "BenchConfig",
    "BenchPlan",
    "BenchResult",
    "BenchRow",
    "Check",
    "Comparison",
    "Constraints",
    "Extra",
    "NotRun",
    "Verification",
    "VerifyResult",
    "add_layers",
    "add_thorough",
    "baseline_table",
    "bench_bundle",
    "bench_legend",
    "bench_markdown",
    "bench_page",
    "bench_planned",
    "bench_table",
    "bench_targets",
    "check_compiled",
    "check_limits",
    "compare_paths",
    "comparison_line",
    "comparison_markdown",
    "comparison_table",
    "compile_for_apps",
    "declined_lines",
    "diagnosis_lines",
    "figures_table",
    "idle",
    "junit_xml",
    "layer_lines",
    "peaks_lines",
    "plan_bench",
    "profile_table",
    "recommend",
    "recommend_on_targets",
    "remark_lines",
    "require_chips",
    "save_worst",
    "summed_up",
    "targets_table",
    "try_on_chips",
    "verdict_line",
    "verify_bundle",
    "verify_file",
    "verify_in_detail",
    "verify_markdown",
    "verify_summary",
    "verify_table",
    "write_report",
]
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
