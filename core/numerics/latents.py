"""Latents as numpy arrays: one array of all of them or each by name, and the noise that a prior is drawn with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.numerics.noise import normal_noise, uniform_codes
from pocketvae.vae_spec import LOG_VAR_ENDING, MEAN_ENDING, Latent, VaeSpec

Array = npt.NDArray[Any]


def split_latents(z: Array, latents: Sequence[Latent]) -> dict[str, Array]:
    """Returns each latent `[N, ...]` in its own shape by name, from all of them in one array of N rows."""
    rows = z.reshape(len(z), -1)
    parts = zip(latents, np.cumsum([latent.size for latent in latents]), strict=True)
    return {latent.name: rows[:, end - latent.size : end].reshape(-1, *latent.shape) for latent, end in parts}


def code_counts(vae: VaeSpec) -> int | npt.NDArray[np.int32]:
    """Returns how many codes each value of the latents has: one number for all, else `[D]`; 0 for real numbers."""
    counts = {latent.codes for latent in vae.latents}
    if len(counts) == 1:
        return counts.pop()
    return np.repeat(
        np.array([latent.codes for latent in vae.latents], np.int32), [latent.size for latent in vae.latents]
    )


def joined_latents(values: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns all latents in one array `[N, D]`, in the order of the VAE, from each by name."""
    return _joined([values[latent.name] for latent in vae.latents])


def means_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns the means of an encoder's outputs in one array `[N, D]`, in the order of the VAE."""
    # Runtimes and documents have outputs in orders of their own.
    return _joined([outputs[f"{latent.name}{MEAN_ENDING}"] for latent in vae.latents])


def log_variances_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array | None:
    """Returns the log-variances likewise; None if the encoder has no posterior."""
    names = [f"{latent.name}{LOG_VAR_ENDING}" for latent in vae.latents]
    return _joined([outputs[name] for name in names]) if names[0] in outputs else None


def encoded_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns what an encoder's outputs say of the latents `[N, D]`: their means, or the codes themselves."""
    return joined_latents(outputs, vae) if vae.codes else means_of(outputs, vae)


def posterior_of(outputs: Mapping[str, Array], vae: VaeSpec) -> tuple[Array, Array]:
    """Returns `means_of` and `log_variances_of`.

    Raises:
        SpecError: the encoder has no posterior.
    """
    variances = log_variances_of(outputs, vae)
    if variances is None:
        raise SpecError("this needs a posterior, but the encoder is deterministic and has none")
    return means_of(outputs, vae), variances


def _joined(parts: list[Array]) -> Array:
    rows = [values.reshape(len(values), -1) for values in parts]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)


def prior_noise(seed: npt.ArrayLike, index: npt.ArrayLike, vae: VaeSpec) -> Array:
    """Returns what a prior that is not learned gives for N pairs of seed and index, and a learned one starts from.

    Several latents share one stream: each takes up where the one before it ends.

    Returns:
        Noise `[N, E] float32`, or codes `[N, D] int32`.

    Raises:
        SpecError: a seed or index is no 32-bit integer.
    """
    if vae.codes:
        return uniform_codes(seed, index, vae.latent_dim, code_counts(vae))
    return normal_noise(seed, index, vae.eps_dim)


def drawn_noise(vae: VaeSpec, count: int, rng: np.random.Generator) -> Array:
    """Draws what `prior_noise` returns from a generator of numpy."""
    if vae.codes:
        return rng.integers(0, code_counts(vae), (count, vae.latent_dim)).astype(np.int32)
    return rng.standard_normal((count, vae.eps_dim)).astype(np.float32)
