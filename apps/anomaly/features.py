"""Features of an item from forward passes of encoder and decoder, which all anomaly scores are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.offsets import has_offsets, mean_errors
from pocketvae.apps.choice import Choice
from pocketvae.apps.sources import SourceImages
from pocketvae.data.pictures import png_bytes
from pocketvae.errors import NotFiniteValuesError, SpecError
from pocketvae.models.components import Decoder, Encoder, Posterior
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.gaussian import kl_to_standard_normal, reparameterize
from pocketvae.numerics.likelihoods import has_elbo, own_noise_log_likelihood
from pocketvae.numerics.noise import normal_noise
from pocketvae.numerics.scoring import ArrayOperations, Scoring, at_mean_nats, columns_of, reconstruction_parts
from pocketvae.numerics.spectrogram import model_items
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

Doubles = npt.NDArray[np.float64]
_CHUNK = 64
# A quantized sigmoid has steps of 1/256 and reaches 0; clipped half a step from either end, its logarithm is finite.
_CLOSEST = 1 / 512
# Steps of a pixel from black to white.
_LEVELS = 255
_MOST_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How latents are drawn for the scores that need them.

    Attributes:
        samples: L, latents per item.
        seed: Seed of their noise, which is the same for every item, so that a score depends only on the item.
    """

    samples: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= _MOST_SAMPLES:
            raise SpecError(f"samples must be at least 1 and at most {_MOST_SAMPLES}, got {self.samples}")

    def noise(self, dim: int) -> npt.NDArray[np.float32]:
        """Returns `[L, D] float32`."""
        return normal_noise(self.seed, np.arange(self.samples), dim)


@dataclass(frozen=True, kw_only=True)
class Features:
    """Of N items. Errors are of values that are scaled from the VAE's range to 0 and 1, as pixels are.

    Attributes:
        square_error: `[N]`, sum over values, of what is decoded from the posterior's mean.
        sampled_square_error: `[N]`, the square error, mean over L latents of the posterior; without one, of the latent.
        mean_norm: `[N]`, the norm of the posterior's mean.
        pixels: Values of an item, H * W * C of an image.
        kl_nats: `[N]`, KL(q(z|x) || N(0, I)); None without a posterior.
        mean_variance: `[N]`, the mean of its variances over dimensions; None without a posterior.
        cross_entropy_nats: `[N]`, sum over pixels, mean over L latents, pixels being probabilities; of images alone.
        own_noise_nats: `[N]`, -log p(x|z) with the noise that the decoder returns, mean over L latents; of those that
            return it.
        channel_nats: `[N]`, -log p(x|z) with the noise of each channel, mean over L latents; see `has_channel_noise`.
        png_bits: `[N]`, the length of the image as PNG; of images alone.
        at_mean_nats: `[N]`, what a `scorer` computes; of bundles that have one.
        offsets: `[N, C]`, the mean error of each channel; of sequences and tables, see `has_offsets`.
    """

    square_error: Doubles
    sampled_square_error: Doubles
    mean_norm: Doubles
    pixels: int
    kl_nats: Doubles | None = None
    mean_variance: Doubles | None = None
    cross_entropy_nats: Doubles | None = None
    own_noise_nats: Doubles | None = None
    channel_nats: Doubles | None = None
    png_bits: Doubles | None = None
    at_mean_nats: Doubles | None = None
    offsets: Doubles | None = None

    @property
    def beyond(self) -> npt.NDArray[np.bool_]:
        """`[N]`, whether an item is so far from the training data that a feature is not a finite number."""
        values = (self.square_error, self.sampled_square_error, self.mean_norm, self.kl_nats, self.mean_variance)
        finite: npt.NDArray[np.bool_] = np.isfinite(np.stack([column for column in values if column is not None]))
        return np.asarray(~finite.all(axis=0))

    def log_triple(self) -> Doubles:
        """Returns `[N, 3]`: log square error, |z_mean|, log mean z_var; nearly Gaussian for normal items.

        Raises:
            SpecError: there are no posteriors.
        """
        if self.mean_variance is None:
            raise SpecError("the score density needs posteriors, but the encoder is deterministic and has none")
        tiny = np.finfo(np.float64).tiny
        columns = (np.log(self.square_error + tiny), self.mean_norm, np.log(self.mean_variance + tiny))
        return np.stack(columns, axis=1)

    def reconstruction_nats(self, vae: VaeSpec, noise_scale: float | None) -> Doubles:
        """Returns -log p(x|z) up to a constant, mean over L latents, `[N]`.

        Bernoulli: the cross-entropy. Of a decoder that returns its noise: the density of Gaussians with it. Without a
        `noise_scale`: the VAE's own, with the noise of each channel. All others: the density of a Gaussian with one
        standard deviation. Of an image's pixels from 0 to 1, of other data in their unit.

        Raises:
            SpecError: there is no `noise_scale`, and the noise of the channels is not known.
        """
        if vae.likelihood is Likelihood.BERNOULLI and self.cross_entropy_nats is not None:
            return self.cross_entropy_nats
        if self.own_noise_nats is not None:
            return self.own_noise_nats
        if noise_scale is None:
            if self.channel_nats is None:
                raise SpecError("noise_scale must be given where the VAE does not say the noise of each channel")
            return self.channel_nats
        span = 1.0 if vae.data is DataKind.IMAGE else vae.range_span
        gaussian: Doubles = self.pixel_nats(noise_scale) + self.pixels * (np.log(span) - np.log(_LEVELS))
        return gaussian

    def pixel_nats(self, noise_scale: float) -> Doubles:
        """Returns -log of the probability of 8-bit pixels, Gaussian with one standard deviation, `[N]`."""
        constant = self.pixels * (0.5 * np.log(2 * np.pi * noise_scale**2) + np.log(_LEVELS))
        nats: Doubles = 0.5 * self.sampled_square_error / noise_scale**2 + constant
        return nats


def has_channel_noise(vae: VaeSpec) -> bool:
    """Whether a VAE of sequences or vectors says p(x|z) with the noise of each channel, which no output replaces."""
    return vae.data is not DataKind.IMAGE and vae.own_noise is None and has_elbo(vae)


def image_features(
    bundle: ModelBundle,
    source: SourceImages,
    choice: Choice,
    sampling: Sampling,
    label: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Features:
    """Computes the features of images or other data; infinite ones of items that the model cannot compute with.

    Raises:
        ManifestError: the bundle has no encoder or no decoder of the precision.
        NotFiniteValuesError: the model returns such values for an item in the range of the training data.
        SpecError: the label does not fit the VAE.
        DataError: there are no items, or images that are no pixels.
    """
    source.check(bundle.vae)
    encoder, decoder = choice.encoder(bundle), choice.decoder(bundle)
    noise, scoring = sampling.noise(bundle.vae.latent_dim), bundle.scoring
    labels = source.labels_for(bundle.vae, label)
    parts: list[dict[str, Doubles]] = []
    for first in range(0, len(source), _CHUNK):
        part = slice(first, first + _CHUNK)
        own = labels[part] if isinstance(labels, np.ndarray) else labels
        with np.errstate(over="ignore", invalid="ignore"):  # Such an item is beyond, and is named as that.
            parts.append(_found(encoder, decoder, source.images[part], noise, own, scoring))
        progress(Progress(stage="scoring", done=min(first + _CHUNK, len(source)), total=len(source)))
    joined = {name: np.concatenate([values[name] for values in parts]) for name in parts[0]}
    return Features(**joined, pixels=int(np.prod(bundle.vae.data_shape)))


def _found(
    encoder: Encoder,
    decoder: Decoder,
    items: npt.NDArray[Any],
    noise: npt.NDArray[np.float32],
    label: npt.NDArray[np.int32] | int | None,
    scoring: Scoring | None = None,
) -> dict[str, Doubles]:
    """Returns the features of all items, looking for those that the model cannot compute with by halving."""
    try:
        return _chunk(encoder, decoder, items, noise, label, scoring)
    except NotFiniteValuesError:
        if not _leaves_range(items, decoder.vae):
            raise
    if len(items) == 1:
        names = ["square_error", "sampled_square_error", "mean_norm"]
        names += ["kl_nats", "mean_variance"] if decoder.vae.has_posterior else []
        names += ["own_noise_nats"] if decoder.vae.own_noise else []
        names += ["channel_nats"] if has_channel_noise(decoder.vae) else []
        names += ["at_mean_nats"] if scoring else []
        beyond = {name: np.full(1, np.inf) for name in names}
        width = decoder.vae.data_shape[-1]
        return beyond | ({"offsets": np.full((1, width), np.inf)} if has_offsets(decoder.vae) else {})
    half = len(items) // 2
    parts = [
        _found(encoder, decoder, items[part], noise, label[part] if isinstance(label, np.ndarray) else label, scoring)
        for part in (slice(half), slice(half, None))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _leaves_range(items: npt.NDArray[Any], vae: VaeSpec) -> bool:
    low, high = vae.input_range
    return vae.data is not DataKind.IMAGE and bool((items < low).any() or (items > high).any())


def _chunk(
    encoder: Encoder,
    decoder: Decoder,
    items: npt.NDArray[Any],
    noise: npt.NDArray[np.float32],
    label: npt.NDArray[np.int32] | int | None,
    scoring: Scoring | None = None,
) -> dict[str, Doubles]:
    posterior, vae = encoder.encode(items, label), decoder.vae
    is_image, items = vae.data is DataKind.IMAGE, model_items(items, vae)
    target = items.astype(np.float64) / 255 if is_image else _unit(vae, items)
    x = vae.data_range[0] + vae.range_span * target if is_image else items
    outputs = decoder.decode_all(posterior.z_mean, label)
    of_mean = outputs[vae.output]
    at_mean = _square_error(target, _unit(vae, of_mean))
    found = {"square_error": at_mean, "mean_norm": np.linalg.norm(posterior.z_mean.astype(np.float64), axis=1)}
    if scoring:
        found["at_mean_nats"], _ = at_mean_nats(
            vae, x, of_mean, posterior.z_mean, posterior.z_log_var, scoring.noise_scales
        )
    if has_offsets(vae):
        found["offsets"] = mean_errors(target, _unit(vae, of_mean))
    if is_image:
        found["png_bits"] = np.array([8.0 * len(png_bytes(image)) for image in items])
    if posterior.z_log_var is None or not vae.has_posterior:  # Of codes it is minus infinity.
        return {**found, **_noise_nats(vae, x, outputs), "sampled_square_error": at_mean}
    z_mean, z_log_var = posterior.z_mean.astype(np.float64), posterior.z_log_var.astype(np.float64)
    found["kl_nats"] = np.asarray(kl_to_standard_normal(z_mean, z_log_var), np.float64)
    found["mean_variance"] = np.exp(z_log_var).mean(axis=1)
    means: dict[str, Doubles] = {}
    for z in _latents(posterior, posterior.z_log_var, noise):
        drawn = _of_draw(vae, x, target, decoder.decode_all(z, label))
        means = {name: means.get(name, np.zeros(len(items))) + values / len(noise) for name, values in drawn.items()}
    return {**found, **means}


def _of_draw(
    vae: VaeSpec, x: npt.NDArray[Any], target: Doubles, outputs: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, Doubles]:
    """Returns the features of what was decoded from one draw of each item's posterior."""
    decoded = _unit(vae, outputs[vae.output])
    found = {"sampled_square_error": _square_error(target, decoded)}
    if vae.data is DataKind.IMAGE:
        found["cross_entropy_nats"] = _cross_entropy(target, decoded)
    return {**found, **_noise_nats(vae, x, outputs)}


def _noise_nats(
    vae: VaeSpec, x: npt.NDArray[Any], outputs: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, Doubles]:
    """Returns -log p(x|z) where the decoder returns its noise, or the VAE says that of each channel."""
    if vae.own_noise:
        return {"own_noise_nats": -own_noise_log_likelihood(vae, x, outputs)}
    if not has_channel_noise(vae):
        return {}
    shape = (len(x), *vae.data_shape)
    target, decoded = (values.astype(np.float64).reshape(shape) for values in (x, outputs[vae.output]))
    # As a scorer computes it, which clips probabilities so that integers have the same.
    parts = reconstruction_parts(ArrayOperations(), target, decoded, columns_of(vae))
    return {"channel_nats": np.asarray(parts.sum(axis=1))}


def _latents(
    posterior: Posterior, log_variances: npt.NDArray[np.float32], noise: npt.NDArray[np.float32]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yields `[N, D]` latents of the posteriors, for each row of noise."""
    for eps in noise:
        yield reparameterize(posterior.z_mean, log_variances, eps[None]).astype(np.float32)


def _unit(vae: VaeSpec, items: npt.NDArray[Any]) -> Doubles:
    low, high = vae.data_range
    return (items.astype(np.float64) - low) / (high - low)


def _cross_entropy(target: Doubles, decoded: Doubles) -> Doubles:
    probability = np.clip(decoded, _CLOSEST, 1 - _CLOSEST)
    terms = target * np.log(probability) + (1 - target) * np.log1p(-probability)
    return np.asarray(-terms.sum(axis=(1, 2, 3)))


def _square_error(target: Doubles, decoded: Doubles) -> Doubles:
    return np.asarray(np.square(target - decoded).reshape(len(target), -1).sum(axis=1))
