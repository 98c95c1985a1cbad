"""The range before the head in parts of 8 bits each.

A last layer that computes logits has one scale of integers for all of them. With a range of 18 and two parts, one copy
of the layer's channels has the logits from -9 to 0 and the other those from 0 to 9; each is a ReLU6 of the shifted and
scaled logit, and their sum is the logit, clipped to the range. Pixels that the head clips to [0, 1] are parted alike.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.tuning.names import FLOAT_SCOPE, LOGIT_BOUND, Head
from pocketvae.export.tuning.samples import Inputs, largest_values
from pocketvae.export.tuning.weighted import Weighted, is_mover, weighted_layers
from pocketvae.keras.io import import_tensorflow

_RELU6 = 6.0
Range = tuple[float, float]
# Of a clipping to [0, 1]: values beyond it make room for the correction of mean errors, and a shift of 0 would be
# optimized away.
_ROOM = 2.0**-10
# The range that a head tells apart. tanh(x) = 2 sigmoid(2 x) - 1, so half the logit moves it as far.
_RANGES: dict[Head, Range] = {
    Head.NONE: (-_ROOM, 1.0 + _ROOM),
    Head.SIGMOID: (-LOGIT_BOUND, LOGIT_BOUND),
    Head.TANH: (-LOGIT_BOUND / 2, LOGIT_BOUND / 2),
}
_HEADS = {"Sigmoid": Head.SIGMOID, "Tanh": Head.TANH}
# A clipping to [0, 1] in either order.
_CLIPS = {"Minimum": 1.0, "Maximum": 0.0}


def split_output(graph: FrozenGraph, samples: Inputs, parts: int) -> tuple[FrozenGraph, int]:
    """Returns the graph with the layers before its heads in parts, and how many these are.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`.
        parts: Number of parts.

    Raises:
        FloatingPointError: a value is not finite.
    """
    found = [
        (layer, head)
        for layer in weighted_layers(graph, frozenset())
        if (head := _head(graph, layer.tail.end)) is not None
    ]
    if not found:
        return graph, 0
    largest = largest_values(graph, [layer.tail.end for layer, _ in found], samples)
    tf, replacements = import_tensorflow(), {}
    with graph.graph.as_default():
        for (layer, head), values in zip(found, largest, strict=True):
            most, (low, high) = float(values.max()), _RANGES[head]
            if most == 0:  # A layer that makes nothing has no range to part.
                continue
            with tf.name_scope(layer.name):
                limits = max(low, -most), min(high, most)
                replacements[layer.tail.end.name] = add_parts(layer, parts, limits, head)
    return (graph.replaced(replacements), len(replacements)) if replacements else (graph, 0)


def is_before_head(graph: FrozenGraph, layer: Weighted) -> bool:
    """Whether a layer's values, moved at the most, go to a head and nowhere else."""
    return _head(graph, layer.tail.end) is not None


def add_parts(layer: Weighted, parts: int, limits: Range, head: Head = Head.NONE) -> Any:
    """Adds a layer and its tail to the graph, as a sum of parts, clipped to a range.

    Args:
        layer: The layer.
        parts: Number of parts.
        limits: The range.
        head: What follows the sum.
    """
    tf, tail = import_tensorflow(), layer.tail
    low, high = limits
    width = (high - low) / parts
    starts = [width * index + low for index in range(parts)]
    factor = np.full(len(tail.scale), _RELU6 / width)
    kernel = layer.scaled_outputs(layer.kernel, tail.scale * factor)
    shifts = np.concatenate([(tail.shift - start) * factor for start in starts]).astype(np.float32)
    value = tf.nn.bias_add(layer.emit(layer.data, layer.join_outputs([kernel] * parts)), shifts)
    value = tf.nn.relu6(value)
    with tf.name_scope(FLOAT_SCOPE):
        # Not AddN: TFLite's quantizer gives its inputs, and so the parts, the scale of their sum.
        total = functools.reduce(tf.add, tf.split(value, parts, axis=-1))
        # A constant for each channel, in which `quantize.corrections` takes off their mean errors.
        shift = np.full(len(tail.scale), -low, np.float32)
        return tf.subtract(tf.multiply(total, np.float32(width / _RELU6)), shift, name=head.value)


def _head(graph: FrozenGraph, tensor: Any) -> Head | None:
    """Returns the head that alone reads a tensor, `Head.NONE` for a clipping; None where there is no head."""
    bend, clips = None, set[str]()
    while (operator := graph.only_consumer(tensor)) is not None:
        if operator.type in _CLIPS and bend is None and _bound(graph, operator) == _CLIPS[operator.type]:
            clips.add(operator.type)
        elif operator.type in _HEADS and bend is None and not clips:
            bend = _HEADS[operator.type]
        elif not is_mover(operator):
            return None
        tensor = operator.outputs[0]
    found = bend or (Head.NONE if len(clips) == len(_CLIPS) else None)
    return found if tensor.name in graph.outputs else None


def _bound(graph: FrozenGraph, operator: Any) -> float | None:
    values = graph.constant(operator.inputs[1])
    return float(values) if values is not None and values.size == 1 else None
