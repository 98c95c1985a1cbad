"""The latents that a student learns from and is verified with: each batch follows from the seed and its number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.distil.teacher import FloatArray, Labels, Latents, Teacher
from pocketvae.export.original.samples import tail_noise
from pocketvae.vae_spec import DataKind, Likelihood

PRIOR, POSTERIOR, TAILS = "prior", "posterior", "tails"
# Streams of one seed.
TRAINING, CHOICE, VERIFICATION, START, CALIBRATION = 0, 1, 2, 4, 6


def draw(teacher: Teacher, count: int, *, seed: int, stream: int, number: int) -> dict[str, Latents]:
    """Draws latents: half from the prior, a quarter as from posteriors, a quarter from the tails.

    Latents as from posteriors are those of what the teacher makes of draws from the prior, so that no data are needed.
    Without an encoder that takes those they are draws from the prior too. Tails are those of goldens: one coordinate
    lies 3 to 4 standard deviations out.

    Args:
        teacher: Whose latents they are.
        count: Of all, at least 4.
        seed: With the next two it determines every latent.
        stream: The purpose.
        number: Of the batch.

    Returns:
        The latents by their kind; each batch of the same `count` has as many of each.
    """
    rng = np.random.default_rng([seed, stream, number])
    quarter = count // 4
    counts = {PRIOR: count - 2 * quarter, POSTERIOR: quarter, TAILS: quarter}
    if not teacher.encodes_its_own:
        counts = {PRIOR: count - quarter, TAILS: quarter}
    return {kind: _drawn(teacher, kind, size, rng) for kind, size in counts.items()}


def _drawn(teacher: Teacher, kind: str, count: int, rng: np.random.Generator) -> Latents:
    labels: Labels = rng.integers(0, max(1, teacher.vae.label_count), count).astype(np.int32)
    dim = teacher.vae.eps_dim
    if kind == TAILS:
        return teacher.from_prior(tail_noise(count, dim, rng), labels)
    latents = teacher.from_prior(rng.standard_normal((count, dim)).astype(np.float32), labels)
    if kind == PRIOR:
        return latents
    return teacher.from_posterior(_observed(teacher, teacher.decode(latents), rng), labels, rng)


def _observed(teacher: Teacher, data: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Returns data as an encoder met them in training: pixels of a Bernoulli likelihood are drawn."""
    vae = teacher.vae
    if vae.data is DataKind.IMAGE and vae.likelihood is Likelihood.BERNOULLI:
        return (rng.random(data.shape) < data).astype(np.float32)
    if vae.range_is_strict or vae.data is DataKind.IMAGE:
        # What a file in floats returns can be outside by a rounding error.
        return np.clip(data, np.float32(vae.data_range[0]), np.float32(vae.data_range[1]))
    return data
