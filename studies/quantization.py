"""Exports int8 encoders and decoders of a run and records what the searches for their quantization found.

    python studies/quantization.py RUN --bundle BUNDLE --json benchmarks/history/DATE-quantization-NAME.json

The record holds every artifact's Pareto front (bytes, errors, time), its layers, clipping and calibration seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from records import portable_command

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.report.contact_sheet import contact_rows
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import MANIFEST_NAME, Manifest
from pocketvae.bundle.run import open_run
from pocketvae.cli.quantization import print_fronts, print_searches
from pocketvae.cli.terminal import Terminal
from pocketvae.documents import encode
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.spec import Component, Precision
from pocketvae.system import files
from pocketvae.system.environment import current_environment

_PRECISIONS = (Precision.FLOAT32, Precision.DYNAMIC_INT8, Precision.INT8)


def main() -> int:
    """Runs the study and writes its record and pictures."""
    arguments = _parser().parse_args()
    with Terminal(quiet=False) as terminal:
        if not (arguments.bundle / MANIFEST_NAME).is_file():
            artifacts = plan_artifacts([Component.ENCODER, Component.DECODER], None, _PRECISIONS)
            config = ExportConfig(
                artifacts=artifacts, time_limit_s=arguments.time_limit, calibration_seeds=arguments.calibration_seeds
            )
            export_run(arguments.run, arguments.bundle, config, progress=terminal.step)
        bundle = open_bundle(arguments.bundle)
        print_fronts(bundle.manifest.artifacts, terminal)
        print_searches(bundle.manifest.artifacts, terminal)
        verified = verify_bundle(arguments.bundle, progress=terminal.step)
    for row in contact_rows(bundle) if arguments.pictures else ():
        files.write_bytes(arguments.pictures / f"{row.name}.png", row.images_png)
        if row.difference_png is not None:
            files.write_bytes(arguments.pictures / f"{row.name}.difference.png", row.difference_png)
    record = _record(arguments, bundle.manifest)
    record["verify"] = json.loads(encode(verified))["checks"]
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if arguments.json is not None:
        files.write_text(arguments.json, text)
    else:
        sys.stdout.write(text)
    return 0 if verified.passed else 1


def _record(arguments: argparse.Namespace, manifest: Manifest) -> dict[str, object]:
    run = open_run(arguments.run).record
    return {
        "study": "quantization",
        "command": portable_command("quantization", sys.argv[1:]),
        "commit": arguments.commit,
        "environment": dataclasses.asdict(current_environment()),
        "config": {"run": run.config, "calibration": dataclasses.asdict(manifest.calibration)},
        "versions": manifest.versions,
        "artifacts": [
            {
                "name": artifact.name,
                "size_bytes": artifact.file.size_bytes,
                "layers": [dataclasses.asdict(layer) for layer in artifact.layers],
                "search": dataclasses.asdict(artifact.search) if artifact.search else None,
            }
            for artifact in manifest.artifacts
        ],
        "not_made": [dataclasses.asdict(failure) for failure in manifest.failures],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Record the Pareto fronts of a run's int8 artifacts.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--bundle", type=Path, required=True, help="bundle to make, or to record as it is")
    parser.add_argument("--calibration-seeds", metavar="N", type=int, default=5)
    parser.add_argument("--time-limit", metavar="SECONDS", type=float, default=1800.0)
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, help="where rows of decoded pictures go")
    parser.add_argument("--commit", required=True, help="that the study runs at")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes (default: stdout)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
