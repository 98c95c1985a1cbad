"""Up-sampling by an integer factor as ordinary convolutions of the small image, one for each place in a block.

Every operator here that enlarges an image by `s` computes, for output row `s q + r`,

    y[s q + r] = sum over j of x[q + low + j] F[r, j]

and the same for columns: place r of a block always uses the same weights on the same neighbours. A transposed
convolution uses only every s-th tap of its kernel for one place, so the convolutions together need no more
multiply-adds than it does. See Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A convolution with the weights that are not zero.

    Attributes:
        kernel: `[kh, kw, C_in, C_out] float32`.
        before: Rows and columns in front of the image that the first output needs; negative ones are left out.
        after: The same behind the image, for the last output.
    """

    kernel: FloatArray
    before: Pair
    after: Pair


@dataclass(frozen=True, kw_only=True)
class Phases:
    """An up-sampling operator.

    Attributes:
        filters: `[s_y, s_x, kh, kw, C_in, C_out] float32`.
        low: Neighbour that the first tap reads, relative to the block's own pixel, `(y, x)`.
        bias: `[s_y, s_x, C_out] float32`.
        input_size: Height and width.
        output_size: Height and width; what blocks have beyond it is cut off.
        skip: Rows and columns of the first block that are cut off.
    """

    filters: FloatArray
    low: Pair
    bias: FloatArray
    input_size: Pair
    output_size: Pair
    skip: Pair = (0, 0)

    @property
    def stride(self) -> Pair:
        """Rows and columns of a block."""
        return self.filters.shape[0], self.filters.shape[1]

    @property
    def channels(self) -> int:
        """Of the output."""
        return int(self.filters.shape[-1])

    @property
    def blocks(self) -> Pair:
        """How many blocks there are, one under another and side by side."""
        rows, columns = (
            -(-(size + skip) // s) for size, skip, s in zip(self.output_size, self.skip, self.stride, strict=True)
        )
        return rows, columns

    def scaled(self, scale: npt.NDArray[Any], shift: npt.NDArray[Any]) -> Phases:
        """Returns the operator with `y * scale + shift` behind it, both `[s_y, s_x, C_out]` or broadcast to it."""
        factors = np.broadcast_to(scale, self.bias.shape)[:, :, None, None, None, :]
        return replace(
            self,
            filters=(self.filters * factors).astype(np.float32),
            bias=(self.bias * scale + shift).astype(np.float32),
        )

    def window(self, rows: Sequence[int], columns: Sequence[int]) -> Window:
        """Returns the convolution for some places of a block; its channels are `[rows, columns, C_out]`."""
        part = self.filters[np.ix_(rows, columns)]
        used = np.any(part != 0, axis=(0, 1, 4, 5))
        (top, bottom), (left, right) = _extent(used.any(axis=1)), _extent(used.any(axis=0))
        part = part[:, :, top:bottom, left:right]
        kernel = part.transpose(2, 3, 4, 0, 1, 5).reshape(bottom - top, right - left, part.shape[4], -1)
        first = self.low[0] + top, self.low[1] + left
        sizes = zip(first, kernel.shape[:2], self.blocks, self.input_size, strict=True)
        after = tuple(start + length - 1 + blocks - size for start, length, blocks, size in sizes)
        return Window(kernel=kernel, before=(-first[0], -first[1]), after=(after[0], after[1]))

    def with_fewest_columns(self) -> Phases:
        """Returns the operator with blocks moved so that the columns of a block together need fewest multiply-adds.

        A kernel that reaches out on both sides reads one neighbour less when blocks begin in the middle of others; that
        costs one more block and a cut.
        """
        variants = [self._moved(shift) for shift in range(self.stride[1])]
        places = range(self.stride[1])
        return min(variants, key=lambda moved: moved.blocks[1] * moved.window([0], places).kernel.shape[1])

    def _moved(self, shift: int) -> Phases:
        if shift == 0:
            return self
        s, width = self.stride[1], self.filters.shape[3]
        filters = np.zeros((*self.filters.shape[:3], width + 1, *self.filters.shape[4:]), np.float32)
        bias = np.zeros_like(self.bias)
        for column in range(s):
            carry, place = divmod(column + shift, s)
            start = 1 - carry
            filters[:, place, :, start : start + width] = self.filters[:, column]
            bias[:, place] = self.bias[:, column]
        return replace(self, filters=filters, bias=bias, low=(self.low[0], self.low[1] - 1), skip=(0, shift))


def of_transposed_convolution(
    kernel: FloatArray, stride: Pair, offset: Pair, input_size: Pair, output_size: Pair
) -> Phases:
    """Returns a transposed convolution, `y[s i + t - offset] += x[i] kernel[t]`.

    Args:
        kernel: `[kh, kw, C_in, C_out] float32`.
        stride: `(y, x)`.
        offset: Rows and columns cut off in front: the padding of the convolution whose gradient this is.
        input_size: Height and width.
        output_size: Height and width.
    """
    plans = [_taps(length, s, p) for length, s, p in zip(kernel.shape, stride, offset, strict=False)]
    (low_y, size_y, taps_y), (low_x, size_x, taps_x) = plans
    filters = np.zeros((*stride, size_y, size_x, *kernel.shape[2:]), np.float32)
    for row, place_y, y in taps_y:
        for column, place_x, x in taps_x:
            filters[row, column, place_y, place_x] = kernel[y, x]
    bias = np.zeros((*stride, kernel.shape[3]), np.float32)
    return Phases(filters=filters, low=(low_y, low_x), bias=bias, input_size=input_size, output_size=output_size)


def of_resized_convolution(kernel: FloatArray, factor: Pair, pad: Pair, input_size: Pair, output_size: Pair) -> Phases:
    """Returns a nearest-neighbour enlargement and the convolution behind it.

    Repeating a pixel is a transposed convolution with ones, and so the two are one with a longer kernel.

    Args:
        kernel: `[kh, kw, C_in, C_out] float32`.
        factor: Of the enlargement, `(y, x)`.
        pad: Zeros in front of the enlarged image.
        input_size: Height and width before the enlargement.
        output_size: Height and width.
    """
    height, width = kernel.shape[:2]
    flipped = kernel[::-1, ::-1].astype(np.float64)
    longer = np.zeros((height + factor[0] - 1, width + factor[1] - 1, *kernel.shape[2:]))
    for y in range(factor[0]):
        for x in range(factor[1]):
            longer[y : y + height, x : x + width] += flipped
    offset = height - 1 - pad[0], width - 1 - pad[1]
    return of_transposed_convolution(longer.astype(np.float32), factor, offset, input_size, output_size)


def of_shuffled_convolution(kernel: FloatArray, block: int, pad: Pair, input_size: Pair, output_size: Pair) -> Phases:
    """Returns a convolution and the depth-to-space behind it.

    Args:
        kernel: `[kh, kw, C_in, block * block * C_out] float32`.
        block: Of depth-to-space.
        pad: Zeros in front of the image.
        input_size: Height and width.
        output_size: Height and width after depth-to-space.
    """
    height, width, inputs, outputs = kernel.shape
    split = kernel.reshape(height, width, inputs, block, block, outputs // block**2)
    bias = np.zeros((block, block, outputs // block**2), np.float32)
    return Phases(
        filters=np.ascontiguousarray(split.transpose(3, 4, 0, 1, 2, 5)),
        low=(-pad[0], -pad[1]),
        bias=bias,
        input_size=input_size,
        output_size=output_size,
    )


def _taps(length: int, s: int, offset: int) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Returns the lowest neighbour, how many there are, and (place in the block, neighbour, tap) of every tap."""
    found = []
    for place in range(s):
        for tap in range(length):
            neighbour, rest = divmod(place + offset - tap, s)
            if rest == 0:
                found.append((place, neighbour, tap))
    low = min(neighbour for _, neighbour, _ in found)
    size = max(neighbour for _, neighbour, _ in found) - low + 1
    return low, size, [(place, neighbour - low, tap) for place, neighbour, tap in found]


def _extent(used: npt.NDArray[np.bool_]) -> Pair:
    """Returns where the used ones begin and end; one element where none is, since a kernel cannot be empty."""
    indices = np.flatnonzero(used)
    return (int(indices[0]), int(indices[-1]) + 1) if len(indices) else (0, 1)
