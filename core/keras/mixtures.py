"""Mixtures of Gaussians as sampling models of standard layers, `eps [N, D + 1] -> z [N, *latent_shape]`."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.io import import_keras

FloatArray = npt.NDArray[np.float32]

# A step from 0 to 1 so steep that no more than one draw in a million falls on its slope.
_STEEPNESS = 1e6


def build_mixture(means: FloatArray, log_scales: FloatArray) -> Any:
    """Builds a mixture of equally weighted diagonal Gaussians: `eps [N, D + 1] -> z [N, D]`.

    The last noise value selects the component: quantiles of the normal distribution divide the real line into K
    intervals of equal probability.

    Args:
        means: `[K, D]`.
        log_scales: `[K, D]`, logarithms of standard deviations.
    """
    layers = import_keras().layers
    count, dim = means.shape
    eps, noise, chosen = _chosen_component(np.full(count, 1 / count), dim)
    mean = layers.Dense(dim, use_bias=False, name="means")(chosen)
    scale = layers.Dense(dim, "exponential", use_bias=False, name="log_scales")(chosen)
    z = layers.Add(name="z")([mean, layers.Multiply(name="scaled_noise")([scale, noise])])
    model = import_keras().Model(eps, z, name="prior")
    model.get_layer("means").set_weights([means])
    model.get_layer("log_scales").set_weights([log_scales])
    return model


def build_weighted_mixture(
    weights: npt.NDArray[np.float64], means: FloatArray, factors: FloatArray, shape: tuple[int, ...]
) -> Any:
    """Builds a mixture of Gaussians with weights, diagonal or with full covariances: `eps [N, D + 1] -> z [N, *shape]`.

    The last noise value selects the component, as in `build_mixture`, by intervals of these probabilities.

    Args:
        weights: `[K]`, probabilities.
        means: `[K, D]`.
        factors: `[K, D]`, standard deviations; or `[K, D, D]`, Cholesky factors of the covariances.
        shape: Of one latent; D values.
    """
    layers = import_keras().layers
    count, dim = means.shape
    eps, noise, chosen = _chosen_component(weights, dim)
    mean = layers.Dense(dim, use_bias=False, name="means")(chosen)
    factor = layers.Dense(factors[0].size, use_bias=False, name="factors")(chosen)
    if factors.ndim == means.ndim:
        moved = layers.Multiply(name="scaled_noise")([factor, noise])
    else:
        square = layers.Reshape((dim, dim), name="square")(factor)
        moved = layers.Dot((2, 1), name="scaled_noise")([square, noise])
    z = layers.Add(name="flat_z")([mean, moved])
    model = import_keras().Model(eps, layers.Reshape(shape, name="z")(z), name="prior")
    model.get_layer("means").set_weights([means])
    model.get_layer("factors").set_weights([factors.reshape(count, -1)])
    return model


def _chosen_component(weights: npt.NDArray[np.float64], dim: int) -> tuple[Any, Any, Any]:
    """Returns the input `[N, D + 1]`, its noise `[N, D]`, and the chosen component as one-hot `[N, K]`."""
    layers, count = import_keras().layers, len(weights)
    eps = layers.Input((dim + 1,), name="eps")
    column = layers.Reshape((dim + 1, 1), name="column")(eps)
    noise = layers.Flatten(name="noise")(layers.Cropping1D((0, 1), name="without_choice")(column))
    choice = layers.Flatten(name="choice")(layers.Cropping1D((dim, 0), name="without_noise")(column))
    steps_layer = layers.Dense(count, trainable=False, name="steps")
    steps = layers.ReLU(max_value=1.0, name="passed")(steps_layer(choice))
    chosen_layer = layers.Dense(count, use_bias=False, trainable=False, name="chosen")
    chosen = chosen_layer(steps)
    thresholds = [NormalDist().inv_cdf(float(level)) for level in np.clip(np.cumsum(weights)[:-1], 1e-12, 1 - 1e-12)]
    # Every draw is past the first step.
    bias = np.array([1.0, *(-_STEEPNESS * threshold for threshold in thresholds)], np.float32)
    kernel = np.full((1, count), _STEEPNESS, np.float32)
    kernel[0, 0] = 0.0
    steps_layer.set_weights([kernel, bias])
    # A draw that is past step k but not past step k + 1 is in component k.
    chosen_layer.set_weights([(np.eye(count) - np.eye(count, k=-1)).astype(np.float32)])
    return eps, noise, chosen
