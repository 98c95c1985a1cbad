"""Parts of decoders from standard layers alone, which the networks here and the students of distillation share."""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_keras
from pocketvae.vae_spec import VaeSpec


def depth_to_space(x: Any, block: int, name: str) -> Any:
    """Returns depth-to-space of `[N, H, W, D]` from three layers, which export makes one operator.

    Keras 2 does not have such a layer.
    """
    layers = import_keras().layers
    _, rows, columns, depth = x.shape
    channels = depth // block**2
    x = layers.Reshape((rows, columns, block, block, channels), name=f"{name}_split")(x)
    x = layers.Permute((1, 3, 2, 4, 5), name=f"{name}_interleave")(x)
    return layers.Reshape((rows * block, columns * block, channels), name=f"{name}_join")(x)


def crop(x: Any, height: int, width: int, name: str) -> Any:
    """Crops the centre of an image that was decoded larger than needed."""
    _, rows, columns, _ = x.shape
    if (rows, columns) == (height, width):
        return x
    top, left = (rows - height) // 2, (columns - width) // 2
    sides = ((top, rows - height - top), (left, columns - width - left))
    return import_keras().layers.Cropping2D(sides, name=name)(x)


def part_of(x: Any, first: int, size: int, name: str) -> Any:
    """Returns `size` values of `[N, F]` from the place `first` on, by layers that a Keras file needs no code for."""
    layers, count = import_keras().layers, x.shape[1]
    x = layers.Reshape((count, 1), name=f"{name}_column")(x)
    x = layers.Cropping1D((first, count - first - size), name=f"{name}_part")(x)
    return layers.Reshape((size,), name=name)(x)


def with_label(x: Any, vae: VaeSpec) -> tuple[Any, list[Any]]:
    """Appends a one-hot label to `[N, F]` if the VAE is conditional; also returns the label's input."""
    if not vae.label_count:
        return x, []
    layers = import_keras().layers
    label = layers.Input((), dtype="int32", name="label")
    one_hot = layers.Embedding(
        vae.label_count, vae.label_count, embeddings_initializer="identity", trainable=False, name="one_hot"
    )(label)
    return layers.Concatenate(name="with_label")([x, one_hot]), [label]
