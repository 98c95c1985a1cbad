"""Which channels of a network have to be scaled alike: those whose values meet in an addition or are only moved.

A positive factor for a channel passes through ReLU, through what only moves values and through a sum whose terms all
have it. It begins at the output of a layer with weights and ends at the input of one. Where it meets anything else, it
has to be 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.tuning.weighted import HOMOGENEOUS, FloatArray, Weighted, is_mover, weighted_layers
from pocketvae.keras.io import open_graph

_SUMS = frozenset({"Add", "AddV2"})
_SAME = HOMOGENEOUS | {"Identity"}
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The groups of a network's channels.

    Attributes:
        layers: The layers whose outputs may be scaled, with the group of each output channel.
        readers: The layers whose inputs may be scaled back, with the group of each input channel.
        tensors: The outputs of layers and sums `[1, ..., C]`, with the group of each channel.
        fixed: The groups that cannot be scaled.
        count: Number of groups.
    """

    layers: tuple[tuple[Weighted, Indices], ...]
    readers: tuple[tuple[Weighted, Indices], ...]
    tensors: tuple[tuple[Any, Indices], ...]
    fixed: frozenset[int]
    count: int

    def factors(self, largest: list[FloatArray], exponent: float, most: float) -> FloatArray:
        """Returns the factor of each group, which makes its channels alike in range to the others of their tensors.

        Where a group is in several tensors, the factor is the geometric mean of what each of them wants.

        Args:
            largest: Largest absolute value of each channel, for each of `tensors`.
            exponent: 0 leaves channels as they are, 1 makes them equal.
            most: Largest factor; a channel that is never active needs no steps.
        """
        logarithms, votes = np.zeros(self.count), np.zeros(self.count)
        for (_, groups), values in zip(self.tensors, largest, strict=True):
            of_group = np.zeros(self.count)
            np.maximum.at(of_group, groups, values)
            used = np.unique(groups)
            used = used[of_group[used] > 0]
            if len(used):
                logarithms[used] += np.log(of_group[used].max() / of_group[used])
                votes[used] += 1
        factors = np.exp(np.minimum(exponent * logarithms / np.maximum(votes, 1), np.log(most)))
        factors[list(self.fixed)] = 1
        return factors


def find_channels(graph: FrozenGraph) -> Channels:
    """Returns the groups of a graph's channels."""
    return _Finder(graph).find()


class _Finder:
    def __init__(self, graph: FrozenGraph) -> None:
        self._graph = graph
        self._parents: list[int] = []
        self._fixed: set[int] = set()
        self._nodes: dict[str, Indices] = {}
        self._held: list[Any] = []
        self._layers = {layer.operator.name: layer for layer in weighted_layers(graph)}
        # What belongs to a layer's tail is computed with it.
        self._inside = {name for layer in self._layers.values() for name in _between(graph, layer)}

    def find(self) -> Channels:
        """Looks at every operator in order."""
        readers = []
        for operator in self._graph.operators:
            layer = self._layers.get(operator.name)
            if layer is not None:
                readers.append((layer, self._channels(layer.data)))
                self._hold(layer.tail.end, self._fresh(len(layer.tail.scale)))
            elif operator.name not in self._inside:
                self._follow(operator)
        for name in self._graph.outputs:
            self._fix(self._graph.graph.get_tensor_by_name(name))
        roots = np.array([self._root(index) for index in range(len(self._parents))], np.int64)
        _, numbers = np.unique(roots, return_inverse=True)
        return Channels(
            layers=tuple((layer, numbers[self._nodes[layer.tail.end.name]]) for layer in self._layers.values()),
            readers=tuple((layer, numbers[nodes]) for layer, nodes in readers),
            tensors=tuple((tensor, numbers[self._nodes[tensor.name]]) for tensor in self._held),
            fixed=frozenset(int(numbers[index]) for index in self._fixed),
            count=int(numbers.max()) + 1 if len(numbers) else 0,
        )

    def _follow(self, operator: Any) -> None:
        known = [tensor for tensor in operator.inputs if tensor.name in self._nodes]
        if not known:
            return
        first, result = operator.inputs[0], operator.outputs[0]
        if operator.type in _SAME and len(operator.inputs) == 1:
            self._nodes[result.name] = self._channels(first)
        elif operator.type in _SUMS and len(known) == len(operator.inputs) and _same_shape(operator.inputs):
            for one, other in zip(*map(self._channels, operator.inputs), strict=True):
                self._join(int(one), int(other))
            self._hold(result, self._channels(first))
        elif is_mover(operator) and first.name in self._nodes and len(known) == 1 and static_shape(first) is not None:
            self._nodes[result.name] = self._moved(first, result)
        else:
            for tensor in known:
                self._fix(tensor)

    def _moved(self, source: Any, target: Any) -> Indices:
        """Returns the channels of moved values, found by moving the channels' numbers."""
        nodes = self._channels(source)
        shape = static_shape(source) or ()
        # Zero is what padding adds.
        numbers = np.broadcast_to(np.arange(1, shape[-1] + 1, dtype=np.float32), shape)
        with open_graph(self._graph.graph) as session:
            moved = np.asarray(session.run(target, {source: numbers}))
        moved = moved.reshape(-1, moved.shape[-1]).astype(np.int64)
        if len(moved) == 1 and moved.all():  # many channels, as of a flattened image
            return np.asarray(nodes[moved[0] - 1], np.int64)
        found = np.empty(moved.shape[1], np.int64)
        for channel in range(moved.shape[1]):
            sources = [int(nodes[number - 1]) for number in np.unique(moved[:, channel]) if number > 0]
            found[channel] = sources[0] if sources else self._fresh(1)[0]
            for other in sources[1:]:
                self._join(int(found[channel]), other)
        return found

    def _channels(self, tensor: Any) -> Indices:
        """Returns the channels of a tensor; those of one that holds no layer's values cannot be scaled."""
        if tensor.name not in self._nodes:
            self._nodes[tensor.name] = self._fresh(int(tensor.shape[-1]))
            self._fix(tensor)
        return self._nodes[tensor.name]

    def _hold(self, tensor: Any, nodes: Indices) -> None:
        self._nodes[tensor.name] = nodes
        self._held.append(tensor)

    def _fix(self, tensor: Any) -> None:
        self._fixed.update(map(int, self._nodes.get(tensor.name, ())))

    def _fresh(self, count: int) -> Indices:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def _root(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = self._parents[index]
        return index

    def _join(self, one: int, other: int) -> None:
        self._parents[self._root(other)] = self._root(one)


def _same_shape(tensors: Any) -> bool:
    shapes = [static_shape(tensor) for tensor in tensors]
    return shapes[0] is not None and shapes[0] == shapes[1]


def _between(graph: FrozenGraph, layer: Weighted) -> set[str]:
    """Returns the operators from a layer to the end of its tail."""
    names, operator = set[str](), layer.tail.end.op
    while operator.name != layer.operator.name:
        names.add(operator.name)
        operator = next(source.op for source in operator.inputs if graph.constant(source) is None)
    return names
