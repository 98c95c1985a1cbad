"""The terms of the evidence lower bound in TensorFlow, in nats, one value per image.

ELBO = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z)); Kingma and Welling 2014, equation 3.
"""

from __future__ import annotations

from typing import Any

from pocketvae.keras_io import import_tensorflow


def bernoulli_log_likelihood(x: Any, logits: Any) -> Any:
    """Returns log p(x|z) summed over pixels, `[N]`; x is `[N, H, W, C]` of 0 and 1 (ibid., appendix C.1)."""
    tf = import_tensorflow()
    return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits), axis=[1, 2, 3])


def kl_to_standard_normal(z_mean: Any, z_log_var: Any) -> Any:
    """Returns KL(q(z|x) || N(0, I)) summed over dimensions, `[N]` (ibid., appendix B)."""
    tf = import_tensorflow()
    return 0.5 * tf.reduce_sum(tf.exp(z_log_var) + tf.square(z_mean) - 1.0 - z_log_var, axis=1)


def binarize(intensities: Any, uniform: Any) -> Any:
    """Draws binary pixels whose probability of 1 is the grey value (dynamic binarization).

    Args:
        intensities: `[N, H, W, C] float32` in [0, 1].
        uniform: Noise in [0, 1) of the same shape.
    """
    tf = import_tensorflow()
    return tf.cast(uniform < intensities, tf.float32)
