"""Log-likelihoods in numpy, from which parity computes how an artifact changes the ELBO.

All are in nats, summed over the values of an item, one number per item, computed in float64. An artifact returns an
image, or means and probabilities of other data, not the likelihood's parameters, so these are used in their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.numerics.chunks import chunks
from pocketvae.outputs import Meaning
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

Array: TypeAlias = npt.NDArray[Any]
DoubleArray: TypeAlias = npt.NDArray[np.float64]

# sigmoid(-13.8): float32 probabilities have steps of 6e-8 near 1, so a distance of 1e-6 from 1 is still meaningful.
SMALLEST_PROBABILITY = 1e-6
# As in train/likelihoods.py.
_SMALLEST_LOG_SCALE = -7.0
_HALF_STEP = 0.5 / 255
# How far the quartiles of a normal distribution are apart, in standard deviations.
_QUARTILES = 1.349


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The items whose posteriors q(z|x) the first golden latents were drawn from.

    Attributes:
        x: `[M, H, W, C] uint8` of images: 0 and 1 for a Bernoulli likelihood, else 0 to 255. `[M, *data_shape] float32`
            of other data, in units of the model.
        vae: The interface, with p(x|z) and its noise.
        log_scale: `[M, H, W, C] float32` from the original decoder of a discretized logistic; artifacts do not return
            it.
    """

    x: Array
    vae: VaeSpec
    log_scale: Array | None = None

    @classmethod
    def of(cls, vae: VaeSpec, x: Array, log_scale: Array | None = None) -> Observed:
        """Returns items with the likelihood of a VAE."""
        return cls(x=x, vae=vae, log_scale=log_scale)

    def reordered(self, order: npt.NDArray[np.intp]) -> Observed:
        """Returns the same items in another order, `[M]`."""
        log_scale = None if self.log_scale is None else self.log_scale[order]
        return replace(self, x=self.x[order], log_scale=log_scale)

    def elbo_change(self, original: Array, artifact: Array) -> float:
        """Returns |mean ELBO of the artifact - mean ELBO of the original| in nats per item.

        Both decode the same latents, so the KL term is the same and only the reconstruction term changes.

        Args:
            original: The original's outputs `[N, ...]` for the golden latents; the first M belong to `x`.
            artifact: The same for the artifact.
        """
        count = len(self.x)
        terms = [self.log_likelihoods(decoded[:count].reshape(self.x.shape)) for decoded in (original, artifact)]
        return float(abs(np.mean(terms[1] - terms[0])))

    def spread_nats(self, original: Array) -> float:
        """Returns how much log p(x|z) differs from item to item, as the standard deviation that its quartiles have.

        Of images it is 0: their limits do not depend on it.

        Args:
            original: The original's outputs `[N, ...]` for the golden latents; the first M belong to `x`.
        """
        if self.vae.data is DataKind.IMAGE:
            return 0.0
        nats = self.log_likelihoods(original[: len(self.x)].reshape(self.x.shape))
        low, high = np.quantile(nats, (0.25, 0.75))
        return float(high - low) / _QUARTILES

    def log_likelihoods(self, decoded: Array) -> DoubleArray:
        """Returns log p(x|z) of every item, `[M]`, for what was decoded for it, `[M, *data_shape]`.

        Raises:
            SpecError: the likelihood is not known.
        """
        few = chunks(len(decoded), decoded[0].size)
        return np.concatenate([self._log_likelihood(part, decoded[part]) for part in few])

    def _log_likelihood(self, part: slice, decoded: Array) -> DoubleArray:
        likelihood = self.vae.likelihood
        if self.vae.data is not DataKind.IMAGE:
            return log_likelihood(self.vae, self.x[part], decoded)
        if likelihood is Likelihood.BERNOULLI:
            return bernoulli_log_likelihood(self.x[part], decoded)
        x = self.x[part].astype(np.float64) / 255
        if likelihood is Likelihood.GAUSSIAN and self.vae.noise_scale:
            return gaussian_log_likelihood(x, decoded, self.vae.noise_scale)
        if likelihood is Likelihood.DISCRETIZED_LOGISTIC and self.log_scale is not None:
            return discretized_logistic_log_likelihood(x, decoded, self.log_scale[part])
        raise SpecError(f"a change of the ELBO needs a known likelihood, got {likelihood}")


def has_elbo(vae: VaeSpec) -> bool:
    """Whether the change of the ELBO can be computed, which needs a known likelihood and, of other data, its noise."""
    if vae.data is DataKind.IMAGE:
        return vae.likelihood is not Likelihood.UNKNOWN
    reals = [channel for channel in vae.channels if channel.kind is ChannelKind.REAL]
    return bool(vae.channels) and vae.likelihood in _OF_CHANNELS and all(channel.noise_scale for channel in reals)


_OF_CHANNELS = (Likelihood.GAUSSIAN, Likelihood.STUDENT_T, Likelihood.MIXED)


def log_likelihood(vae: VaeSpec, x: Array, decoded: Array) -> DoubleArray:
    """Returns log p(x|z) of sequences or vectors, `[N]`; see `channel_log_likelihoods`.

    Args:
        vae: Of which `has_elbo` holds.
        x: `[N, *data_shape]` in units of the model, categories one-hot.
        decoded: What a decoder returns, the same shape.
    """
    return np.asarray(channel_log_likelihoods(vae, x, decoded).sum(axis=1))


def channel_log_likelihoods(vae: VaeSpec, x: Array, decoded: Array) -> DoubleArray:
    """Returns log p(x|z) of each channel, summed over time, `[N, K]` for K channels.

    Densities are those of values in units of the model: adding log(scale) of a real channel for every time step gives
    them in its own unit.

    Args:
        vae: See `log_likelihood`.
        x: See `log_likelihood`.
        decoded: Means of real numbers, probabilities of binary ones and of categories.
    """
    terms = [
        _sum(_of_channel(vae, channel, x[..., part].astype(np.float64), decoded[..., part].astype(np.float64)))
        for channel, part in places(vae.channels)
    ]
    return np.stack(terms, axis=1)


def places(channels: Sequence[Channel]) -> Iterator[tuple[Channel, slice]]:
    """Yields each channel with its values in the last dimension."""
    start = 0
    for channel in channels:
        yield channel, slice(start, start + channel.width)
        start += channel.width


def _of_channel(vae: VaeSpec, channel: Channel, x: DoubleArray, decoded: DoubleArray) -> DoubleArray:
    if channel.kind is ChannelKind.REAL:
        scale = channel.noise_scale or 1.0
        if vae.degrees_of_freedom is not None:
            return student_t_log_density(x, decoded, scale, vae.degrees_of_freedom)
        return np.asarray(-0.5 * (np.square((x - decoded) / scale) + np.log(2 * np.pi * scale**2)))
    p = np.clip(decoded, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    if channel.kind is ChannelKind.BINARY:
        return np.asarray(x * np.log(p) + (1 - x) * np.log1p(-p))
    return np.asarray(x * np.log(p))


def student_t_log_density(x: Array, mean: Array, scale: float, degrees: float) -> DoubleArray:
    """Returns the log-density of Student's t distribution, value by value.

    Args:
        x: Any shape.
        mean: Location, the same shape.
        scale: Scale.
        degrees: Degrees of freedom.
    """
    constant = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    return np.asarray(
        constant - math.log(scale) - 0.5 * (degrees + 1) * np.log1p(np.square((x - mean) / scale) / degrees)
    )


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


def own_noise_log_likelihood(vae: VaeSpec, x: Array, outputs: Mapping[str, Array]) -> DoubleArray:
    """Returns log p(x|z), Gaussian, of a decoder that returns its noise, `[N]`.

    Densities are those of an image's pixels from 0 to 1, and of other data in units of the model.

    Args:
        vae: With an output of noise, `own_noise`.
        x: `[N, *data_shape]` in units of the model.
        outputs: What the decoder returns, by name; its data `[N, *data_shape]`.

    Raises:
        SpecError: the decoder returns no noise.
    """
    noise = vae.own_noise
    if noise is None:
        raise SpecError("the decoder returns no noise of p(x|z)")
    mean = outputs[vae.output].astype(np.float64).reshape(x.shape)
    values = outputs[noise.name].astype(np.float64)
    # Noise of one number an item has no axis but that of the items; that of a flat decoder is flat, as its data are.
    is_full = values.size == x.size
    values = values.reshape(x.shape if is_full else (len(values), *(1,) * (x.ndim - values.ndim), *values.shape[1:]))
    scale = np.maximum(_DEVIATIONS[noise.meaning](values), _LEAST_NOISE * vae.range_span)
    unit = vae.range_span if vae.data is DataKind.IMAGE else 1.0
    return _sum(-0.5 * np.square((x - mean) / scale) - np.log(scale / unit) - 0.5 * math.log(2 * math.pi))


_DEVIATIONS: dict[Meaning, Callable[[DoubleArray], DoubleArray]] = {
    Meaning.LOG_VAR: lambda values: np.exp(0.5 * values),
    Meaning.LOG_STD: np.exp,
    Meaning.VAR: lambda values: np.sqrt(np.maximum(values, 0.0)),
    Meaning.STD: lambda values: values,
}
# A share of the range; a quantized standard deviation may be 0.
_LEAST_NOISE = 1e-4


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
