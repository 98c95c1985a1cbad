"""Features of an image from forward passes of encoder and decoder, which all anomaly scores are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.apps.choice import Choice
from pocketvae.apps.sources import SourceImages
from pocketvae.data.pictures import png_bytes
from pocketvae.errors import SpecError
from pocketvae.models.components import Decoder, Encoder
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.gaussian import kl_to_standard_normal, reparameterize
from pocketvae.numerics.noise import normal_noise
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.vae_spec import Likelihood, VaeSpec

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
        samples: L, latents per image.
        seed: Seed of their noise, which is the same for every image, so that a score depends only on the image.
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
    """Of N images.

    Attributes:
        square_error: `[N]`, sum over pixels, of the image decoded from the posterior's mean; pixels in [0, 1].
        cross_entropy_nats: `[N]`, sum over pixels, mean over L latents of the posterior, pixels being probabilities.
        sampled_square_error: `[N]`, the square error, mean over L latents.
        kl_nats: `[N]`, KL(q(z|x) || N(0, I)).
        mean_norm: `[N]`, the norm of the posterior's mean.
        mean_variance: `[N]`, the mean of its variances over dimensions.
        png_bits: `[N]`, the length of the image as PNG.
        pixels: H * W * C.
    """

    square_error: Doubles
    cross_entropy_nats: Doubles
    sampled_square_error: Doubles
    kl_nats: Doubles
    mean_norm: Doubles
    mean_variance: Doubles
    png_bits: Doubles
    pixels: int

    def log_triple(self) -> Doubles:
        """Returns `[N, 3]`: log square error, |z_mean|, log mean z_var; nearly Gaussian for normal images."""
        tiny = np.finfo(np.float64).tiny
        columns = (np.log(self.square_error + tiny), self.mean_norm, np.log(self.mean_variance + tiny))
        return np.stack(columns, axis=1)

    def reconstruction_nats(self, vae: VaeSpec, noise_scale: float) -> Doubles:
        """Returns -log p(x|z) up to a constant, mean over L latents, `[N]`.

        Bernoulli: the cross-entropy. All others: a Gaussian with one standard deviation.
        """
        if vae.likelihood is Likelihood.BERNOULLI:
            return self.cross_entropy_nats
        gaussian: Doubles = self.pixel_nats(noise_scale) - self.pixels * np.log(_LEVELS)
        return gaussian

    def pixel_nats(self, noise_scale: float) -> Doubles:
        """Returns -log of the probability of 8-bit pixels, Gaussian with one standard deviation, `[N]`."""
        constant = self.pixels * (0.5 * np.log(2 * np.pi * noise_scale**2) + np.log(_LEVELS))
        nats: Doubles = 0.5 * self.sampled_square_error / noise_scale**2 + constant
        return nats


def image_features(
    bundle: ModelBundle,
    source: SourceImages,
    choice: Choice,
    sampling: Sampling,
    label: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Features:
    """Computes the features of images.

    Raises:
        ManifestError: the bundle has no encoder or no decoder of the precision.
        SpecError: the label does not fit the VAE.
    """
    bundle.vae.check_posterior("score")
    encoder, decoder = choice.encoder(bundle), choice.decoder(bundle)
    noise = sampling.noise(bundle.vae.latent_dim)
    labels = source.labels_for(bundle.vae, label)
    parts: list[dict[str, Doubles]] = []
    for first in range(0, len(source), _CHUNK):
        part = slice(first, first + _CHUNK)
        own = labels[part] if isinstance(labels, np.ndarray) else labels
        parts.append(_chunk(encoder, decoder, source.images[part], noise, own))
        progress(Progress(stage="scoring", done=min(first + _CHUNK, len(source)), total=len(source)))
    joined = {name: np.concatenate([values[name] for values in parts]) for name in parts[0]}
    return Features(**joined, pixels=int(np.prod(bundle.vae.image_shape)))


def _chunk(
    encoder: Encoder,
    decoder: Decoder,
    images: npt.NDArray[np.uint8],
    noise: npt.NDArray[np.float32],
    label: npt.NDArray[np.int32] | int | None,
) -> dict[str, Doubles]:
    posterior = encoder.encode(images, label)
    log_variances = posterior.log_variances()
    target = images.astype(np.float64) / 255
    entropy, error = np.zeros(len(images)), np.zeros(len(images))
    for eps in noise:
        z = reparameterize(posterior.z_mean, log_variances, eps[None]).astype(np.float32)
        decoded = _unit(decoder, decoder.decode(z, label))
        entropy += _cross_entropy(target, decoded) / len(noise)
        error += _square_error(target, decoded) / len(noise)
    z_mean, z_log_var = posterior.z_mean.astype(np.float64), log_variances.astype(np.float64)
    return {
        "square_error": _square_error(target, _unit(decoder, decoder.decode(posterior.z_mean, label))),
        "cross_entropy_nats": entropy,
        "sampled_square_error": error,
        "kl_nats": np.asarray(kl_to_standard_normal(z_mean, z_log_var), np.float64),
        "mean_norm": np.linalg.norm(z_mean, axis=1),
        "mean_variance": np.exp(z_log_var).mean(axis=1),
        "png_bits": np.array([8.0 * len(png_bytes(image)) for image in images]),
    }


def _unit(decoder: Decoder, images: npt.NDArray[np.float32]) -> Doubles:
    low, high = decoder.vae.data_range
    return (images.astype(np.float64) - low) / (high - low)


def _cross_entropy(target: Doubles, decoded: Doubles) -> Doubles:
    probability = np.clip(decoded, _CLOSEST, 1 - _CLOSEST)
    terms = target * np.log(probability) + (1 - target) * np.log1p(-probability)
    return np.asarray(-terms.sum(axis=(1, 2, 3)))


def _square_error(target: Doubles, decoded: Doubles) -> Doubles:
    return np.asarray(np.square(target - decoded).sum(axis=(1, 2, 3)))
