"""Channels of one layer made alike in range, and the weights of the next layer to match.

All channels of a tensor share one scale of integers, so that a channel with small values has few steps. A positive
factor for a channel passes through biases, ReLU, sums and everything that only moves values; the next layer divides by
it. Weights have a scale for each output channel, so that the first layer loses nothing. (Cross-layer equalization,
Nagel et al. 2019, for networks that also reshape, rearrange and add between layers.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.tuning.channels import find_channels
from pocketvae.export.tuning.samples import Inputs, largest_values
from pocketvae.export.tuning.weighted import FloatArray, Weighted
from pocketvae.keras.io import import_tensorflow

# A channel that is never active needs no steps.
_LARGEST_FACTOR = 64.0


def equalize(graph: FrozenGraph, samples: Inputs, exponent: float) -> tuple[FrozenGraph, int]:
    """Returns the graph with equalized channels, and how many layers read such.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`.
        exponent: See `Tuning.exponent`.

    Raises:
        FloatingPointError: a value inside the network is not finite.
    """
    channels = find_channels(graph)
    readers = [layer for layer, groups in channels.readers if not channels.fixed.issuperset(map(int, groups))]
    if not readers:
        return graph, 0
    largest = largest_values(graph, [tensor for tensor, _ in channels.tensors], samples)
    factors = channels.factors(largest, exponent, _LARGEST_FACTOR)
    outgoing = {layer.operator.name: factors[groups] for layer, groups in channels.layers}
    incoming = {layer.operator.name: factors[groups] for layer, groups in channels.readers}
    replacements = {}
    with graph.graph.as_default():
        for layer, _ in channels.layers:
            name = layer.operator.name
            if np.any(outgoing[name] != 1) or np.any(incoming[name] != 1):
                old, new = _emit(layer, outgoing[name], incoming[name])
                replacements[old.name] = new
    return (graph.replaced(replacements), len(readers)) if replacements else (graph, 0)


def _emit(layer: Weighted, outgoing: FloatArray, incoming: FloatArray) -> tuple[Any, Any]:
    """Adds a layer with scaled channels; returns the tensor that it replaces, and its own."""
    tf = import_tensorflow()
    kernel = layer.scaled_inputs(1 / incoming)
    with tf.name_scope(layer.name):
        if np.all(outgoing == 1):
            return layer.operator.outputs[0], layer.emit(layer.data, kernel)
        tail = layer.tail
        value = layer.emit(layer.data, layer.scaled_outputs(kernel, tail.scale * outgoing))
        value = tf.nn.bias_add(value, (tail.shift * outgoing).astype(np.float32))
        return tail.end, tail.activate(value)
