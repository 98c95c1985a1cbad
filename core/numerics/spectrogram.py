"""Log-mel spectrograms of samples: the formula, written once for numpy and for the graphs of exported files.

The discrete Fourier transform of a frame of N = R * S samples is two products with small matrices and one with factors
between them (Cooley and Tukey 1965): 0.1 million multiply-adds for 1,024 samples in place of 1.0 million, and 25 kB of
numbers in place of 4.2 MB. What it takes is in every runtime: products of matrices, sums, reshapes, transposes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pocketvae.fields import LogMel
from pocketvae.numerics.normalization import normalized
from pocketvae.vae_spec import VaeSpec

Doubles = npt.NDArray[np.float64]
_DECIBELS = 10 / math.log(10)
# Of frames that are computed at once, 32 MB in numpy.
_MOST_VALUES = 2**20


class Operations(Protocol):
    """What the formula needs, of arrays or of tensors in a graph."""

    def reshape(self, values: Any, shape: tuple[int, ...]) -> Any:
        """Returns the values in another shape; -1 is what is left."""

    def transpose(self, values: Any) -> Any:
        """Returns `[N, B, A]` of `[N, A, B]`."""

    def product(self, values: Any, matrix: Any) -> Any:
        """Returns `[M, B]` of `[M, A]` and `[A, B]`."""

    def join(self, parts: Sequence[Any], axis: int) -> Any:
        """Returns parts one after another along an axis."""

    def log(self, values: Any) -> Any:
        """Returns the natural logarithm."""

    def constant(self, values: Any) -> Any:
        """Returns numbers in the type of the data."""


class ArrayOperations:
    """`Operations` on numpy arrays, in float64."""

    def reshape(self, values: Any, shape: tuple[int, ...]) -> Any:
        """See `Operations.reshape`."""
        return np.reshape(values, shape)

    def transpose(self, values: Any) -> Any:
        """See `Operations.transpose`."""
        return np.transpose(values, (0, 2, 1))

    def product(self, values: Any, matrix: Any) -> Any:
        """See `Operations.product`."""
        return values @ matrix

    def join(self, parts: Sequence[Any], axis: int) -> Any:
        """See `Operations.join`."""
        return np.concatenate(list(parts), axis=axis)

    def log(self, values: Any) -> Any:
        """See `Operations.log`."""
        return np.log(values)

    def constant(self, values: Any) -> Any:
        """See `Operations.constant`."""
        return np.asarray(values, np.float64)


def decibels(operations: Operations, samples: Any, front: LogMel) -> Any:
    """Returns the log-mel spectrogram `[N, F, bands]` in dB of samples `[N, T, 1]` in -1 to 1.

    Args:
        operations: What to compute with.
        samples: Of N items.
        front: Says which spectrogram.
    """
    overlap, frames = front.frame // front.hop, front.frames
    blocks = operations.reshape(samples, (-1, front.samples // front.hop, front.hop))
    framed = operations.join([blocks[:, first : first + frames] for first in range(overlap)], 2)
    power = _power(operations, framed * operations.constant(_window(front.frame)), front.frame)
    bands = operations.product(power, operations.constant(_band_weights(front)))
    shown = operations.log(bands + front.floor) * _DECIBELS
    return operations.reshape(shown, (-1, frames, front.bands))


def _power(operations: Operations, framed: Any, size: int) -> Any:
    """Returns the power of the spectrum, `[N * F, K * S]`, of frames `[N, F, size]`; see `_frequencies`."""
    rows, columns = _factors(size)
    kept = rows // 2 + 1
    first = 2 * np.pi * np.outer(np.arange(rows), np.arange(kept)) / rows
    turn = 2 * np.pi * np.outer(np.arange(columns), np.arange(kept)) / size
    second = 2 * np.pi * np.outer(np.arange(columns), np.arange(columns)) / columns
    # Sample S * r + s is row r, column s: first the sums over r, for every s.
    x = operations.reshape(operations.transpose(operations.reshape(framed, (-1, rows, columns))), (-1, rows))
    shape = (-1, columns, kept)
    real = operations.reshape(operations.product(x, operations.constant(np.cos(first))), shape)
    imaginary = operations.reshape(operations.product(x, operations.constant(-np.sin(first))), shape)
    cosine, sine = operations.constant(np.cos(turn)), operations.constant(np.sin(turn))
    turned = [real * cosine + imaginary * sine, imaginary * cosine - real * sine]
    y = operations.transpose(operations.join(turned, 1))
    y = operations.reshape(y, (-1, 2 * columns))
    both = np.block([[np.cos(second), -np.sin(second)], [np.sin(second), np.cos(second)]])
    spectrum = operations.product(y, operations.constant(both))
    square = spectrum * spectrum
    return operations.reshape(square[:, :columns] + square[:, columns:], (-1, kept * columns))


def _factors(size: int) -> tuple[int, int]:
    """Returns R and S, as close to each other as there are."""
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return rows, size // rows


def _frequencies(size: int) -> npt.NDArray[np.int64]:
    """Returns `[K * S]`: which frequency each value of `_power` is, from 0 to N - 1, of which N - k is k again.

    Of R rows K = R // 2 + 1 are computed: the others are the same frequencies once more, since samples are real.
    """
    rows, columns = _factors(size)
    return (np.arange(rows // 2 + 1)[:, None] + rows * np.arange(columns)[None]).ravel()


def _window(size: int) -> Doubles:
    """Returns the periodic Hann window, in a scale in which a sine of full scale at a frequency has the power 1."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.asarray(2 / hann.sum() * hann)


def _band_weights(front: LogMel) -> Doubles:
    """Returns `[K * S, bands]`, by which the power of every frequency is multiplied; each frequency counts once."""
    found = _frequencies(front.frame)
    alone = np.minimum(found, front.frame - found)
    _, first = np.unique(alone, return_index=True)
    hz = alone * front.rate_hz / front.frame
    low, centre, high = (np.array(front.corners_hz[start : start + front.bands]) for start in range(3))
    rising = (hz[:, None] - low) / (centre - low)
    falling = (high - hz[:, None]) / (high - centre)
    counted = np.zeros((len(found), 1))
    counted[first] = 1.0
    return np.asarray(counted * np.clip(np.minimum(rising, falling), 0, None))


def spectrogram(samples: Any, front: LogMel) -> npt.NDArray[np.float32]:
    """Returns the log-mel spectrogram `[N, F, bands] float32` in dB of samples `[N, T, 1]` in -1 to 1.

    Samples may be windows that are cut when they are looked at.
    """
    chunk = max(1, _MOST_VALUES // (front.frames * front.frame))
    parts = [
        decibels(ArrayOperations(), samples[start : start + chunk].astype(np.float64), front).astype(np.float32)
        for start in range(0, len(samples), chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, front.frames, front.bands), np.float32)


def model_items(items: npt.NDArray[Any], vae: VaeSpec) -> npt.NDArray[Any]:
    """Returns items as p(x|z) knows them, `[N, *data_shape]` in units of the model: of sounds their spectrogram.

    Args:
        items: `[N, *input_shape]` as the encoder takes them.
        vae: The interface.
    """
    return items if vae.log_mel is None else normalized(spectrogram(items, vae.log_mel), vae.channels)
