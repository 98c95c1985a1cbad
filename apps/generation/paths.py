"""Paths through latent space: between latents, and along one dimension at a time."""

from __future__ import annotations

import enum
import math

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, ManifestError, SpecError
from pocketvae.models.components import Decoder
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.chunks import chunks
from pocketvae.numerics.latents import means_of, real_columns
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec

Doubles = npt.NDArray[np.float64]

# Below this angle the spherical formula divides by almost zero, and the path is a straight line anyway.
_SMALL_ANGLE = 1e-4
# A spatial latent has thousands of dimensions; each takes two images to measure.
_MOST_MEASURED = 256


class LatentPath(enum.StrEnum):
    """The path from one latent to the next.

    LINEAR: a straight line, whose middle is unlikely under N(0, I). SPHERICAL: along a great circle, with interpolated
    norms (Shoemake 1985; White 2016, "Sampling generative networks").
    """

    LINEAR = "linear"
    SPHERICAL = "spherical"


def between(start: FloatArray, end: FloatArray, steps: int, path: LatentPath) -> FloatArray:
    """Returns `[steps, D] float32` latents from `start` to `end`, both included.

    Raises:
        DataError: `steps` is below 2.
    """
    if steps < 2:
        raise DataError(f"an interpolation needs at least 2 steps, got {steps}")
    shares = np.linspace(0, 1, steps)[:, None]
    first, last = start.astype(np.float64), end.astype(np.float64)
    straight = path is LatentPath.LINEAR
    latents = (1 - shares) * first + shares * last if straight else _spherical(first, last, shares)
    # The ends are exactly the given latents, without rounding.
    latents[0], latents[-1] = first, last
    return latents.astype(np.float32)


def tour(stops: FloatArray, steps: int, path: LatentPath) -> FloatArray:
    """Returns latents through all stops, `[(N - 1) * (steps - 1) + 1, D]`: every stop appears once.

    Raises:
        DataError: there are fewer than two stops, or `steps` is below 2.
    """
    if len(stops) < 2:
        raise DataError(f"an interpolation needs at least 2 latents, got {len(stops)}")
    legs = [between(stops[i], stops[i + 1], steps, path) for i in range(len(stops) - 1)]
    return np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])


def walk(stops: FloatArray, steps: int, path: LatentPath, vae: VaeSpec) -> FloatArray:
    """Returns `tour` through the real numbers of all stops, with the codes beside them those of the nearest stop.

    Raises:
        DataError: there are fewer than two stops, or `steps` is below 2.
    """
    real = real_columns(vae)
    walked = tour(stops[:, real], steps, path)
    nearest = np.floor(np.arange(len(walked)) / (steps - 1) + 0.5).astype(int)
    latents: FloatArray = stops[nearest].astype(np.float32)
    latents[:, real] = walked
    return latents


def along(centre: FloatArray, dimension: int, span: float, steps: int) -> FloatArray:
    """Returns latents `[steps, D]` in which one coordinate goes from -span to span while the others stay fixed."""
    latents = np.repeat(centre[None], steps, axis=0)
    latents[:, dimension] = np.linspace(-span, span, steps, dtype=np.float32)
    return latents


def check_continuous(vae: VaeSpec, what: str) -> None:
    """Checks that there are latents of real numbers.

    Raises:
        SpecError: all are integer codes, between which nothing lies.
    """
    if vae.is_discrete:
        raise SpecError(
            f"{what} needs latents of real numbers, but this VAE has {vae.codes} integer codes: use generate"
        )


def activity(bundle: ModelBundle, decoder: Decoder, label: int | None = None) -> FloatArray:
    """Returns the activity of each latent dimension, `[D]`; higher is more active, and 0 of codes.

    It is the variance of the posterior's mean over the encoder's golden images (Burda et al. 2016); for a bundle
    without an encoder, the mean squared change of the decoded image as the coordinate goes from -1 to 1, for the first
    256 coordinates; 0 for the rest.
    """
    try:
        means = means_of(bundle.bundle.goldens(Component.ENCODER).outputs, bundle.vae)
    except ManifestError:
        return _sensitivity(decoder, label)
    active = np.zeros(bundle.vae.latent_dim, np.float32)
    active[real_columns(bundle.vae)] = np.var(means.astype(np.float64), axis=0)
    return active


def _sensitivity(decoder: Decoder, label: int | None) -> FloatArray:
    size, measured = math.prod(decoder.vae.data_shape), real_columns(decoder.vae)[:_MOST_MEASURED]
    unit = np.zeros((len(measured), decoder.vae.latent_dim), np.float32)
    unit[np.arange(len(measured)), measured] = 1
    changes = (
        decoder.decode(unit[part], label) - decoder.decode(-unit[part], label) for part in chunks(len(unit), 2 * size)
    )
    active = np.zeros(decoder.vae.latent_dim, np.float32)
    active[measured] = np.concatenate([np.square(change).reshape(len(change), -1).mean(axis=1) for change in changes])
    return active


def _spherical(first: Doubles, last: Doubles, shares: Doubles) -> Doubles:
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    straight: Doubles = (1 - shares) * first + shares * last
    if min(lengths) == 0:
        return straight
    cosine = float(np.clip(np.dot(first / lengths[0], last / lengths[1]), -1, 1))
    angle = np.arccos(cosine)
    # There is no unique great circle between opposite latents.
    if angle < _SMALL_ANGLE or np.pi - angle < _SMALL_ANGLE:
        return straight
    sine = np.sin(angle)
    curved: Doubles = (np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last) / sine
    return curved
