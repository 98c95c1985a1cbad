"""Recognition of operators that repeat or rearrange pixels, in every form that frameworks use."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.export.rewrites.convolutions import image_size
from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.rewrites.phases import Pair

_INTERLEAVE = [0, 1, 3, 2, 4, 5]


def enlarged(graph: FrozenGraph, tensor: Any) -> tuple[Any, Pair] | None:
    """Returns the image whose pixels are repeated to give a tensor, and how often, `(y, x)`; None where none are.

    Keras 2 resizes to the nearest neighbour; Keras 3 and `tf.repeat` expand, tile and reshape, one axis at a time.
    """
    rows, columns, source = 1, 1, tensor
    while graph.only_consumer(source) is not None:
        step = _resized(source) if source.op.type == "ResizeNearestNeighbor" else _repeated(graph, source)
        if step is None:
            break
        source, (more_rows, more_columns) = step
        rows, columns = rows * more_rows, columns * more_columns
    return (source, (rows, columns)) if rows * columns > 1 else None


def shuffled(graph: FrozenGraph, tensor: Any) -> tuple[int, Any] | None:
    """Returns block and result of the depth-to-space that alone reads an image; None where there is none."""
    first = graph.only_consumer(tensor)
    if first is None:
        return None
    if first.type == "DepthToSpace" and first.get_attr("data_format") == b"NHWC":
        return first.get_attr("block_size"), first.outputs[0]
    middle = graph.only_consumer(first.outputs[0])
    last = graph.only_consumer(middle.outputs[0]) if middle is not None else None
    kinds = [operator.type for operator in (first, middle, last) if operator is not None]
    if last is None or kinds != ["Reshape", "Transpose", "Reshape"]:
        return None
    image, split, joined = (static_shape(value) for value in (tensor, first.outputs[0], last.outputs[0]))
    order = graph.constant(middle.inputs[1])
    if image is None or split is None or len(split) != 6 or order is None or order.tolist() != _INTERLEAVE:
        return None
    count, height, width, channels = image
    block = split[3]
    expected = (count, height, width, block, block, channels // block**2)
    is_shuffle = split == expected and joined == (count, height * block, width * block, channels // block**2)
    return (block, last.outputs[0]) if is_shuffle else None


def _resized(tensor: Any) -> tuple[Any, Pair] | None:
    source = tensor.op.inputs[0]
    small, large = image_size(source), image_size(tensor)
    if small is None or large is None or tensor.op.get_attr("align_corners"):
        return None
    factor = large[0] // small[0], large[1] // small[1]
    return (source, factor) if (small[0] * factor[0], small[1] * factor[1]) == large else None


def _repeated(graph: FrozenGraph, tensor: Any) -> tuple[Any, Pair] | None:
    """Recognizes Reshape(Tile(ExpandDims(image))), or with a Reshape that expands."""
    tile = tensor.op.inputs[0].op if tensor.op.type == "Reshape" else None
    expand = tile.inputs[0].op if tile is not None and tile.type == "Tile" else None
    if tile is None or expand is None or expand.type not in ("ExpandDims", "Reshape"):
        return None
    source, multiples = expand.inputs[0], graph.constant(tile.inputs[1])
    image, expanded = static_shape(source), static_shape(expand.outputs[0])
    if image is None or expanded is None or multiples is None or len(image) != 4 or len(expanded) != 5:
        return None
    axis, factor = int(np.argmax(multiples)), int(np.max(multiples))
    if axis not in (2, 3) or np.prod(multiples) != factor or expanded != (*image[:axis], 1, *image[axis:]):
        return None
    factors = (factor, 1) if axis == 2 else (1, factor)
    grown = image[1] * factors[0], image[2] * factors[1]
    return (source, factors) if static_shape(tensor) == (image[0], *grown, image[3]) else None
