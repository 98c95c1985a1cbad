"""The command `pocketvae compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    for name in ("before", "after"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            type=common.bundle_path,
            help="a bundle, or a file written by verify --json or bench --json",
        )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure of both as JSON")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write a summary for a pull request")


def run(arguments: argparse.Namespace) -> int:
    """Prints what changed; returns 1 if a check that passed now fails or something is gone, 3 if none is compared."""
    from pocketvae.benchmarks import compare_paths, comparison_line, comparison_markdown, comparison_table
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text

    for path in (arguments.json, arguments.markdown):
        common.check_file_output(path)
    with Terminal(quiet=arguments.quiet) as terminal:
        comparison = compare_paths(arguments.before, arguments.after, progress=terminal.step)
    for path, form in ((arguments.json, encode), (arguments.markdown, comparison_markdown)):
        if path is not None:
            write_text(path, form(comparison))
    headers, rows = comparison_table(comparison)
    if rows:
        terminal.table(headers, rows)
    for note in comparison.notes:
        terminal.warn(note)
    terminal.line(comparison_line(comparison))
    if comparison.regressed:
        return 1
    return 3 if comparison.says_nothing else 0
