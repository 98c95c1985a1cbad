"""pocketvae bench."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--threads", metavar="LIST", default="1", help="inside one call, for example 1,2 (default: 1)")
    parser.add_argument("--artifacts", metavar="LIST", help="file names to time (default: all)")
    parser.add_argument("--no-original", action="store_true", help="leave out the original Keras model")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every value as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Times and prints one row per artifact; returns 3 where an artifact could not be timed."""
    from pocketvae.benchmarks import bench_bundle, bench_table
    from pocketvae.documents import encode
    from pocketvae.files import write_text

    common.check_file_output(arguments.json)
    with Terminal(quiet=arguments.quiet) as terminal:
        result = bench_bundle(
            arguments.bundle,
            num_threads=common.thread_counts(arguments.threads),
            artifacts=None if arguments.artifacts is None else common.names(arguments.artifacts),
            include_original=not arguments.no_original,
            progress=terminal.step,
        )
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    terminal.table(*bench_table(result))
    for item in result.not_run:
        terminal.warn(f"not run: {item.artifact} ({item.target}): {item.reason}")
    missing = [item for item in result.not_run if not item.artifact.startswith("original ")]
    return 3 if missing or not result.results else 0
