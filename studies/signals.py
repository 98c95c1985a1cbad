"""Anomaly detection on signals: a VAE of the presets beside three classical methods, and what int8 changes.

    python studies/signals.py --work FOLDER --json benchmarks/history/DATE-signals.json

Protocol, see `signal_sets.py`: only normal data are trained with, no anomaly is seen before the test, and settings are
those of the presets for every set, except the window. A VAE is trained and exported as a user would; its scores are
those of `pocketvae score`, of encoder and decoder in float32 and in int8. The threshold is fitted to held-out normal
data, for a false-positive rate of 0.05. Beside them stand the scorer files, each with the threshold that it was
exported with, for the same rate. PCA (by 90 % and 99 % of the variance), an isolation forest and a one-class SVM
(scikit-learn, standardized values) have the same training data and the best of two settings each, chosen on the test,
which favours them. Intervals are of 95 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from records import portable_command
from signal_sets import SETS, SignalSet, load

import pocketvae
from pocketvae.apps import Choice, Sampling, SourceImages, calibrate, image_features
from pocketvae.apps.anomaly.detection import detect
from pocketvae.apps.anomaly.scores import scores
from pocketvae.apps.training_sources import load_training_items
from pocketvae.bundle.run import open_run
from pocketvae.cli.terminal import Terminal
from pocketvae.data.windows import Windowing
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.numerics.normalization import in_own_unit, normalized
from pocketvae.spec import Component, Format, Precision
from pocketvae.system import files
from pocketvae.system.environment import current_environment
from pocketvae.train import preset, train, with_overrides

PRECISIONS = (Precision.FLOAT32, Precision.INT8)
SCORER_PRECISIONS = (*PRECISIONS, Precision.INT8_IO, Precision.INT16X8)
RATE = 0.05
_MOST_SVM_ITEMS = 5000
Values = npt.NDArray[np.float64]


def main() -> int:
    """Runs the study and writes its record."""
    arguments = _parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {}
    with Terminal(quiet=False) as terminal:
        for name in arguments.sets:
            found = load(name, arguments.work / "packages")
            results[name] = {
                "config": {"preset": found.preset, "window": found.window, "stride": found.stride},
                "training_items": len(found.items()),
                "test_items": len(found.test),
                "anomalies": int(found.anomalous.sum()),
                "vae": _of_vae(found, arguments.work / name, terminal),
                "scorers": _of_scorers(found, arguments.work / name / "bundle"),
                "classical": dict(_of_classical(found)),
            }
            terminal.line(f"{name}: {json.dumps(results[name])}")
    record = {
        "study": "signals",
        "command": portable_command("signals", sys.argv[1:]),
        "commit": arguments.commit,
        "environment": dataclasses.asdict(current_environment()),
        "sets": results,
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if arguments.json is None:
        sys.stdout.write(text)
    else:
        files.write_text(arguments.json, text)
    return 0


def _of_vae(found: SignalSet, folder: Path, terminal: Terminal) -> dict[str, object]:
    source, run, bundle = str(found.write(folder / "data")), folder / "run", folder / "bundle"
    if not run.exists():
        changes = {"window": found.window or found.train[0].shape[1], "stride": found.stride}
        training = with_overrides(preset(found.preset), changes if found.preset != "table" else {})
        train(source=source, out=run, config=training, preset=found.preset, progress=terminal.step)
    if not bundle.exists():
        parts = plan_artifacts([Component.ENCODER, Component.DECODER], [Format.TFLITE], PRECISIONS)
        scorers = plan_artifacts([Component.SCORER], [Format.TFLITE], SCORER_PRECISIONS)
        config = ExportConfig(
            artifacts=(*parts, *scorers),
            false_positive_rate=RATE,
            calibrate_scores=str(_held_out(found, source, run, folder)),
        )
        export_run(run, bundle, config, progress=terminal.step)
    result: dict[str, object] = {"training_s": open_run(run).record.metrics["training_s"]}
    above = {}
    with pocketvae.open(bundle) as models:
        fitted, held_out = load_training_items(source, models.vae, windowing=Windowing(stride=found.stride))
        test = normalized(found.test, models.vae.channels)
        items = SourceImages(images=test, names=tuple(map(str, range(len(test)))), labels=None)
        for precision in PRECISIONS:
            choice = Choice(precision=precision)
            calibration = calibrate(
                models,
                fitted.typical(6000),
                held_out,
                normal=found.name,
                choice=choice,
                sampling=Sampling(),
                false_positive_rate=RATE,
            )
            features = image_features(models, items, choice, calibration.sampling)
            values = scores(features, models.vae, calibration.noise_scale, calibration.density, calibration.offset)
            result[precision.value] = {
                kind.value: dataclasses.asdict(detect(value, found.anomalous, calibration.thresholds[kind], None))
                for kind, value in values.items()
            }
            above[precision] = {kind: value > calibration.thresholds[kind] for kind, value in values.items()}
    result["flipped_by_int8"] = {
        kind.value: float(np.mean(flags != above[Precision.INT8][kind]))
        for kind, flags in above[Precision.FLOAT32].items()
    }
    return result


def _held_out(found: SignalSet, source: str, run: Path, folder: Path) -> Path:
    """Writes the held-out items: a run keeps too few of a small set for a threshold."""
    vae = open_run(run).record.vae
    _, held_out = load_training_items(source, vae, windowing=Windowing(stride=found.stride))
    path = folder / "held_out.npy"
    np.save(path, in_own_unit(held_out.images, vae.channels))
    return path


def _of_scorers(found: SignalSet, bundle: Path) -> dict[str, object]:
    """Returns what each scorer file detects, and the share of items that it decides otherwise than the float32 one."""
    result: dict[str, object] = {}
    alarms: dict[Precision, npt.NDArray[np.bool_]] = {}
    with pocketvae.open(bundle) as models:
        for precision in SCORER_PRECISIONS:
            scorer = models.scorer(precision.value)
            scored = scorer.score(found.test)
            alarms[precision] = scored.alarm
            values = np.asarray(scored.score, np.float64)
            result[precision.value] = {
                "detection": dataclasses.asdict(detect(values, found.anomalous, scorer.threshold, None)),
                "false_alarms": float(np.mean(scored.alarm[~found.anomalous])),
                "found": float(np.mean(scored.alarm[found.anomalous])),
                "flipped": float(np.mean(scored.alarm != alarms[Precision.FLOAT32])),
            }
    return result


def _of_classical(found: SignalSet) -> Iterator[tuple[str, dict[str, object]]]:
    from sklearn.preprocessing import StandardScaler

    train_items = found.items()
    scaler = StandardScaler().fit(train_items.reshape(len(train_items), -1))
    x, y = (scaler.transform(part.reshape(len(part), -1)) for part in (train_items, found.test))
    for name, settings in _methods().items():
        best: dict[str, object] = {}
        for setting, method in settings.items():
            started = time.perf_counter()
            measured = dataclasses.asdict(detect(method(x, y), found.anomalous, np.inf, None))
            measured |= {"setting": setting, "elapsed_s": time.perf_counter() - started}
            if not best or measured["auroc"]["value"] > best["auroc"]["value"]:  # type: ignore[index]
                best = measured
        yield name, best


def _methods() -> dict[str, dict[str, Callable[[Values, Values], Values]]]:
    return {
        "pca": {f"{share:g} of the variance": _pca(share) for share in (0.9, 0.99)},
        "isolation_forest": {f"{count} trees": _forest(count) for count in (100, 500)},
        "one_class_svm": {f"nu {nu:g}": _svm(nu) for nu in (0.01, 0.1)},
    }


def _pca(share: float) -> Callable[[Values, Values], Values]:
    def run(x: Values, y: Values) -> Values:
        from sklearn.decomposition import PCA

        fitted = PCA(share).fit(x)
        return np.asarray(np.square(y - fitted.inverse_transform(fitted.transform(y))).sum(axis=1))

    return run


def _forest(count: int) -> Callable[[Values, Values], Values]:
    def run(x: Values, y: Values) -> Values:
        from sklearn.ensemble import IsolationForest

        return np.asarray(-IsolationForest(n_estimators=count, random_state=0).fit(x).score_samples(y))

    return run


def _svm(nu: float) -> Callable[[Values, Values], Values]:
    def run(x: Values, y: Values) -> Values:
        from sklearn.svm import OneClassSVM

        chosen = np.random.default_rng(0).permutation(len(x))[:_MOST_SVM_ITEMS]
        return np.asarray(-OneClassSVM(nu=nu).fit(x[chosen]).score_samples(y))

    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Find anomalies in signals with a VAE and with classical methods.")
    parser.add_argument("--work", metavar="FOLDER", type=Path, required=True, help="for packages, runs and bundles")
    parser.add_argument(
        "--sets", metavar="NAME", nargs="+", choices=list(SETS), default=list(SETS), help="default: all"
    )
    parser.add_argument("--commit", help="of this repository")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write (default: standard output)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
