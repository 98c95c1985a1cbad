"""A latent in two parts of 8 bits: a coarse one, and sixteen times what it leaves.

The first layer weights both, with a sixteenth of its weights for the fine part, so that it sees a latent of about 12
bits. Both parts have the same scale of integers, and the coarse part's values lie on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.export.rewrites.frozen import VARYING, FrozenGraph
from pocketvae.export.tuning.names import FLOAT_SCOPE
from pocketvae.export.tuning.samples import Inputs, largest_values
from pocketvae.export.tuning.weighted import Weighted, weighted_layers
from pocketvae.keras.io import import_tensorflow

# More levels for the fine part leave fewer for its weights, which share a scale with those of the coarse part.
FINE_FACTOR = 16.0
_HIGHEST = 127
# What may stand between the inputs and the first layer.
_BEFORE = frozenset(
    {"Cast", "ConcatV2", "ExpandDims", "GatherV2", "Identity", "OneHot", "Reshape", "Squeeze", "Transpose"}
)


def split_latent(graph: FrozenGraph, samples: Inputs) -> tuple[FrozenGraph, int]:
    """Returns the graph with its first layers given two parts, and how many these are.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`.

    Raises:
        FloatingPointError: a value is not finite.
    """
    tf = import_tensorflow()
    layers = [layer for layer in weighted_layers(graph) if not _has_layer_before(graph, layer)]
    if not layers:
        return graph, 0
    # Values beyond the range are clipped, so that every sample counts.
    largest = largest_values(graph, [layer.data for layer in layers], samples, most=len(next(iter(samples.values()))))
    replacements = {}
    with graph.graph.as_default():
        for layer, values in zip(layers, largest, strict=True):
            largest_value = float(values.max())
            if largest_value > 0:
                with tf.name_scope(layer.name):
                    replacements[layer.operator.outputs[0].name] = give_parts(layer, layer.data, largest_value)
    return (graph.replaced(replacements), len(replacements)) if replacements else (graph, 0)


def coarse_range(step: float) -> tuple[float, float]:
    """Returns the range of which 256 integers have this step, with zero among them."""
    return -(_HIGHEST + 1) * step, _HIGHEST * step


def give_parts(layer: Weighted, data: Any, largest: float) -> Any:
    """Adds a layer that is given its data in two parts to the graph.

    Args:
        layer: The layer.
        data: What it weights.
        largest: Largest absolute value of the data.
    """
    tf, step = import_tensorflow(), largest / _HIGHEST
    with tf.name_scope(FLOAT_SCOPE):
        # Not tf.round: NNAPI does not have it, and Hexagon v68 accepts it but does not compile it.
        integers = tf.floor(tf.add(tf.multiply(data, np.float32(1 / step)), np.float32(0.5)))
        coarse = tf.multiply(integers, np.float32(step), name="coarse")
        fine = tf.multiply(tf.subtract(data, coarse), np.float32(FINE_FACTOR), name="fine")
        both = tf.concat([coarse, fine], axis=-1, name="parts")
    return layer.emit(both, layer.join_inputs([layer.kernel, layer.kernel / FINE_FACTOR]))


def _has_layer_before(graph: FrozenGraph, layer: Weighted) -> bool:
    """Whether anything but moved, joined and constant values comes before a layer."""
    waiting, seen = [layer.data], set[str]()
    while waiting:
        tensor = waiting.pop()
        operator = tensor.op
        if operator.name in seen or operator.type in VARYING or graph.constant(tensor) is not None:
            continue
        seen.add(operator.name)
        if operator.type not in _BEFORE:
            return True
        waiting += list(operator.inputs)
    return False
