"""Does the regression gate hold what it promises? Identical bundles must never be called regressed, a slower one must.

    python studies/regression_gate.py BUNDLE --json benchmarks/history/DATE-regression-gate.json

First a bundle is compared with itself many times, each comparison as `pocketvae bench --baseline BUNDLE` makes it. Then
its ONNX decoder is given so much more to do that it takes ten percent longer, and compared with the right one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from records import check_record, make_record, run_study, tell, write_record
from slowed import slowed_bundle

from pocketvae.benchmarks.latency.analyse.verdicts import LEVEL, MARGIN
from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.measure.side_by_side import Contest, compare
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.benchmarks.latency.results import ArtifactComparison, Verdict
from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.errors import SpecError
from pocketvae.progress import ignore_progress
from pocketvae.system.environment import current_environment

ARTIFACTS = "decoder.float32.tflite,decoder.int8.tflite,decoder.float32.onnx,decoder.int8.onnx"
SLOWED = "decoder.float32.onnx"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One comparison of all artifacts."""

    seed: int
    comparisons: tuple[ArtifactComparison, ...]
    problems: dict[str, str]


def run_trials(new: Bundle, old: Bundle, artifacts: Sequence[str], count: int, margin: float) -> list[Trial]:
    """Compares two bundles so many times, each with another order of everything."""
    trials = []
    for seed in range(1, count + 1):
        contests = [
            Contest(
                artifact=record.name,
                old=artifact_load(old, old.manifest.artifact(record.name), 1, 1),
                new=artifact_load(new, record, 1, 1),
            )
            for record in BenchConfig(artifacts=tuple(artifacts)).chosen(new.manifest.artifacts)
        ]
        compared, problems = compare(contests, margin=margin, level=LEVEL, seed=seed, progress=ignore_progress)
        trials.append(Trial(seed=seed, comparisons=tuple(compared), problems=problems))
        verdicts = ", ".join(f"{item.artifact} {item.ratio.value:.3f} {item.verdict}" for item in compared)
        tell(f"{seed} of {count}: {verdicts}")
    return trials


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """Returns how often each verdict was given, and how small a change could be proven."""
    items = [item for trial in trials for item in trial.comparisons]
    counts = Counter(item.verdict.value for item in items)
    regressed = sum(any(item.verdict is Verdict.REGRESSED for item in trial.comparisons) for trial in trials)
    detectable = sorted(item.minimum_detectable for item in items)
    return {
        "comparisons": len(trials),
        "comparisons_with_a_regression": regressed,
        "verdicts": {verdict.value: counts.get(verdict.value, 0) for verdict in Verdict},
        "median_minimum_detectable": detectable[len(detectable) // 2] if detectable else None,
    }


def run(arguments: argparse.Namespace) -> int:
    """Runs both parts; returns 1 where the gate did not hold what it promises, or was not put to the test."""
    if min(arguments.comparisons, arguments.slowed_comparisons) < 1:
        raise SpecError("there must be at least one comparison of each kind")
    check_record(arguments.json, force=arguments.force)
    bundle, environment = open_bundle(arguments.bundle), current_environment()
    artifacts = arguments.artifacts.split(",")
    BenchConfig(artifacts=tuple(artifacts)).chosen(bundle.manifest.artifacts)
    tell("identical bundles")
    same = run_trials(bundle, bundle, artifacts, arguments.comparisons, MARGIN)
    with tempfile.TemporaryDirectory() as folder:
        path, reached = slowed_bundle(bundle, SLOWED, Path(folder) / "slowed", arguments.slowdown)
        tell(f"{SLOWED}, made {reached:.1%} slower")
        slower = run_trials(open_bundle(path), bundle, [SLOWED], arguments.slowed_comparisons, MARGIN)
    results = {"identical": summary(same), "slowed": {**summary(slower), "slowdown_when_made": reached}}
    for name, figures in results.items():
        print(f"{name}: {figures}")
    if arguments.json is not None:
        raw = {"identical": [asdict(t) for t in same], "slowed": [asdict(t) for t in slower]}
        record = make_record(
            "regression_gate",
            sys.argv[1:],
            config={"artifacts": artifacts, "level": LEVEL, "margin": MARGIN, "slowdown": arguments.slowdown},
            environment=environment,
            results={"results": results, "trials": raw},
            not_run={name: why for trial in (*same, *slower) for name, why in trial.problems.items()},
        )
        write_record(arguments.json, record)
    tested = all(trial.comparisons for trial in (*same, *slower))
    caught = results["slowed"]["comparisons_with_a_regression"] == len(slower)
    return 0 if tested and caught and results["identical"]["comparisons_with_a_regression"] == 0 else 1


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument("--comparisons", metavar="N", type=int, default=100, help="of identical bundles (100)")
    parser.add_argument("--slowed-comparisons", metavar="N", type=int, default=10, help="of the slower one (10)")
    parser.add_argument("--slowdown", metavar="SHARE", type=float, default=0.1, help="how much slower (0.1)")
    parser.add_argument("--artifacts", metavar="LIST", default=ARTIFACTS, help="default %(default)s")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("regression_gate", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
