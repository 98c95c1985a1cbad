"""One-class anomaly detection: trains a VAE on each MNIST digit, exports it, and scores all test images.

    python studies/anomaly.py --work FOLDER --json benchmarks/history/DATE-anomaly.json

Protocol: for each digit, a VAE is trained on that digit's MNIST training images alone (80 percent of them; pocketvae
holds back 10 percent for validation and 10 for its own test figures) and exported; the density is fitted to the same
training images. All 10,000 MNIST test images are scored: the digit's own are normal, all others anomalies. No anomaly
is seen before that, and no setting differs between digits. AUROC is reported for each score, float32 and int8.

Then a VAE that was trained on all digits scores the MNIST test images against noise and against emoji drawings. Runs
and bundles that are in the work folder already are used as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from records import portable_command

import pocketvae
from pocketvae import ModelBundle
from pocketvae.apps import Calibration, Choice, Sampling, ScoreKind, SourceImages, auroc, calibrate, image_features
from pocketvae.apps.anomaly.scores import scores
from pocketvae.bundle.run import open_run
from pocketvae.cli.terminal import Terminal
from pocketvae.data.dataset import load_splits, to_unit_interval
from pocketvae.data.image_files import read_mnist
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.numerics.pixels import to_pixels
from pocketvae.spec import Component, Format, Precision
from pocketvae.system import files
from pocketvae.system.environment import current_environment
from pocketvae.train import parse_assignments, preset, train, with_overrides

PRECISIONS = (Precision.FLOAT32, Precision.INT8)
NOISE_IMAGES = 1000


def main() -> int:
    """Runs the study and writes its record."""
    arguments = _parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    train_set, (images, labels) = read_mnist()
    digits: dict[str, Mapping[str, Mapping[str, float]]] = {}
    with Terminal(quiet=False) as terminal:
        for digit in arguments.digits:
            source = arguments.work / f"digit{digit}.npz"
            if not source.exists():
                np.savez_compressed(source, images=train_set[0][train_set[1] == digit])
            bundle = _bundle(str(source), arguments.work / f"one-class-{digit}", arguments.set, terminal)
            digits[str(digit)] = _areas(bundle, str(source), images[labels == digit], images[labels != digit])
            terminal.line(f"digit {digit}: {json.dumps(digits[str(digit)])}")
        mnist = _bundle("mnist", arguments.work / "all-digits", [], terminal)
        others = {name: _areas(mnist, "mnist", images, data) for name, data in _strangers(arguments.emoji).items()}
    record = {
        "study": "anomaly",
        "command": portable_command("anomaly", sys.argv[1:]),
        "commit": arguments.commit,
        "environment": dataclasses.asdict(current_environment()),
        "config": open_run(arguments.work / f"one-class-{arguments.digits[0]}-run").record.config,
        "one_class_auroc": digits,
        "one_class_mean_auroc": _mean(digits),
        "mnist_against_auroc": others,
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if arguments.json is None:
        sys.stdout.write(text)
    else:
        files.write_text(arguments.json, text)
    return 0


def _bundle(source: str, folder: Path, assignments: list[str], terminal: Terminal) -> Path:
    run, bundle = folder.with_name(f"{folder.name}-run"), folder.with_name(f"{folder.name}-bundle")
    if not run.exists():
        config = with_overrides(preset("mnist-tiny"), parse_assignments(assignments))
        train(source=source, out=run, config=config, preset="mnist-tiny", progress=terminal.step)
    if not bundle.exists():
        artifacts = plan_artifacts([Component.ENCODER, Component.DECODER], [Format.TFLITE], PRECISIONS)
        export_run(run, bundle, ExportConfig(artifacts=artifacts), progress=terminal.step)
    return bundle


def _areas(path: Path, source: str, normal: np.ndarray, anomalous: np.ndarray) -> Mapping[str, Mapping[str, float]]:
    splits = load_splits(source)
    result = {}
    with pocketvae.open(path) as bundle:
        for precision in PRECISIONS:
            choice = Choice(precision=precision)
            calibration = calibrate(
                bundle,
                _source(splits.train.images[:6000]),
                _source(splits.validation.images),
                normal=source,
                choice=choice,
                sampling=Sampling(),
                false_positive_rate=0.05,
            )
            values = [_scores(bundle, choice, calibration, images) for images in (normal, anomalous)]
            result[precision.value] = {kind.value: auroc(values[0][kind], values[1][kind]) for kind in values[0]}
    return result


def _scores(
    bundle: ModelBundle, choice: Choice, calibration: Calibration, images: np.ndarray
) -> Mapping[ScoreKind, np.ndarray]:
    features = image_features(bundle, _source(images), choice, calibration.sampling)
    return scores(features, bundle.vae, calibration.noise_scale, calibration.density)


def _source(images: np.ndarray) -> SourceImages:
    return SourceImages(images=images, names=tuple(str(index) for index in range(len(images))), labels=None)


def _strangers(emoji: Path | None) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, 28, 28, 1), np.uint8)
    if emoji is None:
        return {"noise": noise}
    with np.load(emoji, allow_pickle=False) as archive:
        colour = to_unit_interval(archive[archive.files[0]])
    # 64 pixels to 28: grey, the middle 56, every second pixel's neighbourhood averaged.
    grey = colour.mean(axis=3)[:, 4:60, 4:60].reshape(-1, 28, 2, 28, 2).mean(axis=(2, 4))
    return {"noise": noise, "emoji": to_pixels(grey.astype(np.float32))[..., None]}


def _mean(digits: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    first = next(iter(digits.values()))
    return {
        precision: {kind: float(np.mean([areas[precision][kind] for areas in digits.values()])) for kind in kinds}
        for precision, kinds in first.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train a VAE on each digit and find the others.")
    parser.add_argument("--work", metavar="FOLDER", type=Path, required=True, help="for runs and bundles")
    parser.add_argument("--digits", metavar="N", type=int, nargs="+", default=list(range(10)), help="default: all ten")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=["epochs=40"], help="of the one-class runs"
    )
    parser.add_argument("--emoji", metavar="FILE", type=Path, help=".npz of [N, 64, 64, 3] drawings to compare with")
    parser.add_argument("--commit", help="of this repository")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write (default: standard output)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
