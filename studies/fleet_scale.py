"""Time and memory of verify on one simulated device and on forty, and how often the rule for outliers is wrong.

    python studies/fleet_scale.py quickstart/bundle --delay-ms 50

The devices are in this process (`simulated_devices.py`): connections and the devices' own speed are left out, what this
machine does for each device is not. A delay stands for both.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from records import check_record, make_record, run_study, tell, warn_if_busy, write_record
from simulated_devices import Behaviour, simulated

from pocketvae.benchmarks.fleet.config import parse_fleet
from pocketvae.benchmarks.fleet.outliers import outliers_of
from pocketvae.benchmarks.fleet.run import verify_fleet
from pocketvae.errors import SpecError
from pocketvae.system.environment import current_environment

# Devices, and how many at a time.
_RUNS = ((1, 1), (8, 8), (40, 1), (40, 8), (40, 40))
_MODELS, _SPREAD, _SLOWER = 20_000, 0.05, 1.5
_COUNTS = (6, 12, 40)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a verification took.

    Attributes:
        peak_rss_bytes: Of the process, which is a new one each time.
    """

    devices: int
    at_once: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How often the rule for outliers names a device.

    Attributes:
        false_share: Of models without an outlier, those that have a device named.
        found_share: Of models with one that is slower, those in which it is named.
    """

    devices: int
    false_share: float
    found_share: float


def measure(bundle: Path, devices: int, at_once: int, delay_s: float) -> Cost:
    """Verifies a bundle on so many devices, in this process."""
    names = [f"d{number}" for number in range(devices)]
    found = [{"name": name, "target": f"simulated://{name}", "labels": {"model": "m"}} for name in names]
    with simulated(dict.fromkeys(names, Behaviour(delay_s=delay_s))):
        fleet = parse_fleet({"devices": found, "at_once": at_once}, "fleet.toml")
        started, cpu = time.perf_counter(), time.process_time()
        result = verify_fleet(bundle, fleet).result
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    if not result.passed:
        raise SpecError(f"the bundle must pass, got {result.not_run[:1] or 'a failed check'}")
    # In kB, on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(devices=devices, at_once=at_once, wall_s=wall_s, cpu_s=cpu_s, peak_rss_bytes=peak)


def name_outliers(devices: int) -> Naming:
    """Applies the rule to models of normal spread, without an outlier and with one."""
    rng = np.random.default_rng(devices)
    named = found = 0
    for _ in range(_MODELS):
        medians = {str(number): float(value) for number, value in enumerate(np.exp(_SPREAD * rng.normal(size=devices)))}
        named += bool(outliers_of(medians))
        slower = outliers_of({**medians, "0": medians["0"] * _SLOWER})
        found += any(item.device == "0" for item in slower)
    return Naming(devices=devices, false_share=named / _MODELS, found_share=found / _MODELS)


def run(arguments: argparse.Namespace) -> int:
    """Measures each fleet in a process of its own, prints a line for each and writes the record."""
    if arguments.one:
        devices, at_once = arguments.one
        print(json.dumps(asdict(measure(arguments.bundle, devices, at_once, arguments.delay_ms / 1e3))))
        return 0
    check_record(arguments.json, force=arguments.force)
    environment = current_environment()
    warn_if_busy(environment)
    costs = []
    for devices, at_once in _RUNS:
        command = [sys.executable, __file__, str(arguments.bundle), "--delay-ms", str(arguments.delay_ms)]
        command += ["--one", str(devices), str(at_once)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        costs.append(Cost(**json.loads(done.stdout)))
        cost = costs[-1]
        print(
            f"{devices:3} devices, {at_once:2} at once: {cost.wall_s:7.2f} s, {cost.cpu_s:7.2f} s of CPU, "
            f"{cost.peak_rss_bytes / 1e6:6.0f} MB",
            flush=True,
        )
    namings = []
    for devices in _COUNTS:
        tell(f"outliers among {devices}")
        namings.append(name_outliers(devices))
        shares = f"{namings[-1].false_share:.2%} without an outlier, {namings[-1].found_share:.2%} with one"
        print(f"{devices:3} devices: one is named in {shares}", flush=True)
    if arguments.json is not None:
        config = {"delay_ms": arguments.delay_ms, "models": _MODELS, "spread": _SPREAD, "slower": _SLOWER}
        results = {"costs": [asdict(cost) for cost in costs], "namings": [asdict(naming) for naming in namings]}
        record = make_record(
            "fleet_scale", sys.argv[1:], config=config, environment=environment, results=results, not_run={}
        )
        write_record(arguments.json, record)
    return 0


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument("--delay-ms", metavar="MS", type=float, default=50.0, help="of every answer (50)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("fleet_scale", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
