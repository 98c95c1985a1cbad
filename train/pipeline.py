"""Training as a whole: images in, a run directory out. The train room's only module that writes."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pocketvae import files
from pocketvae.documents import encode
from pocketvae.errors import DataError
from pocketvae.images import ImageSet, ImageSplits, load_splits
from pocketvae.keras_io import import_tensorflow, save_model
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.run import REFERENCE_NAME, RUN_NAME, RunRecord
from pocketvae.spec import Component, VaeSpec
from pocketvae.train import plots
from pocketvae.train.config import TrainConfig
from pocketvae.train.loop import EpochMetrics, estimate_elbo, fit
from pocketvae.train.vae import Vae
from pocketvae.versions import installed_versions

_CALIBRATION_COUNT = 512
_GOLDEN_COUNT = 256
_RECONSTRUCTION_COUNT = 50
_KEPT_CHECKPOINTS = 2


def train(
    *,
    source: str,
    out: Path,
    config: TrainConfig,
    preset: str,
    force: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> RunRecord:
    """Trains a VAE and writes its run directory, whole or not at all.

    Args:
        source: `mnist`, or the path of a folder, an `.npz`, `.npy` or idx file.
        out: The run directory to make.
        config: What to build and how to train it.
        preset: Name of the preset that `config` began as, for the record.
        force: Replace `out` where it exists.
        progress: Told of every tenth step.

    Raises:
        DataError: the images cannot be used.
        OutputExistsError: `out` exists and `force` is off.
        TrainingError: the loss is not finite.
        TargetError: TensorFlow is not installed.
    """
    files.check_output(out, force=force)
    data = load_splits(source)
    _check_size(data, config)
    progress(Progress(stage="loading TensorFlow", done=0, total=1))
    import_tensorflow()
    with files.staged_directory(out, force=force) as folder:
        vae = Vae(config, data.image_shape)
        epochs = _fit(vae, data, folder, progress)
        record = _record(vae, data, epochs, preset)
        _write_models(vae, folder)
        _write_pictures(vae, data, epochs, folder)
        files.write_bytes(folder / REFERENCE_NAME, _reference_archive(data, config.seed))
        files.write_text(folder / RUN_NAME, encode(record))
    return record


def _fit(vae: Vae, data: ImageSplits, folder: Path, progress: ProgressCallback) -> list[EpochMetrics]:
    epochs: list[EpochMetrics] = []
    tf = import_tensorflow()
    checkpoint = tf.train.Checkpoint(encoder=vae.encoder, decoder=vae.decoder, optimizer=vae.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=_KEPT_CHECKPOINTS)
    for metrics in fit(vae, data, progress):
        epochs.append(metrics)
        manager.save(checkpoint_number=metrics.epoch)
        lines = [json.dumps(asdict(epoch), sort_keys=True) for epoch in epochs]
        files.write_text(folder / "metrics.jsonl", "\n".join(lines) + "\n")
    return epochs


def _record(vae: Vae, data: ImageSplits, epochs: list[EpochMetrics], preset: str) -> RunRecord:
    test = estimate_elbo(vae, data.test)
    return RunRecord(
        vae=VaeSpec(image_shape=data.image_shape, latent_dim=vae.config.latent_dim),
        data=data.name,
        preset=preset,
        seed=vae.config.seed,
        config=vae.config.as_dict(),
        metrics={
            "active_units": test.active_units,
            "decoder_parameters": vae.decoder.count_params(),
            "encoder_parameters": vae.encoder.count_params(),
            "test_images": len(data.test),
            "test_kl_nats": test.kl_nats,
            "test_negative_elbo_nats": test.negative_elbo_nats,
            "test_negative_elbo_standard_error_nats": test.standard_error_nats,
            "test_reconstruction_nats": test.reconstruction_nats,
            "training_images": len(data.train),
            "training_s": epochs[-1].elapsed_s,
            "validation_negative_elbo_nats": epochs[-1].validation_negative_elbo_nats,
        },
        versions=installed_versions(),
        git_commit=_git_commit(),
    )


def _write_models(vae: Vae, folder: Path) -> None:
    save_model(vae.encoder, folder / f"{Component.ENCODER}.keras")
    save_model(vae.decoder, folder / f"{Component.DECODER}.keras")


def _write_pictures(vae: Vae, data: ImageSplits, epochs: list[EpochMetrics], folder: Path) -> None:
    files.write_bytes(folder / "samples.png", plots.samples_png(vae))
    pictures = data.test.images[:_RECONSTRUCTION_COUNT]
    files.write_bytes(folder / "reconstructions.png", plots.reconstructions_png(vae, pictures))
    files.write_bytes(folder / "curves.png", plots.curves_png(epochs))


def _reference_archive(data: ImageSplits, seed: int) -> bytes:
    """Returns the images that export calibrates and makes goldens with, as an uncompressed .npz."""
    rng = np.random.default_rng([seed, 2])
    file = io.BytesIO()
    np.savez(
        file,
        calibration=_choose(data.train, _CALIBRATION_COUNT, rng).images,
        golden=_choose(data.test, _GOLDEN_COUNT, rng).images,
    )
    return file.getvalue()


def _choose(images: ImageSet, count: int, rng: np.random.Generator) -> ImageSet:
    return images.take(np.sort(rng.permutation(len(images))[:count]))


def _check_size(data: ImageSplits, config: TrainConfig) -> None:
    height, width, _ = data.image_shape
    smallest = 2 ** len(config.channels)
    if min(height, width) < smallest:
        raise DataError(f"images must be at least {smallest}x{smallest} for this preset, got {width}x{height}")


def _git_commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
