"""pocketvae verify."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser)
    parser.add_argument("--targets", metavar="LIST", default="host", help="where to run (default: host)")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="inside one inference (default: 1)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every check as JSON")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML for a CI system")


def run(arguments: argparse.Namespace) -> int:
    """Verifies and prints one row per artifact; returns 1 where a check failed, 3 where something could not run."""
    from pocketvae.benchmarks import junit_xml, verify_bundle, verify_table
    from pocketvae.documents import encode
    from pocketvae.files import write_text

    for path in (arguments.json, arguments.junit):
        common.check_file_output(path)
    with Terminal(quiet=arguments.quiet) as terminal:
        result = verify_bundle(
            arguments.bundle,
            targets=common.names(arguments.targets),
            num_threads=arguments.threads,
            progress=terminal.step,
        )
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    if arguments.junit is not None:
        write_text(arguments.junit, junit_xml(result))
    terminal.table(*verify_table(result))
    artifacts = result.artifacts()
    failed = {check.artifact for check in result.checks if not check.passed}
    terminal.line(f"{len(artifacts) - len(failed)} of {len(artifacts)} artifacts match the original")
    for target in dict.fromkeys(item.target for item in result.declined):
        names = [item.artifact for item in result.declined if item.target == target]
        terminal.line(f"{target} is not made for {len(names)} artifacts: {', '.join(names)}")
    if failed:
        return 1
    return 0 if result.passed else 3
