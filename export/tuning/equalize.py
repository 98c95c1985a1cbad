"""Channels of one layer made alike in range, and the weights of the next layer to match.

All channels of a tensor share one scale of integers, so that a channel with small values has few steps. A positive
factor for a channel passes through biases, ReLU and everything that only moves values; the next layer divides by it.
Weights have a scale for each output channel, so that the first layer loses nothing. (Cross-layer equalization, Nagel et
al. 2019, for networks that also reshape and rearrange between layers.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.tuning.samples import Inputs, largest_values
from pocketvae.export.tuning.weighted import FloatArray, Weighted, moved_from, weighted_layers
from pocketvae.keras.io import import_tensorflow

# A channel that is never active needs no steps.
_LARGEST_FACTOR = 64.0


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two layers with nothing but moved values between them.

    Attributes:
        first: Whose output channels are scaled.
        second: Whose input channels are scaled back.
        first_groups: Group of each output channel; channels of a group are scaled alike.
        second_groups: Group of each input channel.
    """

    first: Weighted
    second: Weighted
    first_groups: npt.NDArray[np.int64]
    second_groups: npt.NDArray[np.int64]

    def factors(self, largest: FloatArray, exponent: float) -> tuple[FloatArray, FloatArray]:
        """Returns the factors of the first layer's output channels and of the second's input channels."""
        of_group = np.zeros(max(self.first_groups.max(), self.second_groups.max()) + 1)
        np.maximum.at(of_group, self.first_groups, largest)
        ratio = of_group.max() / np.where(of_group > 0, of_group, of_group.max() or 1.0)
        factor = np.minimum(ratio**exponent, _LARGEST_FACTOR)
        return factor[self.first_groups], factor[self.second_groups]


def equalize(graph: FrozenGraph, samples: Inputs, exponent: float) -> tuple[FrozenGraph, int]:
    """Returns the graph with equalized channels, and between how many layers they were.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`.
        exponent: See `Tuning.exponent`.

    Raises:
        FloatingPointError: a value inside the network is not finite.
    """
    pairs = _pairs(graph)
    if not pairs:
        return graph, 0
    largest = largest_values(graph, [pair.first.tail.end for pair in pairs], samples)
    outgoing: dict[str, FloatArray] = {}
    incoming: dict[str, FloatArray] = {}
    for pair, values in zip(pairs, largest, strict=True):
        first, second = pair.factors(values, exponent)
        outgoing[pair.first.operator.name], incoming[pair.second.operator.name] = first, second
    layers = {layer.operator.name: layer for pair in pairs for layer in (pair.first, pair.second)}
    replacements = {}
    with graph.graph.as_default():
        for name, layer in layers.items():
            old, new = _emit(layer, outgoing.get(name), incoming.get(name))
            replacements[old.name] = new
    return graph.replaced(replacements), len(pairs)


def _emit(layer: Weighted, outgoing: FloatArray | None, incoming: FloatArray | None) -> tuple[Any, Any]:
    """Adds a layer with scaled channels; returns the tensor that it replaces, and its own."""
    tf = import_tensorflow()
    kernel = layer.kernel if incoming is None else layer.scaled_inputs(1 / incoming)
    with tf.name_scope(layer.name):
        if outgoing is None:
            return layer.operator.outputs[0], layer.emit(layer.data, kernel)
        tail = layer.tail
        value = layer.emit(layer.data, layer.scaled_outputs(kernel, tail.scale * outgoing))
        value = tf.nn.bias_add(value, (tail.shift * outgoing).astype(np.float32))
        return tail.end, tail.activate(value)


def _pairs(graph: FrozenGraph) -> list[_Pair]:
    layers = list(weighted_layers(graph))
    ends = {layer.tail.end.name: layer for layer in layers}
    pairs = []
    for second in layers:
        source = moved_from(graph, second.data)
        first = ends.get(source.name) if source is not None else None
        if first is None or first.operator.name == second.operator.name:
            continue
        groups = _groups(graph, source, second.data)
        pairs.append(_Pair(first=first, second=second, first_groups=groups[0], second_groups=groups[1]))
    return pairs


def _groups(graph: FrozenGraph, source: Any, target: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the groups of two tensors' channels that hold the same values, by moving the channels' numbers."""
    tf = import_tensorflow()
    shape = static_shape(source) or (1, int(source.shape[-1]))
    count = shape[-1]
    # Zero is what padding adds.
    numbers = np.broadcast_to(np.arange(1, count + 1, dtype=np.float32), shape)
    with tf.compat.v1.Session(graph=graph.graph) as session:
        moved = session.run(target, {source: numbers})
    moved = np.asarray(moved).reshape(-1, moved.shape[-1]).astype(np.int64)
    parent = list(range(count + moved.shape[1]))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for channel in range(moved.shape[1]):
        for number in np.unique(moved[:, channel]):
            if number > 0:
                parent[root(int(number) - 1)] = root(count + channel)
    _, groups = np.unique([root(index) for index in range(len(parent))], return_inverse=True)
    return groups[:count], groups[count:]
