"""Learned priors p(z): functional Keras models of standard layers, `eps [N, E] -> z [N, D]`, each with a density.

The sampling direction is the model that is saved; its density is computed with the same layers, found by name, so
that one file describes a prior completely.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.train.config import TrainConfig
from pocketvae.train.objective import log_normal, log_standard_normal
from pocketvae.vae_spec import PriorKind, VaeSpec

# A step from 0 to 1 so steep that no more than one draw in a million falls on its slope.
_STEEPNESS = 1e6
_SEED_OFFSET = 200


def build_prior(config: TrainConfig) -> Any | None:
    """Builds the sampling model of a prior, or None for N(0, I), which needs none.

    A VampPrior is built as the mixture that it will be once training has fixed its components.
    """
    if config.prior is PriorKind.STANDARD:
        return None
    if config.prior is PriorKind.REALNVP:
        return _build_realnvp(config)
    return build_mixture(*_spread_components(config))


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
        value = _realnvp_log_density(model, flat)
    else:
        value = mixture_log_density(flat, _layer(model, "means").kernel, _layer(model, "log_scales").kernel)
    return tf.reshape(value, tf.shape(z)[:-1])


def mixture_log_density(z: Any, means: Any, log_scales: Any) -> Any:
    """Returns the log-density of equally weighted diagonal Gaussians, `[N]`.

    Args:
        z: `[N, D]`.
        means: `[K, D]`.
        log_scales: `[K, D]`, logarithms of standard deviations.
    """
    tf = import_tensorflow()
    eps = (z[:, None] - means[None]) * tf.exp(-log_scales[None])
    components = log_normal(eps, 2 * log_scales[None])
    return tf.reduce_logsumexp(components, axis=1) - math.log(means.shape[0])


def build_mixture(means: npt.NDArray[np.float32], log_scales: npt.NDArray[np.float32]) -> Any:
    """Builds the sampling model of a mixture: `eps [N, D + 1] -> z [N, D]`.

    The last noise value selects the component: quantiles of the normal distribution divide the real line into K
    intervals of equal probability.

    Args:
        means: `[K, D]`.
        log_scales: `[K, D]`.
    """
    keras = import_keras()
    layers = keras.layers
    count, dim = means.shape
    eps = layers.Input((dim + 1,), name="eps")
    column = layers.Reshape((dim + 1, 1), name="column")(eps)
    noise = layers.Flatten(name="noise")(layers.Cropping1D((0, 1), name="without_choice")(column))
    choice = layers.Flatten(name="choice")(layers.Cropping1D((dim, 0), name="without_noise")(column))
    steps = layers.Dense(count, trainable=False, name="steps")(choice)
    steps = layers.ReLU(max_value=1.0, name="passed")(steps)
    chosen = layers.Dense(count, use_bias=False, trainable=False, name="chosen")(steps)
    mean = layers.Dense(dim, use_bias=False, name="means")(chosen)
    scale = layers.Dense(dim, "exponential", use_bias=False, name="log_scales")(chosen)
    z = layers.Add(name="z")([mean, layers.Multiply(name="scaled_noise")([scale, noise])])
    model = keras.Model(eps, z, name="prior")
    thresholds = [NormalDist().inv_cdf(index / count) for index in range(1, count)]
    # Every draw is past the first step.
    bias = np.array([1.0, *(-_STEEPNESS * threshold for threshold in thresholds)], np.float32)
    kernel = np.full((1, count), _STEEPNESS, np.float32)
    kernel[0, 0] = 0.0
    model.get_layer("steps").set_weights([kernel, bias])
    # A draw that is past step k but not past step k + 1 is in component k.
    model.get_layer("chosen").set_weights([(np.eye(count) - np.eye(count, k=-1)).astype(np.float32)])
    model.get_layer("means").set_weights([means])
    model.get_layer("log_scales").set_weights([log_scales])
    return model


def _spread_components(config: TrainConfig) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng([config.seed, _SEED_OFFSET])
    means = rng.standard_normal((config.components, config.latent_dim)).astype(np.float32)
    return means, np.zeros_like(means)


def _build_realnvp(config: TrainConfig) -> Any:
    """Couplings alternate in which half they change, and in whether the halves are contiguous or interleaved."""
    keras = import_keras()
    layers = keras.layers
    z = eps = layers.Input((config.latent_dim,), name="eps")
    for index in range(config.couplings):
        halves = _split_layers(index, config.latent_dim)
        kept, changed = (half(z) for half in halves)
        shift, log_scale = _coupling(config, index)(kept)
        scale = layers.Activation("exponential", name=f"coupling_{index}_scale")(log_scale)
        changed = layers.Multiply(name=f"coupling_{index}_scaled")([changed, scale])
        changed = layers.Add(name=f"coupling_{index}_shifted")([changed, shift])
        z = _join_layers(index, config.latent_dim)(kept, changed)
    return keras.Model(eps, z, name="prior")


def _coupling(config: TrainConfig, index: int) -> Any:
    layers = import_keras().layers
    half, first_seed = config.latent_dim // 2, config.seed * 1000 + _SEED_OFFSET + 2 * index

    def apply(kept: Any) -> tuple[Any, Any]:
        x = kept
        for number in range(2):
            initializer = import_keras().initializers.GlorotUniform(seed=first_seed + number)
            x = layers.Dense(
                config.coupling_units, "relu", kernel_initializer=initializer, name=f"coupling_{index}_hidden_{number}"
            )(x)
        shift = layers.Dense(half, kernel_initializer="zeros", name=f"coupling_{index}_shift")(x)
        # Bounded by tanh: one coupling changes a scale by a factor of e at most, so that none can explode.
        log_scale = layers.Dense(half, "tanh", kernel_initializer="zeros", name=f"coupling_{index}_log_scale")(x)
        return shift, log_scale

    return apply


def _split_layers(index: int, dim: int) -> tuple[Any, Any]:
    """Returns the layers that extract, from `[N, D]`, the half that stays and the half that changes."""
    layers = import_keras().layers
    interleaved = index % 4 >= 2
    shape = (dim // 2, 2) if interleaved else (2, dim // 2)

    def take(first: bool, role: str) -> Any:
        def apply(x: Any) -> Any:
            name = f"coupling_{index}_{role}"
            x = layers.Reshape(shape, name=f"{name}_pairs")(x)
            if interleaved:
                x = layers.Permute((2, 1), name=f"{name}_order")(x)
            x = layers.Cropping1D((0, 1) if first else (1, 0), name=f"{name}_crop")(x)
            return layers.Flatten(name=name)(x)

        return apply

    return take(index % 2 == 0, "kept"), take(index % 2 == 1, "changed")


def _join_layers(index: int, dim: int) -> Any:
    layers = import_keras().layers

    def apply(kept: Any, changed: Any) -> Any:
        halves = [kept, changed] if index % 2 == 0 else [changed, kept]
        z = layers.Concatenate(name=f"coupling_{index}_joined")(halves)
        if index % 4 < 2:
            return z
        z = layers.Reshape((2, dim // 2), name=f"coupling_{index}_rows")(z)
        z = layers.Permute((2, 1), name=f"coupling_{index}_back")(z)
        return layers.Flatten(name=f"coupling_{index}_z")(z)

    return apply


def _realnvp_log_density(model: Any, z: Any) -> Any:
    """Runs the couplings backwards: log p(z) = log N(eps; 0, I) - sum of log-scales (Dinh et al. 2017, equation 6)."""
    tf = import_tensorflow()
    dim = z.shape[-1]
    log_scales = tf.zeros(tf.shape(z)[:1])
    couplings = sum(layer.name.endswith("_log_scale") for layer in model.layers)
    for index in reversed(range(couplings)):
        first, second = (z[:, 0::2], z[:, 1::2]) if index % 4 >= 2 else (z[:, : dim // 2], z[:, dim // 2 :])
        kept, changed = (first, second) if index % 2 == 0 else (second, first)
        x = kept
        for number in range(2):
            x = _layer(model, f"coupling_{index}_hidden_{number}")(x)
        log_scale = _layer(model, f"coupling_{index}_log_scale")(x)
        changed = (changed - _layer(model, f"coupling_{index}_shift")(x)) * tf.exp(-log_scale)
        log_scales += tf.reduce_sum(log_scale, axis=-1)
        halves = [kept, changed] if index % 2 == 0 else [changed, kept]
        z = tf.concat(halves, axis=-1)
        if index % 4 >= 2:
            z = tf.reshape(tf.transpose(tf.reshape(z, (-1, 2, dim // 2)), (0, 2, 1)), (-1, dim))
    return log_standard_normal(z) - log_scales


def _layer(model: Any, name: str) -> Any:
    try:
        return model.get_layer(name)
    except ValueError as e:
        raise ExportError(f"the prior must have a layer {name!r}: it was not made by pocketvae") from e
