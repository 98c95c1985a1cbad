"""Rewrite of layers that enlarge an image as ordinary convolutions of the small image with interleaved results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.export.rewrites.convolutions import image_size, is_plain, layer_name, leading_pads, pad, simple_kernel
from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.rewrites.moves import enlarged, shuffled
from pocketvae.export.rewrites.names import Form
from pocketvae.export.rewrites.phases import (
    Pair,
    Phases,
    Window,
    of_resized_convolution,
    of_shuffled_convolution,
    of_transposed_convolution,
)
from pocketvae.export.rewrites.tails import Tail, read_tail
from pocketvae.keras.io import import_tensorflow


@dataclass(frozen=True, kw_only=True)
class Upsampling:
    """A place in a graph.

    Attributes:
        name: Of the layer.
        source: The small image's tensor.
        phases: What is computed of it, with biases.
        tail: Whose activation follows.
        end: The tensor that is replaced.
    """

    name: str
    source: Any
    phases: Phases
    tail: Tail
    end: Any


Find = Callable[[FrozenGraph, Any], Upsampling | None]


def find_transposed(graph: FrozenGraph, operator: Any) -> Upsampling | None:
    """Recognizes a transposed convolution that enlarges."""
    if operator.type != "Conv2DBackpropInput" or not is_plain(operator):
        return None
    kernel, source = graph.constant(operator.inputs[1]), operator.inputs[2]
    small, large = image_size(source), image_size(operator.outputs[0])
    stride = operator.get_attr("strides")[1], operator.get_attr("strides")[2]
    if kernel is None or small is None or large is None or max(stride) < 2:
        return None
    pads = leading_pads(operator, kernel.shape[:2], stride, large, small)
    phases = of_transposed_convolution(kernel.transpose(0, 1, 3, 2), stride, pads, small, large)
    return _with_tail(graph, operator, source, phases)


def find_resized(graph: FrozenGraph, operator: Any) -> Upsampling | None:
    """Recognizes a convolution behind an enlargement by repetition."""
    kernel = simple_kernel(graph, operator)
    found = enlarged(graph, operator.inputs[0]) if kernel is not None else None
    if kernel is None or found is None:
        return None
    source, factor = found
    small, large = image_size(source), image_size(operator.inputs[0])
    output = image_size(operator.outputs[0])
    if small is None or large is None or output is None:
        return None
    pads = leading_pads(operator, kernel.shape[:2], (1, 1), large, output)
    return _with_tail(graph, operator, source, of_resized_convolution(kernel, factor, pads, small, output))


def find_shuffled(graph: FrozenGraph, operator: Any) -> Upsampling | None:
    """Recognizes a convolution with a depth-to-space behind it."""
    kernel = simple_kernel(graph, operator)
    if kernel is None:
        return None
    tail = read_tail(graph, operator.outputs[0], kernel.shape[3])
    found = shuffled(graph, tail.end)
    if found is None:
        return None
    block, end = found
    small, large = image_size(operator.inputs[0]), image_size(end)
    convolved = image_size(operator.outputs[0])
    if small is None or large is None or convolved is None:
        return None
    pads = leading_pads(operator, kernel.shape[:2], (1, 1), small, convolved)
    phases = of_shuffled_convolution(kernel, block, pads, small, large)
    shape = phases.bias.shape
    phases = phases.scaled(tail.scale.reshape(shape), tail.shift.reshape(shape))
    return Upsampling(name=layer_name(operator), source=operator.inputs[0], phases=phases, tail=tail, end=end)


def rewrite(graph: FrozenGraph, find: Find, form: Form) -> tuple[FrozenGraph, int]:
    """Returns the graph with every place that `find` recognizes rewritten, and how many there are."""
    tf = import_tensorflow()
    places = [place for operator in graph.operators if (place := find(graph, operator)) is not None]
    replacements = {}
    with graph.graph.as_default():
        for place in places:
            with tf.name_scope(place.name):
                emit = _emit_rows if form is Form.ROWS else _emit_phases
                replacements[place.end.name] = _cut(emit(place), place.phases.output_size)
    return (graph.replaced(replacements), len(places)) if places else (graph, 0)


def _emit_rows(place: Upsampling) -> Any:
    """Rows of a block: a row of pixels is contiguous, so that joining them copies whole rows."""
    tf = import_tensorflow()
    phases = place.phases.with_fewest_columns()
    (height, width), (rows, columns) = phases.blocks, phases.stride
    joined = []
    for row in range(rows):
        window = phases.window([row], range(columns))
        image = _convolve(place, window, phases.bias[row].reshape(-1), f"row{row}")
        if phases.skip[1] or width * columns != phases.output_size[1]:
            image = tf.reshape(image, (-1, height, width * columns, phases.channels))
            image = image[:, :, phases.skip[1] : phases.skip[1] + phases.output_size[1], :]
        joined.append(tf.reshape(image, (-1, 1, phases.output_size[1] * phases.channels)))
    return tf.reshape(tf.concat(joined, 1), (-1, height * rows, phases.output_size[1], phases.channels))


def _emit_phases(place: Upsampling) -> Any:
    """Places of a block: one convolution each, joined to rows and these to images."""
    tf = import_tensorflow()
    phases = place.phases
    (height, width), (rows, columns) = phases.blocks, phases.stride
    joined = []
    for row in range(rows):
        parts = []
        for column in range(columns):
            window = phases.window([row], [column])
            image = _convolve(place, window, phases.bias[row, column], f"phase{row}{column}")
            parts.append(tf.reshape(image, (-1, 1, phases.channels)))
        joined.append(tf.reshape(tf.concat(parts, 1), (-1, 1, width * columns * phases.channels)))
    return tf.reshape(tf.concat(joined, 1), (-1, height * rows, width * columns, phases.channels))


def _convolve(place: Upsampling, window: Window, bias: Any, name: str) -> Any:
    tf = import_tensorflow()
    with tf.name_scope(name):
        image = pad(place.source, window.before, window.after)
        image = tf.nn.conv2d(image, window.kernel, 1, "VALID")
        return place.tail.activate(tf.nn.bias_add(image, bias) if np.any(bias) else image)


def _cut(image: Any, size: Pair) -> Any:
    return image if tuple(image.shape[1:3]) == tuple(size) else image[:, : size[0], : size[1], :]


def _with_tail(graph: FrozenGraph, operator: Any, source: Any, phases: Phases) -> Upsampling:
    tail = read_tail(graph, operator.outputs[0], phases.channels)
    phases = phases.scaled(tail.scale, tail.shift)
    return Upsampling(name=layer_name(operator), source=source, phases=phases, tail=tail, end=tail.end)
