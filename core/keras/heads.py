"""The output heads, which turn a decoder's outputs into an image in training, export and bench."""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_tensorflow
from pocketvae.vae_spec import Likelihood


def image_head(likelihood: Likelihood, outputs: Any) -> Any:
    """Returns the mean image of p(x|z), `[N, H, W, C] float32` in [0, 1]; for an unknown likelihood, the input itself.

    Args:
        likelihood: Determines what the outputs mean.
        outputs: The decoder's output `[N, H, W, C]`, or a list of two for a discretized logistic.
    """
    tf = import_tensorflow()
    if likelihood is Likelihood.UNKNOWN:
        return outputs
    if likelihood is Likelihood.BERNOULLI:
        return tf.sigmoid(outputs)
    if likelihood is Likelihood.GAUSSIAN:
        return tf.clip_by_value(outputs, 0.0, 1.0)
    # The mode of a discretized logistic is its mean, clipped, since all mass beyond black and white falls on them. The
    # scales are not used, so conversion drops the layers that compute them.
    mean, _ = outputs
    return tf.clip_by_value(mean, 0.0, 1.0)
