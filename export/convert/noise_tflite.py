"""Noise as a TensorFlow graph for TFLite, from a seed and an index.

TFLite's exclusive or and shifts work on int32, its shifts to the right keep the sign and it has no bitwise and, so a
rotation is composed of other operators. 32-bit additions and multiplications wrap around.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pocketvae.export.convert.graphs import Graph
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.noise import CODE_BITS, SECOND_KEY, TABLE_BITS, block_count, normal_table
from pocketvae.numerics.threefry import threefry2x32
from pocketvae.spec import SEED_INPUTS


class TensorArithmetic:
    """Words as int32 tensors, see `pocketvae.numerics.threefry.Arithmetic`."""

    def __init__(self) -> None:
        self._tf = import_tensorflow()

    def add(self, word: Any, other: Any) -> Any:
        """See `Arithmetic.add`."""
        return word + _signed(other)

    def xor(self, word: Any, other: Any) -> Any:
        """See `Arithmetic.xor`."""
        return self._tf.bitwise.bitwise_xor(word, _signed(other))

    def rotate(self, word: Any, bits: int) -> Any:
        """See `Arithmetic.rotate`.

        A shift to the right that keeps the sign is, of a negative word, too small by 2^bits; adding 1 to the word
        before it is multiplied makes up for that.
        """
        sign = self._tf.bitwise.right_shift(word, 31)
        return (word - sign) * _signed(1 << bits) + self._tf.bitwise.right_shift(word, 32 - bits)


def build_noise(shape: tuple[int, ...], output: str, codes: int = 0) -> Graph:
    """Builds the graph `seed [1] int32, index [1] int32 -> OUTPUT [1, *shape]`: noise in float32, or codes in int32.

    Args:
        shape: Of the noise values, without the batch.
        output: Name of the output.
        codes: Number of codes; 0 for noise.
    """
    tf = import_tensorflow()
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in SEED_INPUTS]
    function = tf.function(
        lambda seed, index: {output: _noise(seed, index, shape, codes)},
        input_signature=signature,
        autograph=False,
    )
    # The converter writes a signature only where there is an object that it can ask for variables.
    return Graph(function=function, model=tf.Module(), inputs=SEED_INPUTS, fused_shuffles=0)


def _noise(seed: Any, index: Any, shape: tuple[int, ...], codes: int) -> Any:
    """The same as `normal_noise` or `uniform_codes` of `pocketvae.numerics.noise`, for one pair: `[1, *shape]`."""
    tf, dim = import_tensorflow(), math.prod(shape)
    # One row per pair: so the graph can be widened to several, see `batches_tflite`.
    seed, index = tf.reshape(seed, (1, 1)), tf.reshape(index, (1, 1))
    blocks = tf.range(block_count(dim), dtype=tf.int32)[tf.newaxis]
    words = tf.concat(threefry2x32(TensorArithmetic(), (seed, SECOND_KEY), (index, blocks)), axis=1)[:, :dim]
    signs = tf.bitwise.right_shift(words, 31)
    if codes:
        # The shift keeps the sign, so 2^16 is added to what is negative.
        upper = tf.bitwise.right_shift(words, CODE_BITS) - signs * (1 << CODE_BITS)
        noise = tf.bitwise.right_shift(upper * codes, CODE_BITS)
    else:
        positions = tf.bitwise.bitwise_xor(tf.bitwise.right_shift(words, 31 - TABLE_BITS), signs)
        noise = tf.gather(tf.constant(normal_table()), positions) * tf.cast(1 + 2 * signs, tf.float32)
    return noise if len(shape) == 1 else tf.reshape(noise, (1, *shape))


def _signed(word: Any) -> Any:
    return int(np.uint32(word).view(np.int32)) if isinstance(word, int) else word
