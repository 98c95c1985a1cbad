"""The objectives in TensorFlow, in nats, one value per image.

Every bound is computed from the same terms, each `[K, N]` for K latent samples of N images: log p(x|z), log p(z) and
log q(z|x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pocketvae.keras.io import import_tensorflow

# Where the export ends the range of logits, too.
_LOGIT_BOUND = 9.0
_EXCESS_WEIGHT = 0.01
_SHARPEST_LOG_VAR = 2 * math.log(0.1)
_SHARPNESS_WEIGHT = 1.0


def kl_to_standard_normal(z_mean: Any, z_log_var: Any) -> Any:
    """Returns KL(q(z|x) || N(0, I)) of every dimension, `[N, D]` (Kingma and Welling 2014, appendix B)."""
    tf = import_tensorflow()
    return 0.5 * (tf.exp(z_log_var) + tf.square(z_mean) - 1.0 - z_log_var)


def log_normal(eps: Any, log_var: Any) -> Any:
    """Returns log N(z; mean, sigma^2) of z = mean + sigma * eps, summed over the last axis."""
    tf = import_tensorflow()
    return -0.5 * tf.reduce_sum(math.log(2 * math.pi) + log_var + tf.square(eps), axis=-1)


def log_standard_normal(z: Any) -> Any:
    """Returns log N(z; 0, I), summed over the last axis."""
    tf = import_tensorflow()
    return -0.5 * tf.reduce_sum(math.log(2 * math.pi) + tf.square(z), axis=-1)


def with_free_bits(kl: Any, free_nats: float, mean: Callable[[Any], Any] = lambda value: value) -> Any:
    """Returns the KL divergence that is charged, a scalar: per dimension the mean over the batch, at least `free_nats`.

    Kingma et al. 2016, appendix C.8.

    Args:
        kl: `[N, D]`.
        free_nats: Free nats of one dimension.
        mean: Returns the mean over all workers, where a batch is shared.
    """
    tf = import_tensorflow()
    return tf.reduce_sum(tf.maximum(mean(tf.reduce_mean(kl, axis=0)), free_nats))


def excess_penalty(logits: Any) -> Any:
    """Returns a penalty of logits outside of [-9, 9], a scalar: summed over pixels, averaged over images.

    A pixel that is always black wants a logit of minus infinity, and gains 1e-4 nats beyond -9. The penalty ends that,
    and leaves the networks as they are.

    Args:
        logits: `[K, N, H, W, C]`.
    """
    tf = import_tensorflow()
    excess = tf.nn.relu(tf.abs(logits) - _LOGIT_BOUND)
    return _EXCESS_WEIGHT * tf.reduce_mean(tf.reduce_sum(tf.square(excess), axis=[-3, -2, -1]))


def sharpness_penalty(z_log_var: Any) -> Any:
    """Returns a penalty of posteriors with a standard deviation below 0.1, a scalar: summed over dimensions.

    A latent of 8 bits has steps of about 0.03. A posterior that is much narrower than that is lost in its rounding;
    without the penalty those of signals with little noise are.

    Args:
        z_log_var: `[N, D]`.
    """
    tf = import_tensorflow()
    excess = tf.nn.relu(_SHARPEST_LOG_VAR - z_log_var)
    return _SHARPNESS_WEIGHT * tf.reduce_mean(tf.reduce_sum(tf.square(excess), axis=-1))


class WeightedPath:
    """The identity for latents, whose gradient is multiplied by their normalized importance weights.

    The gradient of the IWAE bound by the posterior's parameters is noise in large part, also for K = 1: the score of
    q(z|x), whose mean is 0. Without the score, and with each latent's gradient times its weight once more, the mean is
    the same, and what is left vanishes where q(z|x) is the true posterior (Tucker et al. 2019, equation 8; for K = 1
    Roeder et al. 2017). The weights are known only when the latents have been decoded, and needed only when the
    gradient comes back.
    """

    def __init__(self) -> None:
        """Begins without weights."""
        self.weights: Any = None

    def through(self, z: Any) -> Any:
        """Returns `z [K, N, D]` as it is."""
        tf = import_tensorflow()

        def identity(z: Any) -> Any:
            return tf.identity(z), lambda upstream: upstream * self.weights[..., None]

        return tf.custom_gradient(identity)(z)

    def bound(self, log_weights: Any) -> Any:
        """Returns `importance_bound`, and keeps the weights, `[K, N]`, for the gradient."""
        tf = import_tensorflow()
        self.weights = tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))
        return importance_bound(log_weights)


def log_normal_of(z: Any, z_mean: Any, z_log_var: Any) -> Any:
    """Returns log N(z; mean, sigma^2), summed over the last axis; differentiable by z alone."""
    tf = import_tensorflow()
    mean, log_var = tf.stop_gradient(z_mean), tf.stop_gradient(z_log_var)
    return log_normal((z - mean) * tf.exp(-0.5 * log_var), log_var)


def importance_bound(log_weights: Any) -> Any:
    """Returns log (1/K) sum_k w_k of every image, `[N]` (Burda et al. 2016, equation 8).

    Args:
        log_weights: `[K, N]`, log p(x|z) + log p(z) - log q(z|x).
    """
    tf = import_tensorflow()
    return tf.reduce_logsumexp(log_weights, axis=0) - math.log(log_weights.shape[0])
