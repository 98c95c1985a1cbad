"""Queries about convolutions in a graph, and padding, for rewrites."""

from __future__ import annotations

from typing import Any

from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.rewrites.phases import Pair
from pocketvae.keras.io import import_tensorflow


def image_size(tensor: Any) -> Pair | None:
    """Returns height and width of a tensor whose shape is fixed; None of others."""
    shape = static_shape(tensor)
    return (shape[1], shape[2]) if shape is not None and len(shape) == 4 else None


def pad(image: Any, before: Pair, after: Pair) -> Any:
    """Pads rows and columns with zeros; negative counts leave rows and columns out."""
    tf = import_tensorflow()
    amounts = [[0, 0], *([max(0, first), max(0, last)] for first, last in zip(before, after, strict=True)), [0, 0]]
    image = tf.pad(image, amounts) if any(map(any, amounts)) else image
    if min(*before, *after) >= 0:
        return image
    # After padding: a kernel of which one place sees nothing but zeros leaves out more than the image has.
    _, height, width, _ = image.shape
    rows = slice(max(0, -before[0]), height - max(0, -after[0]))
    columns = slice(max(0, -before[1]), width - max(0, -after[1]))
    return image[:, rows, columns, :]


def simple_kernel(graph: FrozenGraph, operator: Any) -> Any:
    """Returns the kernel of a convolution without strides; None of other operators."""
    if operator.type != "Conv2D" or not is_plain(operator) or any(s != 1 for s in operator.get_attr("strides")):
        return None
    kernel, image = graph.constant(operator.inputs[1]), static_shape(operator.inputs[0])
    # Fewer channels in the kernel than in the image: a grouped convolution.
    return kernel if kernel is not None and image is not None and kernel.shape[2] == image[3] else None


def is_plain(operator: Any) -> bool:
    """Whether a convolution of either kind is of float images, channels last, without dilations."""
    is_float = operator.outputs[0].dtype.name == "float32"
    return is_float and operator.get_attr("data_format") == b"NHWC" and set(operator.get_attr("dilations")) == {1}


def leading_pads(operator: Any, kernel: Any, stride: Any, large: Any, small: Any) -> Pair:
    """Returns the zeros in front of the rows and columns of a convolution from `large` to `small`."""
    padding = operator.get_attr("padding")
    if padding == b"VALID":
        return 0, 0
    if padding == b"EXPLICIT":
        amounts = operator.get_attr("explicit_paddings")
        return amounts[2], amounts[4]
    totals = [
        max(0, (short - 1) * s + length - long)
        for short, s, length, long in zip(small, stride, kernel, large, strict=True)
    ]
    return totals[0] // 2, totals[1] // 2


def layer_name(operator: Any) -> str:
    """Returns the name of the layer that an operator belongs to."""
    scope: str = operator.name.rpartition("/")[0]
    return scope or str(operator.name)
