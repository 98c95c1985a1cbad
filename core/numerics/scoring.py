"""The anomaly score that a `scorer` computes: the negative ELBO at the posterior's mean, one pass and no chance.

-log p(x|z_mean) + KL(q(z|x) || N(0, I)) in nats. The formula is written once, for numpy and for the graphs of exported
files; see `Operations`. Nothing in it is random, so that one call of encoder and decoder is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pocketvae.fields import Channel, ChannelKind
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

Doubles = npt.NDArray[np.float64]
# A quantized sigmoid has steps of 1/256 and reaches 0; clipped half a step from either end, its logarithm is finite and
# the same in every precision.
CLOSEST = 1 / 512
# The name of the score in manifests and in `pocketvae score`.
SCORE_KIND = "elbo_at_mean"
DEFAULT_FALSE_POSITIVE_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a scorer decides.

    Attributes:
        kind: What it computes: `elbo_at_mean`, without the KL term where there is no posterior.
        threshold: In nats; a larger score is an alarm.
        false_positive_rate: The largest expected share of other normal items above the threshold.
        fitted_items: Number of held-out normal items that the threshold was fitted to.
        noise_scales: Standard deviation of every value of the last dimension, of images all together, in units of the
            model, where the VAE does not say it; else empty.
    """

    __pydantic_config__ = STRICT
    kind: str = SCORE_KIND
    threshold: float
    false_positive_rate: float
    fitted_items: int
    noise_scales: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The likelihood of every value of the last dimension, W.

    Attributes:
        inverse: `[W]`, by which a difference is multiplied before it is squared; 0 where the value is no real number.
        constant: `[W]`, what does not depend on the data, in nats.
        tails: (degrees of freedom + 1) / 2 of a Student's t; 0 for Gaussians.
        binary: `[W]`, 1 where the value is 0 or 1, and the decoder returns the probability of 1.
        category: `[W]`, 1 where the value is one of a category's.
        widths: How many values belong to each channel.
    """

    inverse: Doubles
    constant: Doubles
    tails: float
    binary: Doubles
    category: Doubles
    widths: tuple[int, ...]


class Operations(Protocol):
    """What the formula needs, of arrays or of tensors in a graph."""

    def log(self, values: Any) -> Any:
        """Returns the natural logarithm."""

    def exp(self, values: Any) -> Any:
        """Returns the exponential function."""

    def clip(self, values: Any, low: float, high: float) -> Any:
        """Returns the values within two limits."""

    def total(self, values: Any, axes: tuple[int, ...], *, keep: bool = False) -> Any:
        """Returns sums over axes."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Returns parts `[N, ...]` one after another in the second dimension."""

    def constant(self, values: Any) -> Any:
        """Returns numbers in the type of the data."""


class ArrayOperations:
    """`Operations` on numpy arrays, in float64."""

    def log(self, values: Any) -> Any:
        """See `Operations.log`."""
        return np.log(values)

    def exp(self, values: Any) -> Any:
        """See `Operations.exp`."""
        return np.exp(values)

    def clip(self, values: Any, low: float, high: float) -> Any:
        """See `Operations.clip`."""
        return np.clip(values, low, high)

    def total(self, values: Any, axes: tuple[int, ...], *, keep: bool = False) -> Any:
        """See `Operations.total`."""
        return np.sum(values, axis=axes, keepdims=keep)

    def join(self, parts: Sequence[Any]) -> Any:
        """See `Operations.join`."""
        return np.concatenate(list(parts), axis=1)

    def constant(self, values: Any) -> Any:
        """See `Operations.constant`."""
        return np.asarray(values, np.float64)


def needs_noise_scales(vae: VaeSpec) -> bool:
    """Whether the noise of p(x|z) has to be measured: the VAE does not say it, or an artifact does not return it."""
    if vae.likelihood is Likelihood.BERNOULLI:
        return False
    if vae.channels and vae.likelihood is not Likelihood.UNKNOWN:
        return any(channel.kind is ChannelKind.REAL and channel.noise_scale is None for channel in vae.channels)
    return vae.likelihood is not Likelihood.GAUSSIAN or vae.noise_scale is None


def measured_noise_scales(vae: VaeSpec, x: npt.NDArray[Any], decoded: npt.NDArray[Any]) -> tuple[float, ...]:
    """Returns the noise of p(x|z): the root mean square of reconstruction errors, in units of the model.

    Args:
        vae: Of data `data_shape`.
        x: `[N, ...]` normal items.
        decoded: `[N, ...]`, decoded from the means of their posteriors.

    Returns:
        One for each value of the last dimension; of images and volumes one for all.
    """
    shape = (-1, *vae.data_shape)
    error = x.reshape(shape).astype(np.float64) - decoded.reshape(shape)
    pooled = vae.data in (DataKind.IMAGE, DataKind.VOLUME)
    axes = None if pooled else tuple(range(error.ndim - 1))
    scales = np.atleast_1d(np.sqrt(np.square(error).mean(axis=axes)))
    # A value that never changes is reconstructed without an error; 1e-3 of the others' keeps its weight finite.
    floor = 1e-3 * float(scales.max()) or 1e-3 * vae.range_span
    return tuple(float(scale) for scale in np.maximum(scales, floor))


def columns_of(vae: VaeSpec, noise_scales: Sequence[float] = ()) -> Columns:
    """Returns the likelihood of every value of the last dimension.

    Args:
        vae: Says the likelihood; a discretized logistic is taken as a Gaussian, since artifacts do not return its
            scales.
        noise_scales: See `Scoring.noise_scales`.
    """
    width = vae.data_shape[-1]
    channels = vae.channels or tuple(Channel() for _ in range(width))
    if vae.likelihood is Likelihood.BERNOULLI:
        ones, none = np.ones(width), np.zeros(width)
        widths = tuple(channel.width for channel in channels)
        return Columns(inverse=none, constant=none, tails=0.0, binary=ones, category=none, widths=widths)
    kinds = np.repeat([channel.kind for channel in channels], [channel.width for channel in channels])
    is_real = kinds == ChannelKind.REAL
    scales = np.where(is_real, _scales(vae, channels, noise_scales), 1.0)
    # Pixels have their density from 0 to 1, whatever the model's range; other data in units of the model.
    unit = vae.range_span if vae.data is DataKind.IMAGE else 1.0
    degrees = vae.degrees_of_freedom
    if degrees is None:
        spread, constant, tails = math.sqrt(2), 0.5 * math.log(2 * math.pi), 0.0
    else:
        spread, tails = math.sqrt(degrees), (degrees + 1) / 2
        constant = 0.5 * math.log(degrees * math.pi) + math.lgamma(degrees / 2) - math.lgamma(tails)
    return Columns(
        inverse=np.where(is_real, 1 / (spread * scales), 0.0),
        constant=np.where(is_real, np.log(scales / unit) + constant, 0.0),
        tails=tails,
        binary=(kinds == ChannelKind.BINARY).astype(np.float64),
        category=(kinds == ChannelKind.CATEGORY).astype(np.float64),
        widths=tuple(channel.width for channel in channels),
    )


def _scales(vae: VaeSpec, channels: Sequence[Channel], noise_scales: Sequence[float]) -> Doubles:
    width = vae.data_shape[-1]
    if noise_scales:
        return np.broadcast_to(np.asarray(noise_scales, np.float64), (width,))
    if vae.channels:
        return np.repeat([channel.noise_scale or 1.0 for channel in channels], [channel.width for channel in channels])
    return np.full(width, (vae.noise_scale or 1.0) * vae.range_span)


def reconstruction_parts(operations: Operations, x: Any, decoded: Any, columns: Columns) -> Any:
    """Returns -log p(x|z) of each channel in nats, `[N, C]`.

    Args:
        operations: What to compute with.
        x: `[N, ..., W]` in units of the model.
        decoded: `[N, ..., W]`, what the decoder returns for z.
        columns: The likelihood of each of the W values.
    """
    *inner, width = x.shape[1:]
    parts = [*_real(operations, x, decoded, columns), *_discrete(operations, x, decoded, columns)]
    nats = parts[0]
    for part in parts[1:]:
        nats = nats + part
    if inner:
        nats = operations.total(nats, tuple(range(1, len(inner) + 1)))
    if columns.constant.any():
        nats = nats + operations.constant(columns.constant * math.prod(inner))
    if columns.widths == (1,) * width:
        return nats
    ends = np.cumsum(columns.widths)
    return operations.join(
        [
            operations.total(nats[:, end - size : end], (1,), keep=True)
            for end, size in zip(ends.tolist(), columns.widths, strict=True)
        ]
    )


def _real(operations: Operations, x: Any, decoded: Any, columns: Columns) -> list[Any]:
    if not columns.inverse.any():
        return []
    distance = (x - decoded) * operations.constant(columns.inverse)
    square = distance * distance
    return [operations.log(square + 1.0) * columns.tails if columns.tails else square]


def _discrete(operations: Operations, x: Any, decoded: Any, columns: Columns) -> list[Any]:
    known = columns.binary + columns.category
    if not known.any():
        return []
    probability = operations.clip(decoded, CLOSEST, 1 - CLOSEST)
    found = [x * operations.log(probability) * operations.constant(-known)]
    if columns.binary.any():
        found.append((1.0 - x) * operations.log(1.0 - probability) * operations.constant(-columns.binary))
    return found


def kl_parts(operations: Operations, z_mean: Any, z_log_var: Any) -> Any:
    """Returns KL(q(z|x) || N(0, I)) in nats, `[N]`, of means and log-variances `[N, ...]` of one latent."""
    axes = tuple(range(1, len(z_mean.shape)))
    return 0.5 * operations.total(operations.exp(z_log_var) + z_mean * z_mean - 1.0 - z_log_var, axes)


def at_mean_nats(
    vae: VaeSpec,
    x: npt.NDArray[Any],
    decoded: npt.NDArray[Any],
    means: npt.NDArray[Any],
    log_variances: npt.NDArray[Any] | None,
    noise_scales: Sequence[float] = (),
) -> tuple[Doubles, Doubles]:
    """Returns the score of N items in nats, `[N]`, and the reconstruction's part of it by channel, `[N, C]`.

    Args:
        vae: Says the likelihood.
        x: `[N, ...]` in units of the model.
        decoded: `[N, ...]`, decoded from the means.
        means: `[N, D]`.
        log_variances: `[N, D]`; None without a posterior.
        noise_scales: See `Scoring.noise_scales`.
    """
    shape, operations = (len(x), *vae.data_shape), ArrayOperations()
    both = [np.asarray(values, np.float64).reshape(shape) for values in (x, decoded)]
    with np.errstate(over="ignore", invalid="ignore"):  # of an item that the model cannot compute with
        parts = reconstruction_parts(operations, both[0], both[1], columns_of(vae, noise_scales))
        score = parts.sum(axis=1)
        if log_variances is not None:
            score = score + kl_parts(operations, means.astype(np.float64), log_variances.astype(np.float64))
    return score, parts
