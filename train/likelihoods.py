"""The likelihoods log p(x|z) in TensorFlow, in nats, summed over pixels or other values, one number per item.

`axes` are those of one item, counted from the last; an image's unless others are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pocketvae.fields import Channel, ChannelKind
from pocketvae.keras.heads import runs
from pocketvae.keras.io import import_tensorflow

_IMAGE_AXES = (-3, -2, -1)
_PIXEL_LEVELS = 255
# exp(-7) is a quarter of a pixel step: a narrower logistic puts all of its mass on one value anyway.
SMALLEST_LOG_SCALE = -7.0
SMALLEST_VARIANCE = 1e-6
# From the variance, which is within a factor of 10 of it, to about 1 percent.
_SCALE_STEPS = 12


def bernoulli_log_likelihood(x: Any, logits: Any, axes: Sequence[int] = _IMAGE_AXES) -> Any:
    """Returns log p(x|z) of binary values (Kingma and Welling 2014, appendix C.1).

    Args:
        x: `[..., H, W, C]` of 0 and 1.
        logits: `[..., H, W, C]`.
        axes: Of one item.
    """
    tf = import_tensorflow()
    # The same as sigmoid_cross_entropy_with_logits, but broadcasting over importance samples.
    return tf.reduce_sum(x * logits - tf.nn.softplus(logits), axis=list(axes))


def gaussian_log_likelihood(x: Any, mean: Any, variance: Any, axes: Sequence[int] = _IMAGE_AXES) -> Any:
    """Returns log p(x|z) of real values with one variance for all or for each channel (Rybkin et al. 2021, equation 4).

    Args:
        x: `[..., C]`, of images in [0, 1].
        mean: `[..., C]`.
        variance: Scalar or `[C]`.
        axes: Of one item.
    """
    tf = import_tensorflow()
    log_density = -0.5 * (tf.square(x - mean) / variance + tf.math.log(variance) + math.log(2 * math.pi))
    return tf.reduce_sum(log_density, axis=list(axes))


def optimal_variance(x: Any, mean: Any, *, by_channel: bool = False) -> Any:
    """Returns the variance that maximizes the Gaussian likelihood of a batch (Rybkin et al. 2021, equation 5).

    Args:
        x: `[..., C]`.
        mean: `[..., C]`, also with more leading dimensions.
        by_channel: Whether every channel has its own, `[C]`, or all the same, a scalar.
    """
    tf = import_tensorflow()
    square = tf.square(x - mean)
    pooled = list(range(square.shape.rank - 1)) if by_channel else None
    return tf.maximum(tf.reduce_mean(square, axis=pooled), SMALLEST_VARIANCE)


def student_t_log_likelihood(x: Any, mean: Any, square_scale: Any, degrees: Any, axes: Sequence[int]) -> Any:
    """Returns log p(x|z) of real values with outliers: Student's t distribution (Takahashi et al. 2018).

    Args:
        x: `[..., C]`.
        mean: `[..., C]`, the location.
        square_scale: `[C]`.
        degrees: Degrees of freedom, a scalar.
        axes: Of one item.
    """
    tf = import_tensorflow()
    constant = tf.math.lgamma((degrees + 1) / 2) - tf.math.lgamma(degrees / 2) - 0.5 * tf.math.log(degrees * math.pi)
    tail = 0.5 * (degrees + 1) * tf.math.log1p(tf.square(x - mean) / (degrees * square_scale))
    return tf.reduce_sum(constant - 0.5 * tf.math.log(square_scale) - tail, axis=list(axes))


def optimal_square_scale(x: Any, mean: Any, degrees: Any) -> Any:
    """Returns the squared scale of each channel that maximizes the likelihood of Student's t for a batch, `[C]`.

    By expectation maximization (Lange et al. 1989). At the maximum its own gradient is 0, so none is computed.

    Args:
        x: `[..., C]`.
        mean: `[..., C]`, also with more leading dimensions.
        degrees: Degrees of freedom, a scalar.
    """
    tf = import_tensorflow()
    square = tf.stop_gradient(tf.square(x - mean))
    pooled = list(range(square.shape.rank - 1))
    scale = tf.maximum(tf.reduce_mean(square, axis=pooled), SMALLEST_VARIANCE)
    for _ in range(_SCALE_STEPS):
        weighted = (degrees + 1) * square / (degrees + square / scale)
        scale = tf.maximum(tf.reduce_mean(weighted, axis=pooled), SMALLEST_VARIANCE)
    return scale


def mixed_log_likelihood(x: Any, outputs: Any, channels: Sequence[Channel], variance: Any, axes: Sequence[int]) -> Any:
    """Returns log p(x|z) of channels of different kinds: Gaussian, Bernoulli or categorical (Nazabal et al. 2020).

    Args:
        x: `[..., F]` in units of the model, categories one-hot.
        outputs: `[..., F]`: means of real numbers, logits of binary ones and of categories.
        channels: What the values of the last dimension are.
        variance: `[F]`, of real numbers.
        axes: Of one item.
    """
    tf = import_tensorflow()
    terms = []
    for kind, part in runs(channels):
        seen, given = x[..., part], outputs[..., part]
        if kind is ChannelKind.REAL:
            spread = variance[part]
            density = -0.5 * (tf.square(seen - given) / spread + tf.math.log(spread) + math.log(2 * math.pi))
            terms.append(tf.reduce_sum(density, axis=list(axes)))
        elif kind is ChannelKind.BINARY:
            terms.append(bernoulli_log_likelihood(seen, given, axes))
        else:
            terms.append(tf.reduce_sum(seen * tf.nn.log_softmax(given), axis=list(axes)))
    return tf.add_n(terms)


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
