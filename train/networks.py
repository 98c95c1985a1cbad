"""Encoder and decoder as plain functional Keras models: standard layers alone, so that any tool loads them."""

from __future__ import annotations

import math
from typing import Any

from pocketvae.keras_io import import_keras
from pocketvae.train.config import TrainConfig


def build_encoder(config: TrainConfig, image_shape: tuple[int, int, int]) -> Any:
    """Builds q(z|x): `x [N, H, W, C] float32 in [0, 1] -> z_mean [N, D], z_log_var [N, D]`."""
    layers = import_keras().layers
    seeds = _seeds(config.seed, 0)
    x = image = layers.Input(image_shape, name="x")
    for index, filters in enumerate(config.channels):
        x = layers.Conv2D(
            filters,
            4,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer=_glorot(next(seeds)),
            name=f"down_{index}",
        )(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.hidden_units, "relu", kernel_initializer=_glorot(next(seeds)), name="hidden")(x)
    z_mean = layers.Dense(config.latent_dim, kernel_initializer=_glorot(next(seeds)), name="z_mean")(x)
    z_log_var = layers.Dense(config.latent_dim, kernel_initializer=_glorot(next(seeds)), name="z_log_var")(x)
    return import_keras().Model(image, [z_mean, z_log_var], name="encoder")


def build_decoder(config: TrainConfig, image_shape: tuple[int, int, int]) -> Any:
    """Builds the decoder: `z [N, D] float32 -> logits [N, H, W, C]`.

    Each stage is a 3x3 convolution followed by depth-to-space, never a transposed convolution: it is faster on every
    runtime measured, quantizes per channel, and avoids a LiteRT GPU fault. An image size that no power of two divides
    is decoded larger and cropped.
    """
    layers = import_keras().layers
    seeds = _seeds(config.seed, 1)
    height, width, channels = image_shape
    scale = 2 ** len(config.channels)
    rows, columns = math.ceil(height / scale), math.ceil(width / scale)
    widest = config.channels[-1]
    x = z = layers.Input((config.latent_dim,), name="z")
    x = layers.Dense(config.hidden_units, "relu", kernel_initializer=_glorot(next(seeds)), name="hidden")(x)
    x = layers.Dense(rows * columns * widest, "relu", kernel_initializer=_glorot(next(seeds)), name="unflatten_dense")(
        x
    )
    x = layers.Reshape((rows, columns, widest), name="unflatten")(x)
    # Mirrors the encoder: the stage that undoes down_i has as many filters as down_i had inputs.
    for index, filters in reversed(list(enumerate((channels, *config.channels[:-1])))):
        x = layers.Conv2D(
            4 * filters,
            3,
            padding="same",
            activation=None if index == 0 else "relu",
            kernel_initializer=_glorot(next(seeds)),
            name=f"up_{index}",
        )(x)
        x = _depth_to_space(x, name=f"up_{index}_shuffle")
    top, left = (rows * scale - height) // 2, (columns * scale - width) // 2
    if (rows * scale, columns * scale) != (height, width):
        crop = ((top, rows * scale - height - top), (left, columns * scale - width - left))
        x = layers.Cropping2D(crop, name="crop")(x)
    return import_keras().Model(z, x, name="decoder")


def _depth_to_space(x: Any, name: str) -> Any:
    """Depth-to-space of block 2 from three standard layers; Keras 2 has no layer of that name."""
    layers = import_keras().layers
    _, rows, columns, depth = x.shape
    x = layers.Reshape((rows, columns, 2, 2, depth // 4), name=f"{name}_split")(x)
    x = layers.Permute((1, 3, 2, 4, 5), name=f"{name}_interleave")(x)
    return layers.Reshape((2 * rows, 2 * columns, depth // 4), name=f"{name}_join")(x)


def _glorot(seed: int) -> Any:
    return import_keras().initializers.GlorotUniform(seed=seed)


def _seeds(seed: int, component: int) -> Any:
    # Every layer has its own seed: one shared seed would give layers of equal shape equal weights.
    return iter(range(seed * 1000 + component * 100, seed * 1000 + component * 100 + 100))
