"""The output heads, which turn a decoder's outputs into an image or other data in training, export and bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pocketvae.fields import Channel, ChannelKind
from pocketvae.keras.io import import_tensorflow
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec


def data_head(vae: VaeSpec, outputs: Any) -> Any:
    """Returns the mean of p(x|z), `[N, *data_shape] float32`: of images see `image_head`.

    Of other data in units of the model: means of real numbers, probabilities of binary ones and of categories.

    Args:
        vae: Says what the outputs mean.
        outputs: The decoder's output, or its outputs.
    """
    if vae.data is DataKind.IMAGE or vae.likelihood is Likelihood.BERNOULLI:
        return image_head(vae.likelihood, outputs)
    if vae.likelihood is not Likelihood.MIXED:
        return outputs
    tf = import_tensorflow()
    functions = {ChannelKind.REAL: tf.identity, ChannelKind.BINARY: tf.sigmoid, ChannelKind.CATEGORY: tf.nn.softmax}
    parts = [functions[kind](outputs[..., part]) for kind, part in runs(vae.channels)]
    return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def runs(channels: Sequence[Channel]) -> list[tuple[ChannelKind, slice]]:
    """Returns the values of neighbouring channels of one kind together, each category alone, in order."""
    found: list[tuple[ChannelKind, slice]] = []
    start = 0
    for channel in channels:
        stop = start + channel.width
        if found and found[-1][0] is channel.kind is not ChannelKind.CATEGORY:
            found[-1] = (channel.kind, slice(found[-1][1].start, stop))
        else:
            found.append((channel.kind, slice(start, stop)))
        start = stop
    return found


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
