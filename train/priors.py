"""Learned priors p(z): functional Keras models of standard layers, `eps [N, E] -> z [N, D]`, each with a density.

The sampling direction is the model that is saved; its density is computed with the same layers, found by name, so
that one file describes a prior completely.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.flows import build_realnvp, named_layer, realnvp_log_density
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.mixtures import build_mixture
from pocketvae.train.config import TrainConfig
from pocketvae.train.objective import log_normal, log_standard_normal
from pocketvae.vae_spec import PriorKind, VaeSpec

_SEED_OFFSET = 200
# Components at a time: what is computed of all would be latents x components x dimensions.
_BLOCK_COMPONENTS = 64


def build_prior(config: TrainConfig, latent_dim: int) -> Any | None:
    """Builds the sampling model of a prior, or None for N(0, I), which needs none.

    A VampPrior is built as the mixture that it will be once training has fixed its components.
    """
    if config.prior is PriorKind.STANDARD:
        return None
    if config.prior is PriorKind.REALNVP:
        return build_realnvp(latent_dim, config.couplings, config.coupling_units, config.seed)
    return build_mixture(*_spread_components(config, latent_dim))


def log_density(model: Any | None, vae: VaeSpec, z: Any) -> Any:
    """Returns log p(z), summed over dimensions.

    Args:
        model: The sampling model; None for N(0, I).
        vae: Says which prior the model is.
        z: `[..., D] float32`.

    Raises:
        ExportError: the model does not have a layer that the prior must have.
    """
    if model is None:
        return log_standard_normal(z)
    tf = import_tensorflow()
    flat = tf.reshape(z, (-1, vae.latent_dim))
    if vae.prior is PriorKind.REALNVP:
        value = realnvp_log_density(model, flat)
    else:
        value = mixture_log_density(flat, named_layer(model, "means").kernel, named_layer(model, "log_scales").kernel)
    return tf.reshape(value, tf.shape(z)[:-1])


def mixture_log_density(z: Any, means: Any, log_scales: Any) -> Any:
    """Returns the log-density of equally weighted diagonal Gaussians, `[N]`.

    Args:
        z: `[N, D]`.
        means: `[K, D]`.
        log_scales: `[K, D]`, logarithms of standard deviations.
    """
    tf = import_tensorflow()
    parts = []
    for first in range(0, means.shape[0], _BLOCK_COMPONENTS):
        part = slice(first, first + _BLOCK_COMPONENTS)
        eps = (z[:, None] - means[None, part]) * tf.exp(-log_scales[None, part])
        parts.append(log_normal(eps, 2 * log_scales[None, part]))
    components = tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]
    return tf.reduce_logsumexp(components, axis=1) - math.log(means.shape[0])


def _spread_components(config: TrainConfig, latent_dim: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng([config.seed, _SEED_OFFSET])
    means = rng.standard_normal((config.components, latent_dim)).astype(np.float32)
    return means, np.zeros_like(means)
