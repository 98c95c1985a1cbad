"""The front of a graph: its first layers alone, to find the layer that a converter dies on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pocketvae.export.convert.graphs import Graph, function_of
from pocketvae.export.convert.plain_graphs import callable_of, plain
from pocketvae.export.original.inside import layer_name
from pocketvae.keras.io import import_tensorflow


@dataclass(frozen=True, kw_only=True)
class _Layer:
    name: str
    operators: tuple[Any, ...]


class Layers:
    """The layers of a graph in order of execution: runs of operators that tracing gave one layer's name."""

    def __init__(self, graph: Graph) -> None:
        """Freezes the graph."""
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        tf = import_tensorflow()
        self._whole = graph
        frozen = convert_variables_to_constants_v2(graph.function.get_concrete_function(), lower_control_flow=False)
        self._inputs = [tensor.name for tensor in frozen.inputs]
        self._definition = plain(frozen.graph.as_graph_def())
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.graph_util.import_graph_def(self._definition, name="")

    def names(self) -> tuple[str, ...]:
        """Returns the layers' names, each with its last operator."""
        return tuple(f"{layer.name!r} ({layer.operators[-1].type})" for layer in self._layers)

    def front(self, count: int) -> Graph:
        """Returns the first layers as a graph that returns all that they leave to others.

        Args:
            count: How many, at least 1.
        """
        tf = import_tensorflow()
        inside = {operator.name for layer in self._layers[:count] for operator in layer.operators}
        outputs = list(self._left_by(inside))
        definition = tf.compat.v1.graph_util.extract_sub_graph(
            self._definition, sorted({name.split(":")[0] for name in outputs})
        )
        read = {source.split(":")[0].lstrip("^") for node in definition.node for source in node.input}
        places = [place for place, name in enumerate(self._inputs) if name.split(":")[0] in read]
        call = callable_of(definition, [self._inputs[place] for place in places], outputs)

        def apply(**values: Any) -> dict[str, Any]:
            given = list(values.values())
            found = call(*(given[place] for place in places))
            # A converter takes an output that is nothing but an input for a mistake.
            return {f"output_{place}": tf.identity(value) for place, value in enumerate(found)}

        return replace(self._whole, function=function_of(apply, self._whole.inputs), model=tf.Module())

    @cached_property
    def _layers(self) -> tuple[_Layer, ...]:
        runs: list[tuple[str, list[Any]]] = []
        for operator in self._varying():
            name = layer_name(operator.name)
            if not runs or runs[-1][0] != name:
                runs.append((name, []))
            runs[-1][1].append(operator)
        return tuple(_Layer(name=name, operators=tuple(operators)) for name, operators in runs)

    def _varying(self) -> Iterator[Any]:
        """Yields the operators that depend on the inputs, each after what it reads."""
        varying = {name.split(":")[0] for name in self._inputs}
        for operator in self._graph.get_operations():
            if any(source.op.name in varying for source in operator.inputs):
                varying.add(operator.name)
                yield operator

    def _left_by(self, inside: set[str]) -> Iterator[str]:
        """Yields the tensors of some operators that none of them reads."""
        for name in sorted(inside):
            for tensor in self._graph.get_operation_by_name(name).outputs:
                if not any(reader.name in inside for reader in tensor.consumers()):
                    yield tensor.name
