"""Rewrite of convolutions with few output channels, which leave most of a CPU's vector units idle.

Kernels compute 8 to 32 output channels at once; an image has 1 or 3. The same convolution for a whole block of `b` by
`b` pixels at a time has `b * b` times as many: its kernel is the old one at every place of the block, its stride is b,
and depth-to-space puts the pixels where they belong. Where the convolution has a depth-to-space of its own behind it,
one of a larger block does both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.convolutions import image_size, layer_name, leading_pads, pad, simple_kernel
from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.rewrites.moves import shuffled
from pocketvae.export.rewrites.phases import Pair
from pocketvae.export.rewrites.tails import FUSED_ACTIVATIONS, Tail, read_tail
from pocketvae.keras.io import import_tensorflow

_MOST_CHANNELS = 4
_LARGEST_BLOCK = 8
# Output channels that common kernels compute together (XNNPACK: 8 with NEON, 16 with AVX2 and AVX-512).
_VECTOR = 16


@dataclass(frozen=True, kw_only=True)
class NarrowConvolution:
    """A place in a graph.

    Attributes:
        name: Of the layer.
        source: Its input.
        kernel: `[kh, kw, C_in, C_out] float32`, scales of the tail included.
        pads: Zeros in front of rows and columns.
        size: Height and width of the output.
        block: Pixels of a block, along one side.
        tail: Biases and activation.
        shuffle: Block of the depth-to-space that alone reads the output; 1 where there is none.
        end: The tensor that is replaced.
    """

    name: str
    source: Any
    kernel: npt.NDArray[np.float32]
    pads: Pair
    size: Pair
    block: int
    tail: Tail
    shuffle: int
    end: Any


def rewrite(graph: FrozenGraph) -> tuple[FrozenGraph, int]:
    """Returns the graph with all its narrow convolutions by blocks, and how many there are."""
    tf = import_tensorflow()
    places = [place for operator in graph.operators if (place := _find(graph, operator)) is not None]
    replacements = {}
    with graph.graph.as_default():
        for place in places:
            with tf.name_scope(place.name):
                replacements[place.end.name] = _emit(place)
    return (graph.replaced(replacements), len(places)) if places else (graph, 0)


def best_block(kernel: Pair, channels: int, size: Pair) -> int:
    """Returns the block whose convolution keeps the vector units least busy; 1 where that is the plain one.

    Args:
        kernel: Height and width.
        channels: Of the output.
        size: Height and width of the output, which blocks must fill.
    """

    def work_per_pixel(block: int) -> float:
        taps = (kernel[0] + block - 1) * (kernel[1] + block - 1)
        vectors = -(-block * block * channels // _VECTOR)
        return taps * vectors / block**2

    common = gcd(*size)
    return min((b for b in range(1, _LARGEST_BLOCK + 1) if common % b == 0), key=work_per_pixel)


def of_block(kernel: npt.NDArray[np.float32], block: int) -> npt.NDArray[np.float32]:
    """Returns the kernel for blocks, `[kh + b - 1, kw + b - 1, C_in, b * b * C_out]`."""
    height, width, inputs, outputs = kernel.shape
    wide = np.zeros((height + block - 1, width + block - 1, inputs, block, block, outputs), np.float32)
    for y in range(block):
        for x in range(block):
            wide[y : y + height, x : x + width, :, y, x] = kernel
    return wide.reshape(*wide.shape[:3], -1)


def joined_order(first: int, second: int, channels: int) -> npt.NDArray[np.intp]:
    """Returns the channels in the order in which one depth-to-space does what two do one after the other.

    Args:
        first: Block of the first.
        second: Block of the second.
        channels: Behind the first, a multiple of `second * second`.
    """
    places = np.arange(first**2 * channels).reshape(first, first, second, second, -1)
    return places.transpose(0, 2, 1, 3, 4).ravel()


def _find(graph: FrozenGraph, operator: Any) -> NarrowConvolution | None:
    kernel = simple_kernel(graph, operator)
    if kernel is None:
        return None
    size, large = image_size(operator.outputs[0]), image_size(operator.inputs[0])
    if size is None or large is None:
        return None
    channels = kernel.shape[3]
    block = best_block(kernel.shape[:2], channels, size) if channels <= _MOST_CHANNELS else 1
    if block == 1:
        return None
    tail = read_tail(graph, operator.outputs[0], channels, FUSED_ACTIVATIONS)
    shuffle, end = shuffled(graph, tail.end) or (1, tail.end)
    return NarrowConvolution(
        name=layer_name(operator),
        source=operator.inputs[0],
        kernel=(kernel * tail.scale).astype(np.float32),
        pads=leading_pads(operator, kernel.shape[:2], (1, 1), large, size),
        size=size,
        block=block,
        tail=tail,
        shuffle=shuffle,
        end=end,
    )


def _emit(place: NarrowConvolution) -> Any:
    tf = import_tensorflow()
    block, (height, width) = place.block, place.kernel.shape[:2]
    _, rows, columns, _ = place.source.shape
    after = (
        place.size[0] + height - 1 - rows - place.pads[0],
        place.size[1] + width - 1 - columns - place.pads[1],
    )
    order = joined_order(block, place.shuffle, place.kernel.shape[3])
    kernel = of_block(place.kernel, block)[..., order]
    image = tf.nn.conv2d(pad(place.source, place.pads, after), kernel, block, "VALID")
    if np.any(place.tail.shift):
        image = tf.nn.bias_add(image, np.tile(place.tail.shift, block**2).astype(np.float32)[order])
    return tf.nn.depth_to_space(place.tail.activate(image), block * place.shuffle)
