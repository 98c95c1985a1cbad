"""The command `pocketvae bench`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import fleet
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae.benchmarks import BenchConfig, BenchResult, Constraints, VerifyResult
    from pocketvae.bundle.bundle import Bundle

# Options that have no effect on other targets.
_OF_HOST = (
    "batch",
    "paced",
    "original_decoder",
    "original_encoder",
    "profile",
    "instructions",
    "baseline",
    "recommend",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    what = parser.add_argument_group("what to time")
    fleet.add_arguments(what)
    what.add_argument("--headed", action="store_true", help="show the browser of the target chromium")
    what.add_argument(
        "--threads", metavar="LIST", default="1", help="threads used by one call, for example 1,2 (default: 1)"
    )
    what.add_argument("--batch", metavar="LIST", help="samples per call (default: every batch size that a file has)")
    what.add_argument("--paced", metavar="LIST", help="also time calls at these rates per second, for example 10,60")
    what.add_argument(
        "--artifacts", metavar="LIST", help="files to time, names or patterns such as 'decoder.*' (default: all)"
    )
    what.add_argument("--no-original", action="store_true", help="leave out the original Keras model")
    what.add_argument(
        "--original-decoder", metavar="PATH", type=Path, help="your SavedModel, which the bundle does not contain"
    )
    what.add_argument("--original-encoder", metavar="PATH", type=Path, help="the same for the encoder")
    what.add_argument("--profile", action="store_true", help="show the slowest operators of every artifact")
    what.add_argument("--instructions", action="store_true", help="count the CPU instructions of a call with valgrind")
    baseline = parser.add_argument_group("regressions")
    baseline.add_argument(
        "--baseline",
        metavar="PATH",
        type=common.bundle_path,
        help="a bundle, or a file written by --json; exit code 1 if slower",
    )
    baseline.add_argument(
        "--margin", metavar="PERCENT", type=float, help="allowed slowdown (default: 3; 10 for a result file)"
    )
    baseline.add_argument(
        "--force-compare", action="store_true", help="compare even if the machine or the bundle's name differs"
    )
    choice = parser.add_argument_group("what to embed")
    choice.add_argument("--recommend", action="store_true", help="verify, then name the artifact to embed")
    choice.add_argument(
        "--target", metavar="LIST", help="recommend for these targets: verified there, timed or estimated there"
    )
    choice.add_argument("--component", metavar="NAME", default="decoder", help="component to embed (default: decoder)")
    choice.add_argument("--target-ms", metavar="MS", type=float, help="largest 90th percentile of latency")
    choice.add_argument("--max-kb", metavar="KB", type=float, help="largest file size")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every measured value as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with charts")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Times and prints; returns 1 for a proven regression or if nothing qualifies, 3 if something did not run."""
    from dataclasses import replace

    from pocketvae.benchmarks import check_limits, recommend, recommend_on_targets, verify_bundle
    from pocketvae.benchmarks.latency.measure.target_choice import check_component
    from pocketvae.bundle.bundle import open_bundle

    outputs = (arguments.json, arguments.html, arguments.markdown)
    for output in outputs:
        common.check_file_output(output)
    config, constraints = _config(arguments), _constraints(arguments)
    if fleet.is_fleet(arguments):
        fleet.refuse(arguments, ("headed", *_OF_HOST))
        return fleet.bench(arguments, fleet.read(arguments), config)
    # The page shows deviations too, so it needs them as a recommendation does.
    needed = constraints is not None or arguments.html is not None
    # Opened once, since that reads and hashes every file.
    bundle = open_bundle(arguments.bundle)
    if constraints is not None:
        check_component(bundle, config, constraints)
    if needed:
        check_limits(bundle)
    with Terminal(quiet=arguments.quiet) as terminal:
        if constraints is not None and arguments.target is not None:
            chips = common.shown_targets(arguments.target, headed=arguments.headed)
            result = recommend_on_targets(bundle, chips, config, constraints, progress=terminal.step)
        else:
            result = _time(arguments, bundle, config, terminal)
        here = needed and not (result.on_targets and arguments.html is None)
        verify = verify_bundle(bundle, progress=terminal.step) if here else None
    if constraints is not None and verify is not None and not result.on_targets:
        result = replace(result, recommendation=recommend(result, verify, constraints))
    # Print first, since that cannot fail: a page that cannot be written must not lose the measurements.
    _show(terminal, result)
    _write(arguments, result, verify)
    return _exit_code(result)


def _time(arguments: argparse.Namespace, bundle: Bundle, config: BenchConfig, terminal: Terminal) -> BenchResult:
    """Times on this machine and on the other targets that are named."""
    from dataclasses import replace

    from pocketvae.benchmarks import bench_bundle, bench_planned, bench_targets, plan_bench

    targets = common.shown_targets(arguments.targets, headed=arguments.headed)
    others = tuple(name for name in targets if name != "host")
    if not others:
        return bench_bundle(bundle, config, progress=terminal.step)
    if "host" not in targets:
        _refuse_options_of_host(arguments)
        return bench_targets(bundle, others, config, progress=terminal.step)
    plan = plan_bench(bundle, config)
    away = bench_targets(bundle, others, config, progress=terminal.step)
    here = bench_planned(plan, progress=terminal.step)
    return replace(
        here,
        elsewhere=away.elsewhere,
        not_run=(*here.not_run, *away.not_run),
        warnings=(*here.warnings, *away.warnings),
    )


def _refuse_options_of_host(arguments: argparse.Namespace) -> None:
    given = [f"--{name.replace('_', '-')}" for name in _OF_HOST if getattr(arguments, name) not in (None, False)]
    if given:
        raise SpecError(f"{', '.join(given)} can only be used on this machine: add host to --targets")


def _refuse_options_beside_target(arguments: argparse.Namespace) -> None:
    """A recommendation for targets does not time on this machine, or anything but what it is to choose from."""
    unused = [name for name in _OF_HOST if name not in ("batch", "recommend")]
    given = [f"--{name.replace('_', '-')}" for name in unused if getattr(arguments, name) not in (None, False)]
    if arguments.targets != "host":
        given = ["--targets", *given]
    if given:
        raise SpecError(f"{', '.join(given)} cannot be combined with --target, which chooses what runs and where")


def _config(arguments: argparse.Namespace) -> BenchConfig:
    from pocketvae.benchmarks import Baseline, BenchConfig, Extra
    from pocketvae.spec import Component

    if arguments.baseline is None and (arguments.margin is not None or arguments.force_compare):
        raise SpecError("--margin and --force-compare need --baseline")
    margin = None if arguments.margin is None else arguments.margin / 100
    named = {Component.DECODER: arguments.original_decoder, Component.ENCODER: arguments.original_encoder}
    for path in (path for path in named.values() if path is not None and not path.exists()):
        raise SpecError(f"the original {path} does not exist")
    extras = [extra for extra in Extra if getattr(arguments, extra)]
    return BenchConfig(
        threads=common.whole_numbers(arguments.threads, "--threads"),
        batches=None if arguments.batch is None else common.whole_numbers(arguments.batch, "--batch"),
        artifacts=None if arguments.artifacts is None else common.names(arguments.artifacts),
        paced_calls_per_s=common.numbers(arguments.paced, "--paced") if arguments.paced else (),
        include_original=not arguments.no_original,
        original_paths={component: path for component, path in named.items() if path is not None},
        extras=frozenset(extras),
        baseline=None
        if arguments.baseline is None
        else Baseline(path=arguments.baseline, margin=margin, force=arguments.force_compare),
    )


def _constraints(arguments: argparse.Namespace) -> Constraints | None:
    from pocketvae.benchmarks import Constraints
    from pocketvae.spec import Component, parse_choice

    limits = (arguments.target_ms, arguments.max_kb)
    if not arguments.recommend:
        if any(limit is not None for limit in (*limits, arguments.target)):
            raise SpecError("--target, --target-ms and --max-kb need --recommend")
        return None
    if arguments.batch is not None and 1 not in common.whole_numbers(arguments.batch, "--batch"):
        raise SpecError("--recommend compares calls of one sample: add 1 to --batch")
    if arguments.target is not None:
        _refuse_options_beside_target(arguments)
    return Constraints(
        component=parse_choice(Component, arguments.component, "component"),
        target_s=None if limits[0] is None else limits[0] / 1e3,
        max_bytes=None if limits[1] is None else limits[1] * 1e3,
    )


def _write(arguments: argparse.Namespace, result: BenchResult, verify: VerifyResult | None) -> None:
    from pocketvae.benchmarks import bench_markdown, bench_page
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    if arguments.html is not None:
        write_text(arguments.html, bench_page(result, verify))
    if arguments.markdown is not None:
        write_text(arguments.markdown, bench_markdown(result))


def _show(terminal: Terminal, result: BenchResult) -> None:
    from pocketvae.benchmarks import (
        BENCH_LESS,
        baseline_table,
        bench_legend,
        bench_table,
        peaks_lines,
        profile_table,
        summed_up,
        targets_table,
    )

    if result.results:
        terminal.table(*bench_table(result), less=BENCH_LESS)
    if result.elsewhere:
        terminal.table(*targets_table(result), less=BENCH_LESS)
    for line in (*filter(None, [bench_legend(result)]), *peaks_lines(result.peaks)):
        terminal.line(line)
    for profile in result.profiles:
        terminal.line(f"\n{profile.artifact}: {profile.method}")
        terminal.table(*profile_table(profile))
    if result.comparison is not None:
        margin = f"{result.comparison.margin * 100:.3g}%"
        terminal.line(f"\ncompared with {result.comparison.baseline}, {margin} slower is allowed")
        terminal.table(*baseline_table(result.comparison))
        for reason in result.comparison.forced:
            terminal.warn(f"compared because of --force-compare: {reason}")
    for found in (*filter(None, [result.recommendation]), *result.on_targets):
        where = f" on {found.target}" if found.target else ""
        for reason in dict.fromkeys(item.reason for item in found.rejected):
            names = ", ".join(item.artifact for item in found.rejected if item.reason == reason)
            terminal.line(f"not {names}{where}: {reason}")
        terminal.line(f"embed {found.artifact or 'nothing'}{where}: {found.why}")
    for warning in result.warnings:
        terminal.warn(warning)
    for item in summed_up(result.not_run):
        terminal.warn(f"not run: {item.artifact} ({item.target}): {item.reason}")


def _exit_code(result: BenchResult) -> int:
    if result.comparison is not None and result.comparison.regressed:
        return 1
    if result.comparison is not None and not result.comparison.is_complete:
        return 3
    if result.on_targets:
        return _exit_code_of_targets(result)
    missing = [item for item in result.not_run if not item.artifact.startswith("original ")]
    if missing or not (result.results or result.elsewhere):
        return 3
    return 1 if result.recommendation is not None and result.recommendation.artifact is None else 0


def _exit_code_of_targets(result: BenchResult) -> int:
    if any(found.artifact is None for found in result.on_targets):
        return 3 if result.not_run else 1
    return 0
