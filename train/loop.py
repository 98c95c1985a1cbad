"""The training loop: epochs of shuffled batches, validation after each, no disk and no printing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pocketvae.errors import TrainingError
from pocketvae.images import ImageSet, ImageSplits
from pocketvae.progress import Progress, ProgressCallback
from pocketvae.train.schedule import learning_rate
from pocketvae.train.vae import ElboTerms, Vae

_EVALUATION_BATCH = 500
_PROGRESS_EVERY_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """What one epoch ended with; negative ELBO and its terms are in nats per image."""

    epoch: int
    step: int
    train_negative_elbo_nats: float
    validation_negative_elbo_nats: float
    validation_reconstruction_nats: float
    validation_kl_nats: float
    learning_rate: float
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class ElboEstimate:
    """The negative ELBO over a set of images, one latent sample and one binarization each.

    Attributes:
        negative_elbo_nats: Mean over the images.
        standard_error_nats: Of that mean.
        reconstruction_nats: Mean of -log p(x|z).
        kl_nats: Mean of KL(q(z|x) || p(z)).
        active_units: Latent dimensions whose mean varies over the images with a variance above 0.01
            (Burda et al. 2016, section 5.2).
    """

    negative_elbo_nats: float
    standard_error_nats: float
    reconstruction_nats: float
    kl_nats: float
    active_units: int


def fit(vae: Vae, data: ImageSplits, progress: ProgressCallback) -> Iterator[EpochMetrics]:
    """Trains for `vae.config.epochs`, yielding after each epoch so that the caller can keep what it wants.

    Raises:
        TrainingError: the loss is not finite.
    """
    config = vae.config
    batch_size = min(config.batch_size, len(data.train))
    steps_per_epoch = len(data.train) // batch_size
    total_steps = steps_per_epoch * config.epochs
    started, step = time.perf_counter(), 0
    for epoch in range(1, config.epochs + 1):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(data.train))
        losses: list[float] = []
        for batch in order[: steps_per_epoch * batch_size].reshape(steps_per_epoch, batch_size):
            rate = learning_rate(config, step, total_steps)
            # Sorted indices read memory in order; the images of a batch have no order anyway.
            losses.append(vae.train_step(data.train.images[np.sort(batch)], step, rate))
            _check_finite(losses[-1], step)
            step += 1
            if step % _PROGRESS_EVERY_STEPS == 0 or step == total_steps:
                detail = f"epoch {epoch}/{config.epochs}, negative ELBO {np.mean(losses[-100:]):.1f} nats"
                progress(Progress(stage="training", done=step, total=total_steps, detail=detail))
        validation = estimate_elbo(vae, data.validation)
        yield EpochMetrics(
            epoch=epoch,
            step=step,
            train_negative_elbo_nats=float(np.mean(losses)),
            validation_negative_elbo_nats=validation.negative_elbo_nats,
            validation_reconstruction_nats=validation.reconstruction_nats,
            validation_kl_nats=validation.kl_nats,
            learning_rate=rate,
            elapsed_s=time.perf_counter() - started,
        )


def estimate_elbo(vae: Vae, images: ImageSet) -> ElboEstimate:
    """Estimates the negative ELBO over all images; the same weights and images give the same estimate."""
    batches = [
        vae.elbo_terms(images.images[start : start + _EVALUATION_BATCH], index)
        for index, start in enumerate(range(0, len(images), _EVALUATION_BATCH))
    ]
    terms = ElboTerms(
        reconstruction=np.concatenate([batch.reconstruction for batch in batches]),
        kl=np.concatenate([batch.kl for batch in batches]),
    )
    total = terms.reconstruction + terms.kl
    return ElboEstimate(
        negative_elbo_nats=float(total.mean()),
        standard_error_nats=float(total.std() / math.sqrt(len(total))),
        reconstruction_nats=float(terms.reconstruction.mean()),
        kl_nats=float(terms.kl.mean()),
        active_units=_active_units(vae, images),
    )


def _active_units(vae: Vae, images: ImageSet) -> int:
    means = [
        vae.encoder(images.images[start : start + _EVALUATION_BATCH].astype(np.float32) / 255, training=False)[0]
        for start in range(0, len(images), _EVALUATION_BATCH)
    ]
    return int(np.count_nonzero(np.concatenate(means).var(axis=0) > 0.01))


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} at step {step}: lower it with --set learning_rate=..., "
            "or choose another --set seed=..."
        )
