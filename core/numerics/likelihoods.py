"""Log-likelihoods of images in numpy, from which parity computes how an artifact changes the ELBO.

All are in nats, summed over pixels, one value per image, computed in float64. An artifact returns an image, not the
likelihood's parameters, so the image is used in their place, see `image_log_likelihood`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.chunks import chunks
from pocketvae.errors import SpecError
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

Array: TypeAlias = npt.NDArray[Any]
DoubleArray: TypeAlias = npt.NDArray[np.float64]

# sigmoid(-13.8): float32 probabilities have steps of 6e-8 near 1, so a distance of 1e-6 from 1 is still meaningful.
SMALLEST_PROBABILITY = 1e-6
# As in train/likelihoods.py.
_SMALLEST_LOG_SCALE = -7.0
_HALF_STEP = 0.5 / 255


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The images whose posteriors q(z|x) the first golden latents were drawn from.

    Attributes:
        x: `[M, H, W, C] uint8`: 0 and 1 for a Bernoulli likelihood, else 0 to 255.
        log_scale: `[M, H, W, C] float32` from the original decoder of a discretized logistic; artifacts do not return
            it.
        likelihood: p(x|z).
        noise_scale: Standard deviation of a Gaussian.
    """

    x: Array
    likelihood: Likelihood
    noise_scale: float | None = None
    log_scale: Array | None = None

    @classmethod
    def of(cls, vae: VaeSpec, x: Array, log_scale: Array | None = None) -> Observed:
        """Returns images with the likelihood of a VAE."""
        return cls(x=x, likelihood=vae.likelihood, noise_scale=vae.noise_scale, log_scale=log_scale)

    def reordered(self, order: npt.NDArray[np.intp]) -> Observed:
        """Returns the same images in another order, `[M]`."""
        log_scale = None if self.log_scale is None else self.log_scale[order]
        return replace(self, x=self.x[order], log_scale=log_scale)

    def elbo_change(self, original: Array, artifact: Array) -> float:
        """Returns |mean ELBO of the artifact - mean ELBO of the original| in nats per image.

        Both decode the same latents, so the KL term is the same and only the reconstruction term changes.

        Args:
            original: The original's images `[N, ...]` for the golden latents; the first M belong to `x`.
            artifact: The same for the artifact.
        """
        count = len(self.x)
        terms = [self._log_likelihoods(images[:count].reshape(self.x.shape)) for images in (original, artifact)]
        return float(abs(np.mean(terms[1] - terms[0])))

    def _log_likelihoods(self, images: Array) -> DoubleArray:
        few = chunks(len(images), images[0].size)
        return np.concatenate([self._log_likelihood(part, images[part]) for part in few])

    def _log_likelihood(self, part: slice, images: Array) -> DoubleArray:
        if self.likelihood is Likelihood.BERNOULLI:
            return bernoulli_log_likelihood(self.x[part], images)
        x = self.x[part].astype(np.float64) / 255
        if self.likelihood is Likelihood.GAUSSIAN and self.noise_scale:
            return gaussian_log_likelihood(x, images, self.noise_scale)
        if self.likelihood is Likelihood.DISCRETIZED_LOGISTIC and self.log_scale is not None:
            return discretized_logistic_log_likelihood(x, images, self.log_scale[part])
        raise SpecError(f"a change of the ELBO needs a known likelihood, got {self.likelihood}")


def has_elbo(vae: VaeSpec) -> bool:
    """Whether the change of the ELBO can be computed, which needs images and a known likelihood."""
    return vae.data is DataKind.IMAGE and vae.likelihood is not Likelihood.UNKNOWN


def bernoulli_log_likelihood(x: Array, probabilities: Array) -> DoubleArray:
    """Returns log p(x|z) of binary pixels, `[N]`, with probabilities clipped to [1e-6, 1 - 1e-6].

    Args:
        x: `[N, H, W, C]` of 0 and 1.
        probabilities: `[N, H, W, C]`.
    """
    p = np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return _sum(np.where(x > 0, np.log(p), np.log1p(-p)))


def gaussian_log_likelihood(x: Array, mean: Array, noise_scale: float) -> DoubleArray:
    """Returns log p(x|z) of real-valued pixels with one standard deviation for all, `[N]`.

    Args:
        x: `[N, H, W, C]` in [0, 1].
        mean: `[N, H, W, C]`, clipped to [0, 1] as artifacts return it.
        noise_scale: The standard deviation.
    """
    variance = noise_scale**2
    return _sum(-0.5 * (np.square(x - mean.astype(np.float64)) / variance + np.log(2 * np.pi * variance)))


def discretized_logistic_log_likelihood(x: Array, mean: Array, log_scale: Array) -> DoubleArray:
    """Returns log p(x|z) of 8-bit pixels, `[N]` (Salimans et al. 2017, equation 2).

    Args:
        x: `[N, H, W, C]`, multiples of 1/255 in [0, 1].
        mean: `[N, H, W, C]`.
        log_scale: `[N, H, W, C]`.
    """
    inverse = np.exp(-np.maximum(log_scale.astype(np.float64), _SMALLEST_LOG_SCALE))
    difference = x - mean.astype(np.float64)
    upper, lower = (difference + _HALF_STEP) * inverse, (difference - _HALF_STEP) * inverse
    log_up_to, log_above = -np.logaddexp(0, -upper), -np.logaddexp(0, lower)
    between = log_up_to + log_above + np.log(-np.expm1(-2 * _HALF_STEP * inverse))
    return _sum(np.where(x < _HALF_STEP, log_up_to, np.where(x > 1 - _HALF_STEP, log_above, between)))


def _sum(values: DoubleArray) -> DoubleArray:
    total: DoubleArray = values.reshape(len(values), -1).sum(axis=1)
    return total
