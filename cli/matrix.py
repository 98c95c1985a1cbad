"""The command `pocketvae matrix`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--targets", metavar="LIST", default="host", help="where to run (default: host)")
    parser.add_argument("--seed", metavar="SEED", type=int, default=0, help="seed of the contact sheet (default: 0)")
    parser.add_argument("--headed", action="store_true", help="show the browser of the target chromium")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the matrix as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with the contact sheet")


def run(arguments: argparse.Namespace) -> int:
    """Fills and prints the matrix; returns 1 if a cell failed, 3 if something could not run."""
    from pocketvae.benchmarks.matrix import CellState, matrix_bundle, matrix_page, matrix_table
    from pocketvae.benchmarks.matrix.shipping import shipping_table
    from pocketvae.benchmarks.matrix.table import arena_line, problem_lines, remark_lines
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    for path in (arguments.json, arguments.html):
        common.check_file_output(path)
    with Terminal(quiet=arguments.quiet) as terminal:
        matrix = matrix_bundle(
            arguments.bundle,
            targets=common.shown_targets(arguments.targets, headed=arguments.headed),
            seed=arguments.seed,
            progress=terminal.step,
        )
    result = matrix.result
    # Print first what took long to compute: a full disk must not lose it.
    terminal.table(*matrix_table(result))
    terminal.table(*shipping_table(result))
    for line in (*problem_lines(result), *remark_lines(result)):
        terminal.line(line)
    if arena := arena_line(result):
        terminal.line(f"smallest arena: {arena}")
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    if arguments.html is not None:
        write_text(arguments.html, matrix_page(result, matrix.sheet))
    if any(cell.state is CellState.FAILED for cell in result.cells):
        return 1
    return 0 if result.passed else 3
