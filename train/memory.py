"""The memory that training takes at least, so that a network or a batch that cannot fit is refused before it starts."""

from __future__ import annotations

import math
from itertools import pairwise

from pocketvae.train.config import TrainConfig
from pocketvae.train.latent_maps import latent_size

_FLOAT_BYTES = 4
# A weight, its gradient and the two moments of Adam.
_COPIES_OF_WEIGHTS = 4
# An activation and its gradient.
_COPIES_OF_ACTIVATIONS = 2


def least_bytes(config: TrainConfig, data_shape: tuple[int, ...], item_count: int) -> int:
    """Returns a lower bound of the memory that training holds at once: weights, and the activations of a batch.

    Args:
        config: The network, the batch and the objective.
        data_shape: Of one item: `(H, W, C)`, `(T, C)` or `(F,)`.
        item_count: Number of training items: a batch has no more.
    """
    batch = min(config.batch_size, item_count)
    weights, activations = (
        _dense(config, math.prod(data_shape)) if config.architecture.is_dense else _conv(config, data_shape)
    )
    # The encoder sees an item once, the decoder once a sample.
    seen = batch * (1 + config.importance_samples) * activations
    prior = _prior(config, latent_size(config, data_shape))
    return _FLOAT_BYTES * (_COPIES_OF_WEIGHTS * (2 * weights + prior) + _COPIES_OF_ACTIVATIONS * seen)


def _dense(config: TrainConfig, values: int) -> tuple[int, int]:
    """Returns weights and activations of one item, of the encoder alone: the decoder mirrors it."""
    sizes = [values, *[config.hidden_units] * config.hidden_layers, config.latent_dim]
    return sum(above * below for above, below in pairwise(sizes)), sum(sizes)


def _conv(config: TrainConfig, data_shape: tuple[int, ...]) -> tuple[int, int]:
    *extents, channels = data_shape
    weights, activations, last = 0, math.prod(data_shape), channels
    kernel = 3 ** len(extents)
    for size in config.channels:
        extents = [-(-extent // 2) for extent in extents]
        weights += kernel * last * size + 2 * kernel * config.blocks * size * size
        activations += math.prod(extents) * size
        last = size
    flat = math.prod(extents) * last
    weights += flat * config.hidden_units + config.hidden_units * config.latent_dim
    return weights, activations + config.hidden_units


def _prior(config: TrainConfig, latent_dim: int) -> int:
    return max(config.components, config.refit_components) * latent_dim + config.couplings * config.coupling_units**2
