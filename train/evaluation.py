"""Evaluation of a model: ELBO, likelihood by importance sampling, and active latent dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.items import ItemSet
from pocketvae.data.timeline import Timeline
from pocketvae.data.window_values import Values, value_blocks
from pocketvae.fields import ChannelKind
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.likelihoods import places
from pocketvae.numerics.moments import moments
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.train.likelihoods import SMALLEST_VARIANCE
from pocketvae.train.model import Noise, VaeModel
from pocketvae.train.noise import channel_variances, square_scales, student_t_noise
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

_BATCH = 500
# Decoded images in one importance-sampling step: enough to keep two cores busy, few enough for the caches.
_IMPORTANCE_DECODES = 2048
_MOST_SAMPLES_AT_ONCE = 128
_ACTIVE_VARIANCE = 0.01
# Enough that the residual of all images is known to a percent; a fraction of the time of an epoch of as many.
_VARIANCE_ITEMS = 2048
# Of their residuals, where they are kept value by value.
_VARIANCE_VALUES = 1 << 22
# Second word of the noise seeds: training uses 0 and up, bounds use -1 down to here, importance samples the rest.
_IMPORTANCE_SEED = -(2**32)


@dataclass(frozen=True, kw_only=True)
class ElboEstimate:
    """The negative ELBO over a set of items, one latent sample and, of images, one binarization each.

    Attributes:
        negative_elbo_nats: Mean over the items. Of real numbers in units of the model: of densities.
        standard_error_nats: Standard error of that mean, of windows that overlap as of those that fit side by side.
        reconstruction_nats: Mean of -log p(x|z).
        kl_nats: Mean of KL(q(z|x) || p(z)), in closed form for a standard prior, otherwise from one sample each.
        active_units: Latent dimensions whose mean varies over the items with a variance above 0.01
            (Burda et al. 2016, section 5.2).
        psnr_db: Peak signal-to-noise ratio of grey values against their reconstruction from the posterior mean,
            from the mean squared error over all pixels; None for data that are not images.
        explained_variance: The part of the spread around the mean of the training data that this reconstruction
            explains, 1 if it is perfect and 0 if it is as good as that mean; None for images.
    """

    negative_elbo_nats: float
    standard_error_nats: float
    reconstruction_nats: float
    kl_nats: float
    active_units: int
    psnr_db: float | None = None
    explained_variance: float | None = None


@dataclass(frozen=True, kw_only=True)
class LikelihoodEstimate:
    """-log p(x) by importance sampling from the posterior (Burda et al. 2016), an upper bound in expectation.

    Attributes:
        negative_log_likelihood_nats: Mean over the items.
        standard_error_nats: Standard error of that mean, over items; of windows that overlap as of those that fit side
            by side.
        importance_samples: K, the samples per item.
        images: Number of items.
    """

    negative_log_likelihood_nats: float
    standard_error_nats: float
    importance_samples: int
    images: int


class Evaluator:
    """Evaluates one model; its graphs are compiled once and use the model's current weights."""

    def __init__(
        self, model: VaeModel, *, seed: int = 0, jit_compile: bool = False, fits_degrees: bool = False
    ) -> None:
        """Prepares the graphs.

        Args:
            model: The model to evaluate.
            seed: Seed of binarization and latents, which are the same in every call.
            jit_compile: Compile with XLA.
            fits_degrees: Whether `fit_noise` fits the degrees of freedom of Student's t, too.
        """
        tf = import_tensorflow()
        self._model, self._seed, self._fits_degrees = model, seed, fits_degrees
        self._bound = tf.function(self._bound_graph, jit_compile=jit_compile, autograph=False)
        self._posterior = tf.function(self._posterior_graph, jit_compile=jit_compile, autograph=False)
        self._residuals = tf.function(self._residuals_graph, jit_compile=jit_compile, autograph=False)
        self._weights = tf.function(self._weights_graph, jit_compile=jit_compile, autograph=False)

    def elbo(self, items: ItemSet) -> ElboEstimate:
        """Estimates the negative ELBO over all items; the same weights and items give the same estimate."""
        batches = [
            [np.asarray(value) for value in self._bound(part.items, part.labels_or_zeros(), self._noise_seed(-1 - i))]
            for i, part in enumerate(_parts(items, _BATCH))
        ]
        reconstruction, kl, z_mean, squared_error = (np.concatenate(values) for values in zip(*batches, strict=True))
        total = reconstruction.astype(np.float64) + kl
        error = float(squared_error.mean(dtype=np.float64))
        is_image = self._model.spec.data is DataKind.IMAGE
        return ElboEstimate(
            negative_elbo_nats=float(total.mean()),
            standard_error_nats=_standard_error(total, overlap_of(items)),
            reconstruction_nats=float(reconstruction.mean(dtype=np.float64)),
            kl_nats=float(kl.mean(dtype=np.float64)),
            active_units=int(np.count_nonzero(z_mean.var(axis=0) > _ACTIVE_VARIANCE)),
            psnr_db=float(-10 * math.log10(max(error, 1e-12))) if is_image else None,
            explained_variance=None if is_image else 1 - error / _spread(self._model.spec, items.items),
        )

    def fit_noise(self, items: ItemSet) -> None:
        """Gives a likelihood with noise of its own the noise that is optimal for the weights as they are.

        An average over steps would lag behind the weights: after few steps it would hold the residual of a beginner.

        Args:
            items: At most 2,048 of them are looked at, evenly spaced.
        """
        model, likelihood = self._model, self._model.spec.likelihood
        if likelihood not in _WITH_NOISE:
            return
        if model.spec.data is DataKind.IMAGE:
            model.variance.assign(max(float(self._residuals_of(items).mean(dtype=np.float64)), SMALLEST_VARIANCE))
        elif likelihood is not Likelihood.STUDENT_T:
            model.variance.assign(channel_variances(self._residuals_of(items)))
        elif self._fits_degrees:
            degrees, scales = student_t_noise(self._residuals_of(items))
            model.degrees_of_freedom.assign(degrees)
            model.variance.assign(scales)
        else:
            degrees = float(model.degrees_of_freedom.numpy())
            model.variance.assign(square_scales(self._residuals_of(items), degrees))

    def _residuals_of(self, items: ItemSet) -> npt.NDArray[np.float32]:
        """Returns squared residuals, see `VaeModel.squared_residuals`."""
        size = 1 if self._model.spec.data is DataKind.IMAGE else math.prod(self._model.spec.data_shape)
        some = items.spaced(min(_VARIANCE_ITEMS, max(1, _VARIANCE_VALUES // size)))
        residuals = [
            np.asarray(self._residuals(part.items, part.labels_or_zeros(), self._noise_seed(-1 - number)))
            for number, part in enumerate(_parts(some, _BATCH))
        ]
        return np.concatenate(residuals)

    def log_likelihood(
        self, items: ItemSet, importance_samples: int, *, progress: ProgressCallback = ignore_progress
    ) -> LikelihoodEstimate:
        """Estimates the mean of -log p(x); see `importance_nats`."""
        nats = self.importance_nats(items, importance_samples, progress=progress)
        return likelihood_estimate(nats, importance_samples, overlap_of(items))

    def importance_nats(
        self, items: ItemSet, importance_samples: int, *, first: int = 0, progress: ProgressCallback = ignore_progress
    ) -> npt.NDArray[np.float64]:
        """Estimates -log p(x) of every item, `[N]`.

        Args:
            items: The items to score.
            importance_samples: K; more samples give a tighter bound.
            first: Position of the first among all items, a multiple of `importance_batch`; determines the noise.
            progress: Called after every batch.
        """
        size = importance_batch(importance_samples)
        values: list[npt.NDArray[np.float64]] = []
        done = 0
        for number, part in enumerate(_parts(items, size), start=first // size):
            values.append(self._importance_batch(part, number, importance_samples))
            done += len(part)
            mean = np.concatenate(values).mean()
            progress(Progress(stage="evaluating", done=done, total=len(items), detail=f"-log p(x) {mean:.2f} nats"))
        return np.concatenate(values)

    def _importance_batch(self, part: ItemSet, number: int, samples: int) -> npt.NDArray[np.float64]:
        labels, chunk = part.labels_or_zeros(), min(samples, _MOST_SAMPLES_AT_ONCE)
        x, z_mean, z_log_var = self._posterior(part.items, labels, self._noise_seed(-1 - number))
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

    def _bound_graph(self, items: Any, labels: Any, seed: Any) -> tuple[Any, Any, Any, Any]:
        tf = import_tensorflow()
        model, noise = self._model, Noise(seed=seed)
        x = model.observe(items, noise)
        z_mean, z_log_var = model.encode(x, labels)
        terms = model.terms_of(x, labels, z_mean, z_log_var, noise, 1)
        kl = tf.reduce_sum(terms.kl, axis=-1) if model.is_kl_analytic() else terms.log_posterior - terms.log_prior
        given = model.given(items)
        decoded = model.means(model.encode(given, labels)[0], labels)
        error = tf.reduce_mean(tf.square(decoded - given), axis=list(range(1, 1 + len(model.axes))))
        return -terms.log_likelihood[0], tf.reshape(kl, (-1,)), z_mean, error

    def _residuals_graph(self, items: Any, labels: Any, seed: Any) -> Any:
        return self._model.squared_residuals(items, labels, Noise(seed=seed))

    def _posterior_graph(self, items: Any, labels: Any, seed: Any) -> tuple[Any, Any, Any]:
        x = self._model.observe(items, Noise(seed=seed))
        z_mean, z_log_var = self._model.encode(x, labels)
        return x, z_mean, z_log_var

    def _weights_graph(self, x: Any, labels: Any, z_mean: Any, z_log_var: Any, seed: Any, samples: int) -> Any:
        tf = import_tensorflow()
        terms = self._model.terms_of(x, labels, z_mean, z_log_var, Noise(seed=seed), samples)
        return tf.reduce_logsumexp(terms.log_weights(), axis=0)


def importance_batch(importance_samples: int) -> int:
    """Returns how many items an importance-sampling step takes."""
    return max(1, _IMPORTANCE_DECODES // min(importance_samples, _MOST_SAMPLES_AT_ONCE))


def likelihood_estimate(nats: npt.NDArray[np.float64], importance_samples: int, overlap: int = 1) -> LikelihoodEstimate:
    """Returns the estimate over a set of items from that of each, `[N]`; of `overlap` see `overlap_of`."""
    return LikelihoodEstimate(
        negative_log_likelihood_nats=float(nats.mean()),
        standard_error_nats=_standard_error(nats, overlap),
        importance_samples=importance_samples,
        images=len(nats),
    )


def bits_per_dim(vae: VaeSpec, nats: float) -> float | None:
    """Returns bits per channel of a pixel; None for a density, which is not a probability of pixels.

    Args:
        vae: The model's interface.
        nats: -log p(x) of one image, or a bound on it.
    """
    if vae.data is not DataKind.IMAGE or vae.likelihood is Likelihood.GAUSSIAN:
        return None
    return nats / (math.prod(vae.data_shape) * math.log(2))


_WITH_NOISE = (Likelihood.GAUSSIAN, Likelihood.STUDENT_T, Likelihood.MIXED)


def _parts(items: ItemSet, size: int) -> Iterator[ItemSet]:
    for start in range(0, len(items), size):
        yield items.take(slice(start, start + size))


def _spread(vae: VaeSpec, items: Values) -> float:
    """Returns the mean squared deviation of every value from the mean of the training data, which is 0 of real ones.

    Of other channels it is that from the items' own mean.
    """
    found = moments(block for _, block in value_blocks(items))
    centres = found.mean.copy()
    for channel, part in places(vae.channels):
        if channel.kind is ChannelKind.REAL:
            centres[part] = 0
    squares = found.squares / found.count + np.square(found.mean - centres)
    return max(float(squares.mean()), SMALLEST_VARIANCE)


def overlap_of(items: ItemSet) -> int:
    """Returns how many windows of recordings share a time step at most; 1 of items that are none."""
    timeline: Timeline | None = getattr(items, "timeline", None)
    return 1 if timeline is None else timeline.overlap()


def _standard_error(values: npt.NDArray[np.float64], overlap: int) -> float:
    """Returns the standard error of the mean; windows that overlap count as few as would lie side by side."""
    return float(values.std(ddof=1) / math.sqrt(len(values) / overlap)) if len(values) > 1 else 0.0
