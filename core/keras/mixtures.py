"""Mixtures of Gaussians as sampling models of standard layers, `eps [N, D + 1] (, label [N]) -> z [N, *shape]`."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.io import import_keras
from pocketvae.keras.loading import one_or_all

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
    (eps,), noise, chosen = _chosen_component(np.full(count, 1 / count), dim)
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
        weights: `[K]`, probabilities; or `[L, K]`, those of each label, for a second input `label [N] int32`.
        means: `[K, D]`.
        factors: `[K, D]`, standard deviations; or `[K, D, D]`, Cholesky factors of the covariances.
        shape: Of one latent; D values.
    """
    layers = import_keras().layers
    count, dim = means.shape
    inputs, noise, chosen = _chosen_component(weights, dim)
    mean = layers.Dense(dim, use_bias=False, name="means")(chosen)
    factor = layers.Dense(factors[0].size, use_bias=False, name="factors")(chosen)
    if factors.ndim == means.ndim:
        moved = layers.Multiply(name="scaled_noise")([factor, noise])
    else:
        square = layers.Reshape((dim, dim), name="square")(factor)
        moved = layers.Dot((2, 1), name="scaled_noise")([square, noise])
    z = layers.Add(name="flat_z")([mean, moved])
    model = import_keras().Model(one_or_all(inputs), layers.Reshape(shape, name="z")(z), name="prior")
    model.get_layer("means").set_weights([means])
    model.get_layer("factors").set_weights([factors.reshape(count, -1)])
    return model


def _chosen_component(weights: npt.NDArray[np.float64], dim: int) -> tuple[list[Any], Any, Any]:
    """Returns the inputs, `[N, D + 1]` and maybe labels, the noise `[N, D]`, and the component as one-hot `[N, K]`."""
    layers, count = import_keras().layers, weights.shape[-1]
    eps = layers.Input((dim + 1,), name="eps")
    column = layers.Reshape((dim + 1, 1), name="column")(eps)
    noise = layers.Flatten(name="noise")(layers.Cropping1D((0, 1), name="without_choice")(column))
    choice = layers.Flatten(name="choice")(layers.Cropping1D((dim, 0), name="without_noise")(column))
    label = None if weights.ndim == 1 else layers.Input((), dtype="int32", name="label")
    steps = _steps(choice, weights) if label is None else _steps_of_label(choice, label, weights)
    passed = layers.ReLU(max_value=1.0, name="passed")(steps)
    chosen_layer = layers.Dense(count, use_bias=False, trainable=False, name="chosen")
    chosen = chosen_layer(passed)
    # A draw that is past step k but not past step k + 1 is in component k.
    chosen_layer.set_weights([(np.eye(count) - np.eye(count, k=-1)).astype(np.float32)])
    return [eps] if label is None else [eps, label], noise, chosen


def _steps(choice: Any, weights: npt.NDArray[np.float64]) -> Any:
    layer = import_keras().layers.Dense(len(weights), trainable=False, name="steps")
    steps = layer(choice)
    layer.set_weights([_slopes(len(weights)), _offsets(weights)])
    return steps


def _steps_of_label(choice: Any, label: Any, weights: npt.NDArray[np.float64]) -> Any:
    """Returns the steps of a label's mixture; those of components that it lacks lie where no draw is between them."""
    layers, (labels, count) = import_keras().layers, weights.shape
    slope = layers.Dense(count, use_bias=False, trainable=False, name="steps")
    offset = layers.Embedding(labels, count, trainable=False, name="offsets")
    steps = layers.Add(name="steps_of_label")([slope(choice), offset(label)])
    slope.set_weights([_slopes(count)])
    offset.set_weights([np.stack([_offsets(row) for row in weights])])
    return steps


def _slopes(count: int) -> FloatArray:
    slopes = np.full((1, count), _STEEPNESS, np.float32)
    slopes[0, 0] = 0.0
    return slopes


def _offsets(weights: npt.NDArray[np.float64]) -> FloatArray:
    levels = np.clip(np.cumsum(weights)[:-1], 1e-12, 1 - 1e-12)
    # Every draw is past the first step.
    return np.array([1.0, *(-_STEEPNESS * NormalDist().inv_cdf(float(level)) for level in levels)], np.float32)
