"""Noise as a TensorFlow graph for TFLite, from a seed and an index.

TFLite's exclusive or and shifts work on int32, its shifts to the right keep the sign and it has no bitwise and, so a
rotation is composed of other operators. 32-bit additions and multiplications wrap around.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

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


def build_noise(outputs: Mapping[str, tuple[int, ...]], codes: int | npt.NDArray[np.int32] = 0) -> Graph:
    """Builds the graph `seed [1] int32, index [1] int32 -> outputs [1, ...]`: noise in float32, or codes in int32.

    Args:
        outputs: Shape of each by name, without the batch; each takes up the stream where the one before it ends.
        codes: Number of codes, one for all values or `[D]`; 0 for noise. An output is all codes or all noise.
    """
    tf = import_tensorflow()
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in SEED_INPUTS]
    dim = sum(map(math.prod, outputs.values()))
    counts = np.broadcast_to(codes, dim)

    def drawn(seed: Any, index: Any) -> dict[str, Any]:
        words = _words(seed, index, dim)
        found = sorted(set((counts > 0).tolist()))
        kinds = {is_code: _codes(words, codes) if is_code else _noise(words) for is_code in found}
        return _split(kinds, outputs, counts)

    function = tf.function(drawn, input_signature=signature, autograph=False)
    # The converter writes a signature only where there is an object that it can ask for variables.
    return Graph(function=function, model=tf.Module(), inputs=SEED_INPUTS, fused_shuffles=0)


def _split(
    kinds: Mapping[bool, Any], outputs: Mapping[str, tuple[int, ...]], counts: npt.NDArray[Any]
) -> dict[str, Any]:
    """Returns the parts of noise or codes `[1, D]`, each in its shape; the only one is all of it."""
    tf, start, parts = import_tensorflow(), 0, {}
    for name, shape in outputs.items():
        end, values = start + math.prod(shape), kinds[bool(counts[start])]
        part = values if len(outputs) == 1 else values[:, start:end]
        parts[name], start = part if len(shape) == 1 else tf.reshape(part, (1, *shape)), end
    return parts


def _words(seed: Any, index: Any, dim: int) -> Any:
    """Returns the words of one pair, `[1, dim] int32`."""
    tf = import_tensorflow()
    # One row per pair: so the graph can be widened to several, see `batches_tflite`.
    seed, index = tf.reshape(seed, (1, 1)), tf.reshape(index, (1, 1))
    blocks = tf.range(block_count(dim), dtype=tf.int32)[tf.newaxis]
    return tf.concat(threefry2x32(TensorArithmetic(), (seed, SECOND_KEY), (index, blocks)), axis=1)[:, :dim]


def _noise(words: Any) -> Any:
    """The same as `normal_noise` of `pocketvae.numerics.noise`."""
    tf = import_tensorflow()
    signs = tf.bitwise.right_shift(words, 31)
    positions = tf.bitwise.bitwise_xor(tf.bitwise.right_shift(words, 31 - TABLE_BITS), signs)
    return tf.gather(tf.constant(normal_table()), positions) * tf.cast(1 + 2 * signs, tf.float32)


def _codes(words: Any, codes: int | npt.NDArray[np.int32]) -> Any:
    """The same as `uniform_codes` of `pocketvae.numerics.noise`."""
    tf = import_tensorflow()
    # The shift keeps the sign, so 2^16 is added to what is negative.
    upper = tf.bitwise.right_shift(words, CODE_BITS) - tf.bitwise.right_shift(words, 31) * (1 << CODE_BITS)
    return tf.bitwise.right_shift(upper * codes, CODE_BITS)


def _signed(word: Any) -> Any:
    return int(np.uint32(word).view(np.int32)) if isinstance(word, int) else word
