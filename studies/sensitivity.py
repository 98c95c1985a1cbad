"""Measures how many faults `pocketvae verify` finds and how often it fails what is right.

From the repository's root, with a bundle that holds float32 files of both formats:

    python studies/sensitivity.py quickstart/bundle --out benchmarks/history/DATE-sensitivity-mnist-tiny.json

A fault counts where its effect on samples that verify does not know exceeds the artifact's limit.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mutations.results import CleanRun, Sensitivity, Trial, detection_rate, summarize
from mutations.study import Study

from pocketvae.bundle.bundle import open_bundle
from pocketvae.documents import encode
from pocketvae.system.environment import current_environment
from pocketvae.system.files import write_text


def main() -> int:
    """Runs the study; returns 1 where a fault above its limit passed or a clean run failed."""
    arguments = _parser().parse_args()
    bundle = open_bundle(arguments.bundle)
    chosen = arguments.artifacts.split(",") if arguments.artifacts else []
    names = [item.name for item in bundle.manifest.artifacts if not chosen or item.name in chosen]
    names = [] if arguments.clean_only else names
    seeds = range(arguments.seed, arguments.seed + arguments.clean_runs)
    started = time.monotonic()
    with ProcessPoolExecutor(arguments.workers) as pool:
        mutate = functools.partial(_mutate, arguments.bundle, arguments.seed, arguments.bit_flips)
        jobs = pool.map(mutate, names)
        trials: list[Trial] = []
        for name, found in zip(names, jobs, strict=True):
            trials += found
            print(f"{time.monotonic() - started:6.0f} s  {name}: {len(found)} faults", file=sys.stderr)
        clean: list[CleanRun] = []
        for run in pool.map(functools.partial(_clean, arguments.bundle), seeds, chunksize=10):
            clean.append(run)
            if run.alarms or len(clean) % 100 == 0:
                failed = sum(bool(run.alarms) for run in clean)
                print(f"{time.monotonic() - started:6.0f} s  {len(clean)} clean runs, {failed} failed", file=sys.stderr)
    result = _result(arguments, bundle.manifest.name, trials, clean)
    print(_table(result))
    if arguments.out:
        write_text(arguments.out, encode(result))
    return 1 if result.missed or result.alarms else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--artifacts", help="file names, comma-separated (default: all)")
    parser.add_argument("--bit-flips", type=int, default=30, help="single bit flips in each artifact")
    parser.add_argument("--clean-runs", type=int, default=1000, help="verifications of the untouched bundle")
    parser.add_argument("--clean-only", action="store_true", help="verify the untouched bundle alone, without faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="JSON record to write")
    return parser


def _mutate(path: Path, seed: int, bit_flips: int, name: str) -> list[Trial]:
    bundle = open_bundle(path)
    return list(Study(bundle).mutation_trials(bundle.manifest.artifact(name), seed, bit_flips))


_STUDIES: dict[Path, Study] = {}


def _clean(path: Path, seed: int) -> CleanRun:
    if path not in _STUDIES:
        _STUDIES[path] = Study(open_bundle(path))
    return _STUDIES[path].clean_run(seed)


def _result(arguments: argparse.Namespace, bundle: str, trials: list[Trial], clean: list[CleanRun]) -> Sensitivity:
    return Sensitivity(
        bundle=bundle,
        config={"bit_flips": arguments.bit_flips, "clean_runs": arguments.clean_runs, "seed": arguments.seed},
        environment=current_environment(),
        commit=_commit(),
        command="python studies/sensitivity.py quickstart/bundle"
        f" --bit-flips {arguments.bit_flips} --clean-runs {arguments.clean_runs} --seed {arguments.seed}"
        f"{' --clean-only' if arguments.clean_only else ''}",
        kinds=summarize(trials),
        detection_rate=detection_rate(trials),
        missed=tuple(trial for trial in trials if trial.exceeds and not trial.detected),
        clean={
            "fresh samples": sum(run.fresh for run in clean),
            "goldens in another order": sum(not run.fresh for run in clean),
        },
        alarms=tuple(run for run in clean if run.alarms),
    )


def _table(result: Sensitivity) -> str:
    lines = [f"{'fault':20} {'made':>5}  {'found, above limit':>18}  {'at limit':>10}  {'below limit':>11}"]
    lines += [
        f"{k.kind:20} {k.made:5}  {f'{k.detected} of {k.exceeding}':>18}"
        f"  {f'{k.detected_at_limit} of {k.at_limit}':>10}  {f'{k.detected_below_limit} of {k.below_limit}':>11}"
        for k in result.kinds
    ]
    rate = "none" if result.detection_rate is None else f"{result.detection_rate:.2%}"
    lines.append(f"found of those above their limit: {rate}; missed: {len(result.missed)}")
    for trial in result.missed:
        effect = "not comparable" if trial.effect is None else f"{trial.effect:.3f} of its limit"
        lines.append(f"  missed: {trial.artifact} {trial.kind} in {trial.where}: {effect}")
    runs = sum(result.clean.values())
    lines.append(f"false alarms: {len(result.alarms)} of {runs} clean runs ({result.clean})")
    lines += [f"  seed {run.seed}: {'; '.join(run.alarms)}" for run in result.alarms]
    return "\n".join(lines)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty=-changed", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
