"""What scorer files of integers decide otherwise, on many windows: with their own thresholds and with float32's.

    python studies/scorer_files.py --work FOLDER --json benchmarks/history/DATE-scorer-files.json

A machine with three channels is made: 6 recordings of 120 s to train `sensor-tiny` with, 6 others of 60 s to test, cut
into windows that begin every 9 steps. Anomalies are those that scorers have as goldens, one of each window.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from records import check_record, make_record, write_record
from signal_sets import windows

import pocketvae
from pocketvae.cli.terminal import Terminal
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.export.original import through
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.normalization import in_own_unit, normalized
from pocketvae.numerics.ranking import auroc
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.environment import current_environment
from pocketvae.train import preset, train, with_overrides

_RATE_HZ, _TRAIN, _TEST, _STRIDE, _TEST_STRIDE = 100, (6, 120.0), (6, 60.0), 16, 9
_FALSE_POSITIVE_RATE = 0.01
_PRECISIONS = (Precision.FLOAT32, Precision.INT8, Precision.INT8_IO, Precision.INT16X8)


def main() -> int:
    """Runs the study and writes its record."""
    parser = argparse.ArgumentParser(description="Compare the decisions of scorer files on many windows.")
    parser.add_argument("--work", metavar="FOLDER", type=Path, required=True, help="for recordings, run and bundle")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    arguments = parser.parse_args()
    check_record(arguments.json, force=True)
    data, run, bundle = (arguments.work / name for name in ("data", "run", "bundle"))
    data.mkdir(parents=True, exist_ok=True)
    for day in range(_TRAIN[0]):
        np.save(data / f"day{day}.npy", machine(_TRAIN[1], day), allow_pickle=False)
    with Terminal(quiet=False) as terminal:
        if not run.exists():
            config = with_overrides(preset("sensor-tiny"), {"stride": _STRIDE})
            train(source=str(data), out=run, config=config, preset="sensor-tiny", progress=terminal.step)
        if not bundle.exists():
            artifacts = plan_artifacts([Component.SCORER], [Format.TFLITE], _PRECISIONS)
            options = ExportConfig(artifacts=artifacts, false_positive_rate=_FALSE_POSITIVE_RATE)
            export_run(run, bundle, options, progress=terminal.step)
    with pocketvae.open(bundle) as models:
        results = _files(models)
    for name, figures in results["files"].items():
        print(name, figures)
    if arguments.json is not None:
        record = make_record(
            "scorer_files",
            sys.argv[1:],
            config={"false_positive_rate": _FALSE_POSITIVE_RATE, "preset": "sensor-tiny", "stride": _STRIDE},
            environment=current_environment(),
            results=results,
            not_run={},
        )
        write_record(arguments.json, record)
    return 0


def machine(seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """Returns acceleration, pressure and temperature of a machine whose speed varies, `[T, 3]`."""
    rng, count = np.random.default_rng(seed), int(seconds * _RATE_HZ)
    t = np.arange(count) / _RATE_HZ
    hz = 2.5 + 0.2 * np.sin(2 * np.pi * t / 37 + seed) + rng.normal(0, 0.03)
    phase = 2 * np.pi * np.cumsum(hz) / _RATE_HZ
    acceleration = 0.4 * np.sin(phase) + 0.2 * np.sin(2 * phase + 0.3) + rng.normal(0, 0.05, count)
    pressure = 12 + 0.3 * np.sin(phase + 1) + 0.2 * (hz - 2.5) + rng.normal(0, 0.03, count)
    temperature = 61 + 0.5 * np.sin(2 * np.pi * t / 50 + seed) + rng.normal(0, 0.02, count)
    return np.stack([acceleration, pressure, temperature], axis=1).astype(np.float32)


def _files(models: ModelBundle) -> dict[str, Any]:
    vae, length = models.vae, models.vae.data_shape[0]
    cut = [windows(machine(_TEST[1], 100 + day), length, _TEST_STRIDE) for day in range(_TEST[0])]
    normal = normalized(np.concatenate(cut).astype(np.float32), vae.channels)
    items = np.concatenate([normal, _anomalies(normal, models)])
    anomalous = np.arange(len(items)) >= len(normal)
    found: dict[str, Any] = {}
    for precision in _PRECISIONS:
        scorer = models.scorer(precision.value)
        scored = scorer.score(in_own_unit(items, vae.channels))
        if precision is Precision.FLOAT32:
            exact, threshold = scored.alarm, scorer.threshold
        shared = scored.score > threshold
        found[scorer.artifact.name] = {
            "false_alarms": float(scored.alarm[~anomalous].mean()),
            "false_alarms_float32_threshold": float(shared[~anomalous].mean()),
            "flipped": float(np.mean(scored.alarm != exact)),
            "flipped_float32_threshold": float(np.mean(shared != exact)),
            "auroc": auroc(scored.score[~anomalous], scored.score[anomalous]),
        }
    return {"normal": len(normal), "anomalies": int(anomalous.sum()), "files": found}


def _anomalies(normal: npt.NDArray[np.float32], models: ModelBundle) -> npt.NDArray[Any]:
    """Returns an anomaly made of each window, some at a time, as many as a scorer has goldens of."""
    rng, parts = np.random.default_rng(99), []
    for first in range(0, len(normal), 256):
        part = normal[first : first + 256]
        samples, _, is_anomaly = through.golden_items(part, np.zeros(len(part), np.int32), models.vae, rng)
        parts.append(samples.inputs["x"][is_anomaly])
    return np.concatenate(parts)


if __name__ == "__main__":
    sys.exit(main())
