"""Evaluation of a model: ELBO, likelihood by importance sampling, and active latent dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.dataset import ImageSet
from pocketvae.keras.io import import_tensorflow
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.train.likelihoods import SMALLEST_VARIANCE
from pocketvae.train.model import Noise, VaeModel
from pocketvae.vae_spec import Likelihood

_BATCH = 500
# Decoded images in one importance-sampling step: enough to keep two cores busy, few enough for the caches.
_IMPORTANCE_DECODES = 2048
_ACTIVE_VARIANCE = 0.01
# Enough that the residual of all images is known to a percent; a fraction of the time of an epoch of as many.
_VARIANCE_IMAGES = 2048
# Second word of the noise seeds: training uses 0 and up, bounds use -1 down to here, importance samples the rest.
_IMPORTANCE_SEED = -(2**32)


@dataclass(frozen=True, kw_only=True)
class ElboEstimate:
    """The negative ELBO over a set of images, one latent sample and one binarization each.

    Attributes:
        negative_elbo_nats: Mean over the images.
        standard_error_nats: Standard error of that mean.
        reconstruction_nats: Mean of -log p(x|z).
        kl_nats: Mean of KL(q(z|x) || p(z)), in closed form for a standard prior, otherwise from one sample each.
        active_units: Latent dimensions whose mean varies over the images with a variance above 0.01
            (Burda et al. 2016, section 5.2).
        psnr_db: Peak signal-to-noise ratio of grey values against their reconstruction from the posterior mean,
            from the mean squared error over all pixels.
    """

    negative_elbo_nats: float
    standard_error_nats: float
    reconstruction_nats: float
    kl_nats: float
    active_units: int
    psnr_db: float


@dataclass(frozen=True, kw_only=True)
class LikelihoodEstimate:
    """-log p(x) by importance sampling from the posterior (Burda et al. 2016), an upper bound in expectation.

    Attributes:
        negative_log_likelihood_nats: Mean over the images.
        standard_error_nats: Standard error of that mean, over images.
        importance_samples: K, the samples per image.
        images: Number of images.
    """

    negative_log_likelihood_nats: float
    standard_error_nats: float
    importance_samples: int
    images: int


class Evaluator:
    """Evaluates one model; its graphs are compiled once and use the model's current weights."""

    def __init__(self, model: VaeModel, *, seed: int = 0, jit_compile: bool = False) -> None:
        """Prepares the graphs.

        Args:
            model: The model to evaluate.
            seed: Seed of binarization and latents, which are the same in every call.
            jit_compile: Compile with XLA.
        """
        tf = import_tensorflow()
        self._model, self._seed = model, seed
        self._bound = tf.function(self._bound_graph, jit_compile=jit_compile, autograph=False)
        self._posterior = tf.function(self._posterior_graph, jit_compile=jit_compile, autograph=False)
        self._residuals = tf.function(self._residuals_graph, jit_compile=jit_compile, autograph=False)
        self._weights = tf.function(self._weights_graph, jit_compile=jit_compile, autograph=False)

    def elbo(self, images: ImageSet) -> ElboEstimate:
        """Estimates the negative ELBO over all images; the same weights and images give the same estimate."""
        batches = [
            [np.asarray(value) for value in self._bound(part.images, part.labels_or_zeros(), self._noise_seed(-1 - i))]
            for i, part in enumerate(_parts(images, _BATCH))
        ]
        reconstruction, kl, z_mean, squared_error = (np.concatenate(values) for values in zip(*batches, strict=True))
        total = reconstruction.astype(np.float64) + kl
        return ElboEstimate(
            negative_elbo_nats=float(total.mean()),
            standard_error_nats=_standard_error(total),
            reconstruction_nats=float(reconstruction.mean(dtype=np.float64)),
            kl_nats=float(kl.mean(dtype=np.float64)),
            active_units=int(np.count_nonzero(z_mean.var(axis=0) > _ACTIVE_VARIANCE)),
            psnr_db=float(-10 * math.log10(max(float(squared_error.mean(dtype=np.float64)), 1e-12))),
        )

    def optimal_variance(self, images: ImageSet) -> float:
        """Returns the variance of highest Gaussian likelihood: the mean squared residual (Rybkin et al. 2021).

        Args:
            images: At most 2,048 of them are looked at, evenly spaced.
        """
        some = images.spaced(_VARIANCE_IMAGES)
        residuals = [
            np.asarray(self._residuals(part.images, part.labels_or_zeros(), self._noise_seed(-1 - number)))
            for number, part in enumerate(_parts(some, _BATCH))
        ]
        return max(float(np.concatenate(residuals).mean(dtype=np.float64)), SMALLEST_VARIANCE)

    def log_likelihood(
        self, images: ImageSet, importance_samples: int, *, progress: ProgressCallback = ignore_progress
    ) -> LikelihoodEstimate:
        """Estimates -log p(x) of every image.

        Args:
            images: The images to score.
            importance_samples: K; more samples give a tighter bound.
            progress: Called after every batch of images.
        """
        chunk = min(importance_samples, 128)
        size = max(1, _IMPORTANCE_DECODES // chunk)
        values: list[npt.NDArray[np.float64]] = []
        done = 0
        for number, part in enumerate(_parts(images, size)):
            values.append(self._importance_batch(part, number, importance_samples, chunk))
            done += len(part)
            mean = np.concatenate(values).mean()
            progress(Progress(stage="evaluating", done=done, total=len(images), detail=f"-log p(x) {mean:.2f} nats"))
        nats = np.concatenate(values)
        return LikelihoodEstimate(
            negative_log_likelihood_nats=float(nats.mean()),
            standard_error_nats=_standard_error(nats),
            importance_samples=importance_samples,
            images=len(images),
        )

    def _importance_batch(self, part: ImageSet, number: int, samples: int, chunk: int) -> npt.NDArray[np.float64]:
        labels = part.labels_or_zeros()
        x, z_mean, z_log_var = self._posterior(part.images, labels, self._noise_seed(-1 - number))
        total = np.full(len(part), -np.inf)
        chunks = -(-samples // chunk)
        for index in range(chunks):
            count = min(chunk, samples - index * chunk)
            seed = self._noise_seed(_IMPORTANCE_SEED - number * chunks - index)
            sums = self._weights(x, labels, z_mean, z_log_var, seed, count)
            total = np.logaddexp(total, np.asarray(sums, np.float64))
        return math.log(samples) - total

    def _noise_seed(self, number: int) -> npt.NDArray[np.int64]:
        return np.array([self._seed, number], np.int64)

    def _bound_graph(self, images: Any, labels: Any, seed: Any) -> tuple[Any, Any, Any, Any]:
        tf = import_tensorflow()
        model, noise = self._model, Noise(seed=seed)
        x = model.observe(images, noise)
        z_mean, z_log_var = model.encode(x, labels)
        terms = model.terms_of(x, labels, z_mean, z_log_var, noise, 1)
        kl = tf.reduce_sum(terms.kl, axis=-1) if model.is_kl_analytic() else terms.log_posterior - terms.log_prior
        grey = tf.cast(images, tf.float32) / 255.0
        decoded = model.images(model.encode(grey, labels)[0], labels)
        error = tf.reduce_mean(tf.square(decoded - grey), axis=[1, 2, 3])
        return -terms.log_likelihood[0], tf.reshape(kl, (-1,)), z_mean, error

    def _residuals_graph(self, images: Any, labels: Any, seed: Any) -> Any:
        return self._model.squared_residuals(images, labels, Noise(seed=seed))

    def _posterior_graph(self, images: Any, labels: Any, seed: Any) -> tuple[Any, Any, Any]:
        x = self._model.observe(images, Noise(seed=seed))
        z_mean, z_log_var = self._model.encode(x, labels)
        return x, z_mean, z_log_var

    def _weights_graph(self, x: Any, labels: Any, z_mean: Any, z_log_var: Any, seed: Any, samples: int) -> Any:
        tf = import_tensorflow()
        terms = self._model.terms_of(x, labels, z_mean, z_log_var, Noise(seed=seed), samples)
        return tf.reduce_logsumexp(terms.log_weights(), axis=0)


def bits_per_dim(likelihood: Likelihood, nats: float, image_shape: tuple[int, int, int]) -> float | None:
    """Returns bits per channel of a pixel; None for a density, which is not a probability of pixels.

    Args:
        likelihood: The model's likelihood.
        nats: -log p(x) of one image, or a bound on it.
        image_shape: `(height, width, channels)`.
    """
    if likelihood is Likelihood.GAUSSIAN:
        return None
    return nats / (math.prod(image_shape) * math.log(2))


def _parts(images: ImageSet, size: int) -> Iterator[ImageSet]:
    for start in range(0, len(images), size):
        yield images.take(slice(start, start + size))


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
