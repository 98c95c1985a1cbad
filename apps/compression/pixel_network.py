"""A small integer network that predicts the probability of each value of the next pixel from the pixels before it.

It sees a window of the rows above and of the pixels to the left. Every weight and activation is an integer, and
every sum stays far below 2^53, so a matrix product in float64 is exact whatever the order of its additions: all
machines compute the same probabilities, which an entropy coder needs and a float network cannot guarantee.

A pixel is a path of decisions: is it 0; and if not, the eight bits of its value, the highest first, each with the
probability that belongs to the bits before it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvae.apps.compression.rans import TOTAL
from pocketvae.errors import DataError

# Fixed point: the number of fractional bits of activations, weights and logits.
ACTIVATION_BITS = 10
WEIGHT_BITS = 12
LOGIT_BITS = 8
INPUT_WEIGHT_BITS = 16
_ACTIVATION_LIMIT = 1 << 15
# exp(-9.6) is about 1/16384, the smallest probability of the coder.
LOGIT_LIMIT = round(9.6 * 2**LOGIT_BITS)
TREE_NODES = 256
_LARGEST_REACH = 64
VALUE_BITS = 8

Pixels = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """The pixels before the current one that the network sees.

    Attributes:
        above: Rows above.
        beside: Columns to the left and right in those rows, and to the left in the current one.
    """

    above: int
    beside: int

    def __post_init__(self) -> None:
        if not (0 <= self.above <= _LARGEST_REACH and 1 <= self.beside <= _LARGEST_REACH):
            raise DataError(
                f"a window must reach 0 to {_LARGEST_REACH} rows and 1 to {_LARGEST_REACH} columns, "
                f"got {self.above} and {self.beside}"
            )

    @property
    def offsets(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns relative to the current pixel, all of them earlier in raster order."""
        rows = [(dy, dx) for dy in range(-self.above, 0) for dx in range(-self.beside, self.beside + 1)]
        return (*rows, *((0, dx) for dx in range(-self.beside, 0)))

    @property
    def input_count(self) -> int:
        """Number of inputs of the network: the value of every pixel, and whether it is not 0."""
        return 2 * len(self.offsets)

    def pad(self, images: Pixels) -> Pixels:
        """Returns `[N, H, W]` with zeros around, so that every window lies inside."""
        return np.pad(images, ((0, 0), (self.above, 0), (self.beside, self.beside)))

    def inputs(self, padded: Pixels, row: int, column: int) -> Pixels:
        """Returns the inputs at one pixel of every image, `[N, I] uint8`."""
        top, left = row + self.above, column + self.beside
        rows = padded[:, row:top, column : left + self.beside + 1].reshape(len(padded), -1)
        values = np.concatenate([rows, padded[:, top, column:left]], axis=1)
        return _with_flags(values)

    def inputs_of_row(self, padded: Pixels, row: int, columns: slice) -> Pixels:
        """Returns the inputs at some pixels of a row of every image, `[N, K, I] uint8`."""
        top = row + self.above
        views = np.lib.stride_tricks.sliding_window_view
        rows = views(padded[:, row:top], 2 * self.beside + 1, axis=2)[:, :, columns].transpose(0, 2, 1, 3)
        left = views(padded[:, top], self.beside, axis=1)[:, columns]
        return _with_flags(np.concatenate([rows.reshape(*left.shape[:2], -1), left], axis=2))


def _with_flags(values: Pixels) -> Pixels:
    """Returns values, and behind them whether each is not 0."""
    return np.concatenate([values, np.where(values > 0, np.uint8(255), np.uint8(0))], axis=-1)


class _Weights(NamedTuple):
    inputs: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]
    columns: npt.NDArray[np.float64]
    hidden: npt.NDArray[np.float64]
    hidden_bias: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.float64]
    decisions_bias: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelNetwork:
    """Two hidden layers and one logit per decision; all arrays hold integers.

    Attributes:
        window: The pixels that it sees.
        inputs: `[I, A]`, weights of the first layer.
        rows: `[H, A]`, biases of the first layer that depend on the row.
        columns: `[W, A]`, those that depend on the column.
        hidden: `[A, B]`.
        hidden_bias: `[B]`.
        decisions: `[B, 256]`: column 0 is the decision whether the pixel is 0, column n the one at node n of the tree
            of bits, whose root is 1.
        decisions_bias: `[256]`.
        squash: `[2 * LOGIT_LIMIT + 1]`: maps a logit to a probability in 1/16384.
    """

    window: Window
    inputs: Integers
    rows: Integers
    columns: Integers
    hidden: Integers
    hidden_bias: Integers
    decisions: Integers
    decisions_bias: Integers
    squash: Integers

    def __post_init__(self) -> None:
        first, second = self.inputs.shape[1], self.hidden.shape[1]
        expected = {
            "inputs": (self.window.input_count, first),
            "rows": (len(self.rows), first),
            "columns": (len(self.columns), first),
            "hidden": (first, second),
            "hidden_bias": (second,),
            "decisions": (second, TREE_NODES),
            "decisions_bias": (TREE_NODES,),
            "squash": (2 * LOGIT_LIMIT + 1,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DataError(f"the pixel network's {name} must be {shape}, got {getattr(self, name).shape}")
        if self.squash.min() < 1 or self.squash.max() >= TOTAL:
            raise DataError(f"probabilities must be 1 to {TOTAL - 1} of {TOTAL}")
        for kind, names, bits in (
            ("weights", ("inputs", "hidden", "decisions"), 24),
            ("biases", ("rows", "columns", "hidden_bias", "decisions_bias"), 48),
        ):
            largest = max(_largest(getattr(self, name)) for name in names)
            if largest >= 1 << bits:
                raise DataError(f"{kind} must stay below 2^{bits} for exact sums, got {largest}")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it was fitted to."""
        return len(self.rows), len(self.columns)

    def features(self, inputs: Pixels, row: int, column: int) -> npt.NDArray[np.float64]:
        """Returns the second hidden layer at one pixel of every image, `[N, B]` integers."""
        return self._features(inputs, self._real.rows[row] + self._real.columns[column])

    def features_of_row(self, inputs: Pixels, row: int, columns: slice) -> npt.NDArray[np.float64]:
        """Returns the second hidden layer at some pixels of a row of every image, `[N, K, B]` integers.

        Args:
            inputs: `[N, K, I]`.
            row: The row.
            columns: K columns of it.
        """
        count, width, size = inputs.shape
        biases = np.tile(self._real.rows[row] + self._real.columns[columns], (count, 1))
        return self._features(inputs.reshape(-1, size), biases).reshape(count, width, -1)

    def _features(self, inputs: Pixels, biases: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        first = inputs.astype(np.float64) @ self._real.inputs
        first += biases
        second = _activate(first, INPUT_WEIGHT_BITS - ACTIVATION_BITS) @ self._real.hidden + self._real.hidden_bias
        return _activate(second, WEIGHT_BITS)

    @functools.cached_property
    def _real(self) -> _Weights:
        """The integers in float64, which holds them exactly and multiplies them faster."""
        return _Weights(*(getattr(self, name).astype(np.float64) for name in _Weights._fields))

    def zero_probabilities(self, features: npt.NDArray[np.float64]) -> Integers:
        """Returns the probability that the pixel is 0, in 1/16384, `[N]`."""
        return self._squashed(features @ self._real.decisions[:, 0] + self._real.decisions_bias[0])

    def all_probabilities(self, features: npt.NDArray[np.float64]) -> Integers:
        """Returns the probabilities at all nodes, `[N, 256]`."""
        return self._squashed(features @ self._real.decisions + self._real.decisions_bias)

    def _squashed(self, sums: npt.NDArray[np.float64]) -> Integers:
        logits = np.floor(sums * 2.0 ** -(ACTIVATION_BITS + WEIGHT_BITS - LOGIT_BITS))
        ones: Integers = self.squash[np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.int64) + LOGIT_LIMIT]
        return ones


def squash_table() -> Integers:
    """Returns the logistic function as integers, which is stored with a network and never computed again."""
    logits = np.arange(-LOGIT_LIMIT, LOGIT_LIMIT + 1) / 2**LOGIT_BITS
    table: Integers = np.clip(np.round(TOTAL / (1 + np.exp(-logits))), 1, TOTAL - 1).astype(np.int64)
    return table


def _largest(values: Integers) -> int:
    # The magnitude of the lowest int64 is not an int64.
    return max(int(values.max()), -int(values.min()))


def _activate(sums: npt.NDArray[np.float64], shift: int) -> npt.NDArray[np.float64]:
    # A product with a power of two and floor are exact, like a shift.
    shifted: npt.NDArray[np.float64] = np.clip(np.floor(sums * 2.0**-shift), 0, _ACTIVATION_LIMIT)
    return shifted
