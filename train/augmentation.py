"""Random changes of training images: mirrored, moved and scaled copies of small sets, which would be learned by heart.

What is drawn depends on the seed and the number of the step alone, so that a resumed run sees the same images.
"""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_tensorflow
from pocketvae.train.config import TrainConfig
from pocketvae.train.model import Noise

# Apart from the streams of binarization and latents.
_STREAM = 2


def augment(images: Any, config: TrainConfig, noise: Noise) -> Any:
    """Returns randomly changed images, each in its own way; as they are where the configuration asks for nothing.

    Half of them are mirrored (`mirror`), their height and width are scaled by one factor within `1 +- zoom`, and they
    are moved by up to `shift_pixels` rows and columns. A pixel becomes the nearest of the original, and those beyond
    its edges are like the edge, so that no value occurs that the original has not.

    Args:
        images: `[N, H, W, C] uint8`.
        config: Says what is changed.
        noise: Of the step.
    """
    if not config.is_augmented:
        return images
    tf = import_tensorflow()
    draws = _draws(tf.shape(images)[0], noise)
    scale = 1.0 + config.zoom * draws[:, 0]
    height, width = images.shape[1:3]
    rows = _places(height, scale, config.shift_pixels * draws[:, 1])
    columns = _places(width, scale, config.shift_pixels * draws[:, 2])
    if config.mirror:
        columns = tf.where(draws[:, 3:] < 0, width - 1 - columns, columns)
    return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def _draws(count: Any, noise: Noise) -> Any:
    """Returns four numbers in [-1, 1) of every image, the same ones however many workers share the batch."""
    tf = import_tensorflow()
    whole = count if noise.whole is None else noise.whole
    seed = tf.random.experimental.stateless_fold_in(noise.seed, _STREAM)
    values = tf.random.stateless_uniform((whole, 4), seed, -1.0, 1.0)
    return values if noise.whole is None else tf.gather(values, noise.first + tf.range(count))


def _places(size: int, scale: Any, shift: Any) -> Any:
    """Returns where each row or column comes from, `[N, size] int32`."""
    tf = import_tensorflow()
    middle = (size - 1) / 2
    places = middle + (tf.range(size, dtype=tf.float32) - middle)[None] / scale[:, None] - tf.round(shift)[:, None]
    return tf.clip_by_value(tf.cast(tf.round(places), tf.int32), 0, size - 1)
