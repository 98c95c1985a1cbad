"""Trains a preset, evaluates it and records what came out, with configuration and environment.

    python studies/training.py mnist-mlp --run RUN --json benchmarks/history/DATE-mnist-mlp.json

A run that is there already is evaluated as it is; an interrupted one is gone on with.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from records import portable_command

from pocketvae.bundle.run import RunRecord, is_run, open_run
from pocketvae.cli.terminal import Terminal
from pocketvae.documents import encode
from pocketvae.system import files
from pocketvae.system.environment import current_environment
from pocketvae.train import Evaluation, evaluate, parse_assignments, preset, train, with_overrides


def main() -> int:
    """Runs the study and writes its record."""
    arguments = _parser().parse_args()
    with Terminal(quiet=False) as terminal:
        if not is_run(arguments.run):
            train(
                source=arguments.data,
                out=arguments.run,
                config=with_overrides(preset(arguments.preset), parse_assignments(arguments.set)),
                preset=arguments.preset,
                resume=True,
                progress=terminal.step,
            )
        result = evaluate(
            arguments.run,
            source=arguments.data,
            importance_samples=arguments.importance_samples,
            image_count=arguments.images,
            sample_count=arguments.samples,
            progress=terminal.step,
        )
    run = open_run(arguments.run).record
    text = json.dumps(_record(run, result, arguments.commit), indent=2, sort_keys=True) + "\n"
    if arguments.json is not None:
        files.write_text(arguments.json, text)
    else:
        sys.stdout.write(text)
    return 0


def _record(run: RunRecord, result: Evaluation, commit: str | None) -> dict[str, object]:
    return {
        "study": "training",
        "command": portable_command("training", sys.argv[1:]),
        "commit": commit or run.git_commit,
        "environment": dataclasses.asdict(current_environment()),
        "config": run.config,
        "ended": run.ended,
        "training": run.metrics,
        "evaluation": json.loads(encode(result)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train a preset, evaluate it and record the figures.")
    parser.add_argument("preset")
    parser.add_argument("--data", metavar="SRC", default="mnist")
    parser.add_argument("--run", metavar="RUN", type=Path, required=True, help="run directory to make or to evaluate")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--importance-samples", metavar="K", type=int, default=5000)
    parser.add_argument("--images", metavar="N", type=int, help="evaluate the first N test images (default: all)")
    parser.add_argument("--samples", metavar="N", type=int, help="compare N samples with test images (default: none)")
    parser.add_argument("--commit", help="that made a run which is there already")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes (default: stdout)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
