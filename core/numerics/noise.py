"""Standard normal noise that is bit-identical in every runtime: a sampler's computation in numpy.

The word j of the stream of (seed, index) comes from Threefry; one of its bits is the sign and 13 are the position in a
table of quantiles of the normal distribution. Nothing is computed in floating point, so no two machines can round
differently.
"""

from __future__ import annotations

import functools
import hashlib
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError
from pocketvae.numerics.chunks import chunks
from pocketvae.numerics.threefry import NumpyArithmetic, threefry2x32

TABLE_BITS = 13
# Bits of a word that choose a code.
CODE_BITS = 16
# The second word of the key; the first is the seed. Another number would give another family of streams.
SECOND_KEY = 0
_TABLE_SHA256 = "3cc12f46bd39d7cf8b25d61a23c82cdc1a4cd9fe3d5d882c4d8de30566be3587"


@functools.cache
def normal_table() -> npt.NDArray[np.float32]:
    """Returns the absolute values of noise, `[8192] float32`, from 7.6e-5 to 4.01.

    Entry i is the quantile at the midpoint of the i-th of 8192 equal parts of the upper half of N(0, 1). With the sign
    this gives 16,384 equally likely values: their distribution function is nowhere more than 3.1e-5 from the normal
    one, and their variance is 0.99992.

    Raises:
        SpecError: this machine computes other quantiles, so its noise would not be that of the exported files.
    """
    count = 1 << TABLE_BITS
    normal = NormalDist()
    table = np.array([normal.inv_cdf(0.5 + (i + 0.5) / (2 * count)) for i in range(count)], "<f4")
    if hashlib.sha256(table.tobytes()).hexdigest() != _TABLE_SHA256:
        raise SpecError(
            "the table of normal quantiles differs on this machine, because its math library rounds differently"
        )
    table.flags.writeable = False
    return table.astype(np.float32, copy=False)


def block_count(dim: int) -> int:
    """Returns the number of pairs of words for `dim` noise values."""
    return (dim + 1) // 2


def normal_noise(seed: npt.ArrayLike, index: npt.ArrayLike, dim: int) -> npt.NDArray[np.float32]:
    """Returns the noise of N pairs of seed and index, `[N, dim] float32`.

    Block b of a pair is Threefry of the key (seed, 0) and the counter (index, b). The first words of all
    B = ceil(dim / 2) blocks come first, the second words after them.

    Args:
        seed: `[N]` or one for all, int32; negative ones represent the upper half of the 32-bit words.
        index: `[N]` or one for all, int32.
        dim: Values per pair.

    Raises:
        SpecError: a seed or index is no 32-bit integer, or `dim` is below 1.
    """
    _check_dim(dim)
    seeds, indices = np.broadcast_arrays(int32_values("seed", seed), int32_values("index", index))
    noise = np.empty((len(seeds), dim), np.float32)
    for part in chunks(len(seeds), dim):
        noise[part] = _noise_of(_words(seeds[part], indices[part], dim).view(np.int32))
    return noise


def _noise_of(signed: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    # -1 if the first bit is set, else 0: flips the following bits so that they count from the middle outwards.
    signs = signed >> 31
    positions = (signed >> (31 - TABLE_BITS)) ^ signs
    noise: npt.NDArray[np.float32] = normal_table()[positions] * (1 + 2 * signs).astype(np.float32)
    return noise


def uniform_codes(
    seed: npt.ArrayLike, index: npt.ArrayLike, dim: int, codes: int | npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Returns codes of N pairs of seed and index, `[N, dim] int32` from 0 to `codes` - 1.

    A code is the upper half of a word of `normal_noise`, times `codes`, divided by 2^16 and rounded down: equally
    likely if `codes` is a power of two, else within a share of `codes` / 2^16.

    Args:
        seed: See `normal_noise`.
        index: See `normal_noise`.
        dim: Values per pair.
        codes: Number of codes, at most 2^15; or `[dim]`, one for each value.

    Raises:
        SpecError: a seed or index is no 32-bit integer, or `dim` is below 1.
    """
    return ((_words(seed, index, dim) >> CODE_BITS) * np.asarray(codes, np.uint32) >> CODE_BITS).astype(np.int32)


def _words(seed: npt.ArrayLike, index: npt.ArrayLike, dim: int) -> npt.NDArray[np.uint32]:
    _check_dim(dim)
    seeds, indices = np.broadcast_arrays(_column("seed", seed), _column("index", index))
    blocks = np.arange(block_count(dim), dtype=np.uint32)[None]
    words = np.concatenate(threefry2x32(NumpyArithmetic(), (seeds, SECOND_KEY), (indices, blocks)), axis=1)
    return np.ascontiguousarray(words[:, :dim])


def _check_dim(dim: int) -> None:
    if dim < 1:
        raise SpecError(f"dim must be at least 1, got {dim}")


def int32_values(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Returns a seed or an index, or several of them, as `[N] int32`.

    Args:
        name: Name of the values in errors.
        values: One integer, or `[N]` of them.

    Raises:
        SpecError: they are not integers, or do not fit into 32 bits.
    """
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError:  # lists of several lengths
        array = np.empty(0)
    limits = np.iinfo(np.int32)
    whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iu"
    if not whole or array.min() < limits.min or array.max() > limits.max:
        raise SpecError(
            f"{name} must be an integer from -2^31 to 2^31 - 1, or a list of such integers, got {values!r}"[:200]
        )
    return array.astype(np.int32)


def _column(name: str, values: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    return int32_values(name, values).view(np.uint32)[:, None]
