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
    """Returns each latent `[N, ...]` in its own shape by name, from all of them in one array of N rows; codes int32."""
    rows = z.reshape(len(z), -1)
    ends = zip(latents, np.cumsum([latent.size for latent in latents]), strict=True)
    parts = ((latent, rows[:, end - latent.size : end].reshape(-1, *latent.shape)) for latent, end in ends)
    return {latent.name: _whole(part) if latent.codes else part for latent, part in parts}


def _whole(codes: Array) -> Array:
    with np.errstate(invalid="ignore"):  # The log-variance of a code is minus infinity.
        return codes.astype(np.int32, copy=False)


def code_counts(vae: VaeSpec) -> int | npt.NDArray[np.int32]:
    """Returns how many codes there are for each value of the latents: one number for all, else `[D]`; 0 if it is real.

    The values of a learned prior's noise are all real.
    """
    counts = {latent.codes for latent in vae.latents}
    if len(counts) == 1:
        return counts.pop()
    return np.repeat(
        np.array([latent.codes for latent in vae.latents], np.int32), [latent.size for latent in vae.latents]
    )


def real_columns(vae: VaeSpec) -> npt.NDArray[np.int64]:
    """Returns which of the D values of the latents are real numbers, `[K]`; the others are codes."""
    return np.flatnonzero(np.broadcast_to(code_counts(vae), vae.latent_dim) == 0)


def joined_latents(values: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns all latents in one array `[N, D]`, in the order of the VAE; codes beside real numbers are float32 too.

    Every code is a whole number that float32 holds exactly.
    """
    return _joined([values[latent.name] for latent in vae.latents])


def means_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns the means of an encoder's outputs in one array `[N, D]`, in the order of the VAE; codes have none."""
    # Runtimes and documents have outputs in orders of their own.
    return _joined([outputs[f"{latent.name}{MEAN_ENDING}"] for latent in vae.continuous])


def log_variances_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array | None:
    """Returns the log-variances `[N, D]` of all that is encoded; None if the encoder has no posterior.

    Those of codes are minus infinity: nothing is drawn, since the encoder names one code.
    """
    if not any(f"{latent.name}{LOG_VAR_ENDING}" in outputs for latent in vae.continuous):
        return None
    return _joined(
        [
            np.full(outputs[latent.name].shape, -np.inf, np.float32)
            if latent.codes
            else outputs[f"{latent.name}{LOG_VAR_ENDING}"]
            for latent in vae.latents
        ]
    )


def encoded_of(outputs: Mapping[str, Array], vae: VaeSpec) -> Array:
    """Returns what an encoder's outputs say of the latents `[N, D]`: their means, and the codes themselves."""
    return _joined([outputs[latent.name if latent.codes else f"{latent.name}{MEAN_ENDING}"] for latent in vae.latents])


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
    if len({values.dtype.kind for values in rows}) > 1:
        rows = [values.astype(np.float32) for values in rows]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)


def prior_noise(seed: npt.ArrayLike, index: npt.ArrayLike, vae: VaeSpec) -> Array:
    """Returns what a prior that is not learned gives for N pairs of seed and index, and a learned one starts from.

    Several latents share one stream: each takes up where the one before it ends.

    Returns:
        Noise `[N, E] float32`, or codes `[N, D] int32`; both `[N, D] float32` where there are both.

    Raises:
        SpecError: a seed or index is no 32-bit integer.
    """
    if not vae.codes:
        return normal_noise(seed, index, vae.eps_dim)
    counts = code_counts(vae)
    codes = uniform_codes(seed, index, vae.latent_dim, counts)
    if vae.is_discrete:
        return codes
    return np.where(np.asarray(counts) > 0, codes.astype(np.float32), normal_noise(seed, index, vae.latent_dim))


def drawn_noise(vae: VaeSpec, count: int, rng: np.random.Generator) -> Array:
    """Draws what `prior_noise` returns from a generator of numpy."""
    if vae.is_discrete:
        return rng.integers(0, code_counts(vae), (count, vae.latent_dim)).astype(np.int32)
    noise: Array = rng.standard_normal((count, vae.eps_dim)).astype(np.float32)
    if not vae.codes:
        return noise
    return with_codes(
        noise, [rng.integers(0, item.codes, (count, item.size)) for item in vae.latents if item.codes], vae
    )


def with_codes(noise: Array, codes: Sequence[Array], vae: VaeSpec) -> Array:
    """Returns noise `[N, E]` with codes in the places of those latents that are codes, each `[N, ...]`, in order."""
    mixed, given, start = noise.copy(), iter(codes), 0
    for latent in vae.latents:
        if latent.codes:
            mixed[:, start : start + latent.size] = next(given).reshape(len(noise), -1)
        start += latent.size
    return mixed
