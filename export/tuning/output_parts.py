"""The range before the head in parts of 8 bits each.

A last layer that computes logits has one scale of integers for all of them. With a range of 18 and two parts, one copy
of the layer's channels has the logits from -9 to 0 and the other those from 0 to 9; each is a ReLU6 of the shifted and
scaled logit, and their sum is the logit, clipped to the range.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.tuning.names import FLOAT_SCOPE
from pocketvae.export.tuning.samples import Inputs, largest_values
from pocketvae.export.tuning.weighted import Weighted, is_mover, weighted_layers
from pocketvae.keras.io import import_tensorflow

_RELU6 = 6.0


def split_output(graph: FrozenGraph, samples: Inputs, parts: int, heads: dict[str, float]) -> tuple[FrozenGraph, int]:
    """Returns the graph with the layers before its heads in parts, and how many these are.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`.
        parts: Number of parts.
        heads: The heads' operators, and the largest absolute input that each tells apart.

    Raises:
        FloatingPointError: a value is not finite.
    """
    found = [
        (layer, bound)
        for layer in weighted_layers(graph, frozenset())
        if (bound := _head_bound(graph, layer.tail.end, heads)) is not None
    ]
    if not found:
        return graph, 0
    largest = largest_values(graph, [layer.tail.end for layer, _ in found], samples)
    tf, replacements = import_tensorflow(), {}
    with graph.graph.as_default():
        for (layer, bound), values in zip(found, largest, strict=True):
            with tf.name_scope(layer.name):
                replacements[layer.tail.end.name] = _emit(layer, parts, min(bound, float(values.max())))
    return graph.replaced(replacements), len(found)


def _emit(layer: Weighted, parts: int, bound: float) -> Any:
    tf, tail = import_tensorflow(), layer.tail
    width = 2 * bound / parts
    starts = [width * index - bound for index in range(parts)]
    factor = np.full(len(tail.scale), _RELU6 / width)
    kernel = layer.scaled_outputs(layer.kernel, tail.scale * factor)
    shifts = np.concatenate([(tail.shift - start) * factor for start in starts]).astype(np.float32)
    value = tf.nn.bias_add(layer.emit(layer.data, layer.join_outputs([kernel] * parts)), shifts)
    value = tf.nn.relu6(value)
    with tf.name_scope(FLOAT_SCOPE):
        # Not AddN: TFLite's quantizer gives its inputs, and so the parts, the scale of their sum.
        total = functools.reduce(tf.add, tf.split(value, parts, axis=-1))
        return tf.subtract(tf.multiply(total, np.float32(width / _RELU6)), np.float32(bound), name="whole")


def _head_bound(graph: FrozenGraph, tensor: Any, heads: dict[str, float]) -> float | None:
    """Returns what the head that alone reads a tensor tells apart; None where there is no head."""
    bound = None
    while (operator := graph.only_consumer(tensor)) is not None:
        if bound is None and operator.type in heads:
            bound = heads[operator.type]
        elif not is_mover(operator):
            return None
        tensor = operator.outputs[0]
    return bound if tensor.name in graph.outputs else None
