"""The memory that training takes at least, so that a network or a batch that cannot fit is refused before it starts."""

from __future__ import annotations

from itertools import pairwise

from pocketvae.train.config import Architecture, TrainConfig

_FLOAT_BYTES = 4
# A weight, its gradient and the two moments of Adam.
_COPIES_OF_WEIGHTS = 4
# An activation and its gradient.
_COPIES_OF_ACTIVATIONS = 2


def least_bytes(config: TrainConfig, image_shape: tuple[int, int, int], image_count: int) -> int:
    """Returns a lower bound of the memory that training holds at once: weights, and the activations of a batch.

    Args:
        config: The network, the batch and the objective.
        image_shape: `(H, W, C)`.
        image_count: Number of training images: a batch has no more.
    """
    batch = min(config.batch_size, image_count)
    weights, activations = (
        _mlp(config, image_shape) if config.architecture is Architecture.MLP else _conv(config, image_shape)
    )
    # The encoder sees an image once, the decoder once a sample.
    seen = batch * (1 + config.importance_samples) * activations
    return _FLOAT_BYTES * (_COPIES_OF_WEIGHTS * (2 * weights + _prior(config)) + _COPIES_OF_ACTIVATIONS * seen)


def _mlp(config: TrainConfig, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns weights and activations of one image, of the encoder alone: the decoder mirrors it."""
    height, width, channels = image_shape
    sizes = [height * width * channels, *[config.hidden_units] * config.hidden_layers, config.latent_dim]
    return sum(above * below for above, below in pairwise(sizes)), sum(sizes)


def _conv(config: TrainConfig, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    height, width, channels = image_shape
    weights, activations, last = 0, height * width * channels, channels
    for size in config.channels:
        height, width = -(-height // 2), -(-width // 2)
        weights += 9 * last * size + 18 * config.blocks * size * size
        activations += height * width * size
        last = size
    flat = height * width * last
    weights += flat * config.hidden_units + config.hidden_units * config.latent_dim
    return weights, activations + config.hidden_units


def _prior(config: TrainConfig) -> int:
    return config.components * config.latent_dim + config.couplings * config.coupling_units**2
