"""Latents as numpy arrays: the noise that a prior is drawn with, and draws that calibrate and test."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.numerics.noise import normal_noise, uniform_codes
from pocketvae.vae_spec import VaeSpec


def prior_noise(seed: npt.ArrayLike, index: npt.ArrayLike, vae: VaeSpec) -> npt.NDArray[Any]:
    """Returns what a prior that is not learned gives for N pairs of seed and index, and a learned one starts from.

    Returns:
        Noise `[N, E] float32`, or codes `[N, D] int32`.

    Raises:
        SpecError: a seed or index is no 32-bit integer.
    """
    if vae.codes:
        return uniform_codes(seed, index, vae.latent_dim, vae.codes)
    return normal_noise(seed, index, vae.eps_dim)


def drawn_noise(vae: VaeSpec, count: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Draws what `prior_noise` returns from a generator of numpy."""
    if vae.codes:
        return rng.integers(0, vae.codes, (count, vae.latent_dim)).astype(np.int32)
    return rng.standard_normal((count, vae.eps_dim)).astype(np.float32)
