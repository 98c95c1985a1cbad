"""pocketvae bench."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--targets", metavar="LIST", default="host", help="where to run (default: host)")
    parser.add_argument("--headed", action="store_true", help="show the browser of the target chromium")
    parser.add_argument("--threads", metavar="LIST", default="1", help="inside one call, for example 1,2 (default: 1)")
    parser.add_argument("--artifacts", metavar="LIST", help="file names to time (default: all)")
    parser.add_argument("--no-original", action="store_true", help="leave out the original Keras model")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every value as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Times and prints one row per artifact; returns 3 where an artifact could not be timed."""
    from pocketvae.benchmarks import bench_bundle, bench_table, bench_targets, targets_table
    from pocketvae.documents import encode
    from pocketvae.files import write_text

    common.check_file_output(arguments.json)
    targets = common.shown_targets(arguments.targets, headed=arguments.headed)
    threads = common.thread_counts(arguments.threads)
    artifacts = None if arguments.artifacts is None else common.names(arguments.artifacts)
    with Terminal(quiet=arguments.quiet) as terminal:
        others = [name for name in targets if name != "host"]
        result = bench_targets(
            arguments.bundle, others, num_threads=threads, artifacts=artifacts, progress=terminal.step
        )
        if "host" in targets:
            here = bench_bundle(
                arguments.bundle,
                num_threads=threads,
                artifacts=artifacts,
                include_original=not arguments.no_original,
                progress=terminal.step,
            )
            result = replace(here, elsewhere=result.elsewhere, not_run=(*here.not_run, *result.not_run))
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    if result.results:
        terminal.table(*bench_table(result))
    if result.elsewhere:
        terminal.table(*targets_table(result))
    for item in result.not_run:
        terminal.warn(f"not run: {item.artifact} ({item.target}): {item.reason}")
    missing = [item for item in result.not_run if not item.artifact.startswith("original ")]
    return 3 if missing or not (result.results or result.elsewhere) else 0
