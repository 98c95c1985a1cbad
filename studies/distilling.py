"""Distils a decoder and records the student's figures beside its teacher's.

    python studies/distilling.py RUN --data mnist --speedup 3 --out STUDENT --json benchmarks/history/DATE-distil.json

A student that is there already is recorded as it is; an interrupted distillation is gone on with.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from records import check_record, make_record, run_study, write_record

from pocketvae.cli.terminal import Terminal
from pocketvae.distil import DISTILLED_NAME, DistilConfig, Distilled, Targets, distil
from pocketvae.distil.config import DEFAULT_STEPS
from pocketvae.documents import decode, encode
from pocketvae.system.environment import current_environment

# Paths of one machine, and the many students that were looked at.
_LEFT_OUT = ("teacher", "data", "tried", "command", "versions")


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns its exit code."""
    return run_study("distilling", words, lambda given: _parser().parse_args(given), run)


def run(arguments: argparse.Namespace) -> int:
    """Distils, unless that is done already, and writes the record."""
    check_record(arguments.json, force=arguments.force)
    path = arguments.out / DISTILLED_NAME
    if path.is_file():
        record = decode(Distilled, path.read_bytes(), str(path))
    else:
        targets = Targets(speedup=arguments.speedup, max_kb=arguments.max_kb, chip=arguments.chip)
        with Terminal(quiet=False) as terminal:
            record = distil(
                arguments.source,
                arguments.out,
                DistilConfig(targets=targets, steps=arguments.steps),
                data=arguments.data,
                resume=True,
                progress=terminal.step,
            )
    written = make_record(
        "distilling",
        sys.argv[1:],
        config=dataclasses.asdict(record.config),
        environment=current_environment(),
        results=_results(record),
        not_run={},
    )
    write_record(arguments.json, written if arguments.commit is None else {**written, "commit": arguments.commit})
    return 0


def _results(record: Distilled) -> dict[str, Any]:
    found = {name: value for name, value in json.loads(encode(record)).items() if name not in _LEFT_OUT}
    return {**found, "measured_students": len(record.tried), "times_as_fast": record.speedup}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Distil a decoder and record the figures.")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="run or bundle of the teacher")
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="student to make or to record")
    parser.add_argument("--speedup", metavar="K", type=float)
    parser.add_argument("--max-kb", metavar="N", type=float)
    parser.add_argument("--for", dest="chip", metavar="CHIP", default="")
    parser.add_argument("--data", metavar="SRC")
    parser.add_argument("--steps", metavar="N", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--commit", help="that made a student which is there already")
    parser.add_argument("--json", metavar="FILE", type=Path, required=True, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace the record")
    return parser


if __name__ == "__main__":
    sys.exit(main())
