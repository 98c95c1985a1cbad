"""The preset `sound` as it is, at 16 kHz, on pumps made from physics: from sound to decisions of scorer files.

    python studies/sound.py --work FOLDER --json benchmarks/history/DATE-sound.json

The pumps are those of `signal_sets.py`, 10 s of each: 30 to train with, 10 others and 20 worn ones to test. Only sound
pumps are trained with; thresholds are those that the files were exported with, for a rate of 5 %, from the windows that
training held out. The scores of `pocketvae score` stand beside those of the files.

Then each of the 10 others has a threshold of its own, as `pocketvae export --calibrate-scores` fits it: to 30 s of that
pump. It is tested on 30 s behind these, and on as many of the same pump with a worn bearing.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from records import check_record, make_record, write_record
from signal_sets import WEAR, write_machine, write_pump_sounds

import pocketvae
from pocketvae.apps import Choice, Sampling, calibrate, image_features, load_items
from pocketvae.apps.anomaly.detection import detect
from pocketvae.apps.anomaly.scores import scores
from pocketvae.apps.training_sources import load_training_items
from pocketvae.bundle.run import open_run
from pocketvae.cli.terminal import Terminal
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.conformal import conformal_threshold
from pocketvae.numerics.ranking import auroc
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.environment import current_environment
from pocketvae.train import preset, train

_RATE_HZ, _SECONDS, _FALSE_POSITIVE_RATE = 16_000, 10.0, 0.05
# Of one pump, to fit its own threshold to and as many to test.
_OWN_SECONDS, _OTHERS = 30.0, range(30, 40)
_PARTS = (Component.ENCODER, Component.DECODER)
_PRECISIONS = (Precision.FLOAT32, Precision.INT8, Precision.INT8_IO)


def main() -> int:
    """Runs the study and writes its record."""
    parser = argparse.ArgumentParser(
        description="Train the preset sound at 16 kHz and measure what its scorers detect."
    )
    parser.add_argument("--work", metavar="FOLDER", type=Path, required=True, help="for sounds, run and bundle")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    arguments = parser.parse_args()
    check_record(arguments.json, force=True)
    run, bundle = arguments.work / "run", arguments.work / "bundle"
    sources = write_pump_sounds(arguments.work / "sounds", _RATE_HZ, _SECONDS)
    with Terminal(quiet=False) as terminal:
        if not run.exists():
            train(source=str(sources[0]), out=run, config=preset("sound"), preset="sound", progress=terminal.step)
        if not bundle.exists():
            artifacts = plan_artifacts(_PARTS, [Format.TFLITE], [Precision.FLOAT32, Precision.INT8])
            artifacts += plan_artifacts([Component.SCORER], [Format.TFLITE], _PRECISIONS)
            config = ExportConfig(artifacts=artifacts, false_positive_rate=_FALSE_POSITIVE_RATE)
            export_run(run, bundle, config, progress=terminal.step)
        with pocketvae.open(bundle) as models:
            results = {
                "training_s": open_run(run).record.metrics["training_s"],
                "scorers": _of_files(models, sources),
                "scores": _of_scores(models, sources),
                "own_thresholds": _of_own_thresholds(models, arguments.work / "machines"),
            }
    record = make_record(
        "sound",
        sys.argv[1:],
        config={"rate_hz": _RATE_HZ, "seconds": _SECONDS, "false_positive_rate": _FALSE_POSITIVE_RATE},
        environment=current_environment(),
        results=results,
        not_run={},
    )
    if arguments.json is not None:
        write_record(arguments.json, record)
    return 0


def _of_files(models: ModelBundle, sources: tuple[Path, ...]) -> dict[str, Any]:
    """Returns what each scorer file detects, and the share of windows that it decides otherwise than float32."""
    windows = [load_items(str(source), models.vae).images for source in sources[1:]]
    anomalous = _flags(windows)
    found: dict[str, Any] = {}
    expected: npt.NDArray[np.bool_] | None = None
    for precision in _PRECISIONS:
        scorer = models.scorer(precision.value)
        scored = scorer.score(np.concatenate(windows))
        expected = scored.alarm if expected is None else expected
        values = np.asarray(scored.score, np.float64)
        found[precision.value] = {
            "size_bytes": scorer.artifact.file.size_bytes,
            "detection": dataclasses.asdict(detect(values, anomalous, scorer.threshold, None)),
            "false_alarms": float(scored.alarm[~anomalous].mean()),
            "found": float(scored.alarm[anomalous].mean()),
            "flipped": float(np.mean(scored.alarm != expected)),
        }
    return found


def _of_own_thresholds(models: ModelBundle, folder: Path) -> dict[str, Any]:
    """Returns what the float32 scorer detects on each pump with a threshold of that pump, and the means of all."""
    scorer, pumps = models.scorer(Precision.FLOAT32.value), []
    for seed, wear in zip(_OTHERS, WEAR[:: len(WEAR) // len(_OTHERS)], strict=True):
        fitted, later, worn = (
            np.asarray(scorer.score(load_items(str(path), models.vae).images).score, np.float64)
            for path in write_machine(folder, seed, float(wear), _RATE_HZ, _OWN_SECONDS)
        )
        threshold = conformal_threshold(fitted, _FALSE_POSITIVE_RATE)
        pumps.append(
            {
                "wear": float(wear),
                "fitted": len(fitted),
                "auroc": auroc(later, worn),
                "false_alarms": float(np.mean(later > threshold)),
                "false_alarms_exported_threshold": float(np.mean(later > scorer.threshold)),
                "found": float(np.mean(worn > threshold)),
            }
        )
    return {"pumps": pumps, "mean": {key: float(np.mean([pump[key] for pump in pumps])) for key in pumps[0]}}


def _of_scores(models: ModelBundle, sources: tuple[Path, ...]) -> dict[str, Any]:
    """Returns what each score of `pocketvae score` detects."""
    fitted, held_out = load_training_items(str(sources[0]), models.vae)
    calibration = calibrate(
        models,
        fitted,
        held_out,
        normal="pumps",
        choice=Choice(),
        sampling=Sampling(),
        false_positive_rate=_FALSE_POSITIVE_RATE,
    )
    items = [load_items(str(source), models.vae) for source in sources[1:]]
    features = [image_features(models, part, Choice(), calibration.sampling) for part in items]
    values = [
        scores(part, models.vae, calibration.noise_scale, calibration.density, calibration.offset) for part in features
    ]
    anomalous = _flags([part.images for part in items])
    return {
        kind.value: dataclasses.asdict(
            detect(np.concatenate([part[kind] for part in values]), anomalous, calibration.thresholds[kind], None)
        )
        for kind in values[0]
    }


def _flags(parts: list[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    return np.repeat([False, True], [len(part) for part in parts])


if __name__ == "__main__":
    sys.exit(main())
