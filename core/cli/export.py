"""pocketvae export."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.spec import Component, Format, Precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory made by pocketvae train")
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="bundle to make")
    parser.add_argument(
        "--components", metavar="LIST", help=f"of {', '.join(Component)} (default: all that can be made of the run)"
    )
    parser.add_argument("--formats", metavar="LIST", help=f"of {', '.join(Format)} (default: all)")
    parser.add_argument("--precisions", metavar="LIST", help=f"of {', '.join(Precision)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of calibration and golden latents (default: 0)")
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=float, default=300.0, help="for one conversion (default: 300)"
    )
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exports and prints one row per artifact."""
    from pocketvae.export import ExportConfig, check_combinations, export_run, plan_artifacts
    from pocketvae.manifest import MANIFEST_NAME
    from pocketvae.run import open_run

    common.check_replaceable(arguments.out, MANIFEST_NAME, force=arguments.force)
    components = common.choices(Component, arguments.components, "component")
    formats = common.choices(Format, arguments.formats, "format")
    precisions = common.choices(Precision, arguments.precisions, "precision")
    check_combinations(formats, precisions)
    if components is None:
        components = open_run(arguments.run).record.vae.exports
    config = ExportConfig(
        artifacts=plan_artifacts(components, formats, precisions),
        seed=arguments.seed,
        time_limit_s=arguments.time_limit,
    )
    with Terminal(quiet=arguments.quiet) as terminal:
        result = export_run(arguments.run, arguments.out, config, force=arguments.force, progress=terminal.step)
    rows = [
        [artifact.name, f"{artifact.file.size_bytes / 1000:.1f}", "; ".join(artifact.notes)]
        for artifact in result.manifest.artifacts
    ]
    terminal.table(["artifact", "kB", "notes"], rows)
    for name, excess in sorted(result.over_budget.items()):
        terminal.warn(f"{name} misses its budget {excess:.1f} times over; verify will fail on it")
    for failure in result.manifest.failures:
        terminal.warn(f"{failure.artifact} could not be made: {failure.reason}")
    terminal.line(f"bundle: {arguments.out}")
    return 1 if result.manifest.failures else 0
