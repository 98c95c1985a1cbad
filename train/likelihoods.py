"""The likelihoods log p(x|z) in TensorFlow, in nats, summed over pixels, one value per image."""

from __future__ import annotations

import math
from typing import Any

from pocketvae.keras.io import import_tensorflow

_PIXEL_LEVELS = 255
# exp(-7) is a quarter of a pixel step: a narrower logistic puts all of its mass on one value anyway.
SMALLEST_LOG_SCALE = -7.0
SMALLEST_VARIANCE = 1e-6


def bernoulli_log_likelihood(x: Any, logits: Any) -> Any:
    """Returns log p(x|z) of binary pixels (Kingma and Welling 2014, appendix C.1).

    Args:
        x: `[..., H, W, C]` of 0 and 1.
        logits: `[..., H, W, C]`.
    """
    tf = import_tensorflow()
    # The same as sigmoid_cross_entropy_with_logits, but broadcasting over importance samples.
    return tf.reduce_sum(x * logits - tf.nn.softplus(logits), axis=[-3, -2, -1])


def gaussian_log_likelihood(x: Any, mean: Any, variance: Any) -> Any:
    """Returns log p(x|z) of real-valued pixels with one variance for all (Rybkin et al. 2021, equation 4).

    Args:
        x: `[..., H, W, C]` in [0, 1].
        mean: `[..., H, W, C]`.
        variance: Scalar.
    """
    tf = import_tensorflow()
    log_density = -0.5 * (tf.square(x - mean) / variance + tf.math.log(variance) + math.log(2 * math.pi))
    return tf.reduce_sum(log_density, axis=[-3, -2, -1])


def optimal_variance(x: Any, mean: Any) -> Any:
    """Returns the variance that maximizes the Gaussian likelihood of a batch (Rybkin et al. 2021, equation 5)."""
    tf = import_tensorflow()
    return tf.maximum(tf.reduce_mean(tf.square(x - mean)), SMALLEST_VARIANCE)


def discretized_logistic_log_likelihood(x: Any, mean: Any, log_scale: Any) -> Any:
    """Returns log p(x|z) of 8-bit pixels: a logistic's mass between the midpoints of neighbouring values.

    All mass below 0 counts for 0 and all mass above 255 for 255 (Kingma et al. 2016, appendix C.3; Salimans et al.
    2017, equation 2). With upper and lower bounds a > b in units of the scale, sigmoid(a) - sigmoid(b) = sigmoid(a)
    sigmoid(-b) (1 - exp(b - a)), whose logarithm avoids a difference of nearly equal numbers.

    Args:
        x: `[..., H, W, C]`, multiples of 1/255 in [0, 1].
        mean: `[..., H, W, C]`.
        log_scale: `[..., H, W, C]`.
    """
    tf = import_tensorflow()
    log_scale = tf.maximum(log_scale, SMALLEST_LOG_SCALE)
    inverse_scale = tf.exp(-log_scale)
    half_step = 0.5 / _PIXEL_LEVELS
    upper, lower = (x - mean + half_step) * inverse_scale, (x - mean - half_step) * inverse_scale
    log_up_to, log_above = -tf.nn.softplus(-upper), -tf.nn.softplus(lower)
    between = log_up_to + log_above + tf.math.log(-tf.math.expm1(-2 * half_step * inverse_scale))
    log_mass = tf.where(x < half_step, log_up_to, tf.where(x > 1 - half_step, log_above, between))
    return tf.reduce_sum(log_mass, axis=[-3, -2, -1])


def binarize(intensities: Any, uniform: Any) -> Any:
    """Draws binary pixels whose probability of 1 is the grey value.

    Args:
        intensities: `[N, H, W, C] float32` in [0, 1].
        uniform: Noise in [0, 1) of the same shape.
    """
    tf = import_tensorflow()
    return tf.cast(uniform < intensities, tf.float32)
