"""The latents and images that an export calibrates with and is tested on: pure, seeded, stratified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.gaussian import reparameterize
from pocketvae.images import to_unit_interval
from pocketvae.manifest import Stratum

FloatArray = npt.NDArray[np.float32]

CALIBRATION_PRIOR_COUNT, CALIBRATION_TAIL_COUNT = 256, 128
GOLDEN_POSTERIOR_COUNT, GOLDEN_PRIOR_COUNT, GOLDEN_TAIL_COUNT = 128, 128, 64
_TAIL_LOW, _TAIL_HIGH = 3.0, 4.0


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of several kinds in one array.

    Attributes:
        values: `[N, ...] float32`.
        strata: The kinds, in order, covering all N.
    """

    values: FloatArray
    strata: tuple[Stratum, ...]


def stack(parts: dict[str, FloatArray]) -> Samples:
    """Joins named parts in order; empty ones are left out."""
    kept = {name: part for name, part in parts.items() if len(part)}
    starts = np.cumsum([0, *(len(part) for part in kept.values())])
    strata = tuple(
        Stratum(name=name, start=int(start), count=len(part))
        for (name, part), start in zip(kept.items(), starts, strict=False)
    )
    return Samples(values=np.concatenate(list(kept.values())).astype(np.float32), strata=strata)


def posterior_latents(z_mean: FloatArray, z_log_var: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws one latent from each posterior, `[N, D]`."""
    eps = rng.standard_normal(z_mean.shape)
    return reparameterize(z_mean, z_log_var, eps).astype(np.float32)


def prior_latents(count: int, latent_dim: int, rng: np.random.Generator) -> FloatArray:
    """Draws latents from N(0, I), `[count, D]`."""
    return rng.standard_normal((count, latent_dim)).astype(np.float32)


def tail_latents(count: int, latent_dim: int, rng: np.random.Generator) -> FloatArray:
    """Draws latents from the prior with one coordinate each moved out to 3 <= |z| <= 4, `[count, D]`.

    One draw in 370 lies beyond 3 sigma in a given dimension, so with 16 dimensions one image in 23 has such a
    coordinate: rare enough to be missed by a small calibration set and common enough to be seen by users.
    """
    z = np.clip(rng.standard_normal((count, latent_dim)), -_TAIL_LOW, _TAIL_LOW)
    # Cycling through the dimensions gives each the same share of tails.
    dimensions = np.arange(count) % latent_dim
    z[np.arange(count), dimensions] = rng.choice([-1.0, 1.0], count) * rng.uniform(_TAIL_LOW, _TAIL_HIGH, count)
    return z.astype(np.float32)


def encoder_inputs(images: npt.NDArray[np.uint8], rng: np.random.Generator) -> Samples:
    """Returns every second image as grey values and the others dynamically binarized, `[N, H, W, C]` in [0, 1].

    Apps feed grey values, training fed binarized ones; an encoder has to serve both.
    """
    intensities = to_unit_interval(images)
    grey, chosen = intensities[0::2], intensities[1::2]
    binarized = (rng.random(chosen.shape) < chosen).astype(np.float32)
    return stack({"grey": grey, "binarized": binarized})
