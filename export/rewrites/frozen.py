"""A component as one flat graph of TensorFlow operators, which rewrites edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.plain_graphs import callable_of, drop_order
from pocketvae.keras.io import import_tensorflow, open_graph

Array = npt.NDArray[Any]
# What differs from call to call.
VARYING = frozenset({"Placeholder", "PlaceholderWithDefault"})
# The input of a part of a graph that is computed alone.
_GIVEN = "pocketvae_given:0"
# Freezing takes most of the time of a rewrite, and every rewrite that is tried begins with the same graph.
_FROZEN: WeakKeyDictionary[Any, tuple[Any, tuple[str, ...], tuple[str, ...]]] = WeakKeyDictionary()


class FrozenGraph:
    """A graph whose weights are constants.

    Tensors and operators are TensorFlow's own, of a graph that can be added to; `replaced` gives the graph in which
    others read the new tensors.
    """

    def __init__(self, definition: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Loads a definition.

        Args:
            definition: A `GraphDef` without variables and calls.
            inputs: Names of tensors.
            outputs: Names of tensors.
        """
        tf = import_tensorflow()
        self.inputs, self.outputs = inputs, outputs
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
        self.operators: list[Any] = self.graph.get_operations()
        self._consumers: dict[str, list[Any]] = defaultdict(list)
        for operator in self.operators:
            for tensor in operator.inputs:
                self._consumers[tensor.name].append(operator)
        self._constants: dict[str, Array | None] = {}

    def only_consumer(self, tensor: Any) -> Any:
        """Returns the only operator that reads a tensor; None where there are others, or it is an output."""
        consumers = self.consumers(tensor)
        return consumers[0] if len(consumers) == 1 and tensor.name not in self.outputs else None

    def consumers(self, tensor: Any) -> list[Any]:
        """Returns the operators that read a tensor."""
        return self._consumers[tensor.name]

    def constant(self, tensor: Any) -> Array | None:
        """Returns the value of a tensor that depends on no input; None for others."""
        if tensor.name not in self._constants:
            self._constants[tensor.name] = self._evaluate(tensor)
        return self._constants[tensor.name]

    def _evaluate(self, tensor: Any) -> Array | None:
        tf = import_tensorflow()
        while tensor.op.type == "Identity":
            tensor = tensor.op.inputs[0]
        if tensor.op.type == "Const":
            return np.asarray(tf.make_ndarray(tensor.op.get_attr("value")))
        operators = _alone_behind(tensor)
        if operators is None:
            return None
        with self._part(operators) as graph, open_graph(graph) as session:
            return np.asarray(session.run(tensor.name))

    def computed(self, end: Any, given: Any, drawn: Sequence[Array]) -> list[Array] | None:
        """Returns the values of one tensor for values of another one; None where it does not depend on that alone."""
        operators = _alone_behind(end, given)
        if operators is None:
            return None
        with self._part(operators, given) as graph, open_graph(graph) as session:
            return [np.asarray(session.run(end.name, {_GIVEN: values})) for values in drawn]

    @contextmanager
    def _part(self, operators: Sequence[Any], given: Any = None) -> Iterator[Any]:
        """Gives a graph of some operators alone: a session of all would take in every weight."""
        tf = import_tensorflow()
        definition = tf.compat.v1.GraphDef(versions=self.graph.graph_def_versions)
        definition.node.extend(operator.node_def for operator in operators)
        with tf.Graph().as_default() as graph:
            fed = {}
            if given is not None:
                fed = {given.name: tf.compat.v1.placeholder(given.dtype, given.shape, name=_GIVEN.split(":")[0])}
            tf.graph_util.import_graph_def(definition, input_map=fed, name="")
        yield graph

    def replaced(self, tensors: Mapping[str, Any]) -> FrozenGraph:
        """Returns the graph in which new tensors are read in place of the old ones of these names.

        The new ones were added before and read no tensor that lies behind the one they replace.
        """
        definition = self.graph.as_graph_def()
        names = {_short(old): _short(new.name) for old, new in tensors.items()}
        for node in definition.node:
            for index, source in enumerate(node.input):
                node.input[index] = names.get(source, source)
        outputs = tuple(_full(names.get(_short(output), _short(output))) for output in self.outputs)
        # An input that no output needs any more must stay in the interface.
        needed = _behind(definition, [_node(name) for name in (*outputs, *self.inputs)])
        return FrozenGraph(needed, self.inputs, outputs)

    def function(self) -> Callable[..., list[Any]]:
        """Returns the graph as a function of its inputs' tensors that adds itself to the graph being traced."""
        return callable_of(self.graph.as_graph_def(), self.inputs, self.outputs)


def freeze(function: Any) -> FrozenGraph:
    """Returns a `tf.function` with an input signature as a flat graph; outputs in the order of their names."""
    if function not in _FROZEN:
        _FROZEN[function] = _definition(function)
    return FrozenGraph(*_FROZEN[function])


def _definition(function: Any) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Returns a function's graph with constants for its variables, and the names of its inputs and outputs."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function.get_concrete_function(), lower_control_flow=False)
    definition = frozen.graph.as_graph_def()
    drop_order(definition)
    return (
        definition,
        tuple(tensor.name for tensor in frozen.inputs),
        tuple(tensor.name for tensor in frozen.outputs),
    )


def static_shape(tensor: Any) -> tuple[int, ...] | None:
    """Returns a tensor's shape; None where a size is open."""
    shape = tensor.shape
    if shape.rank is None or any(size is None for size in shape):
        return None
    return tuple(int(size) for size in shape)


def _alone_behind(tensor: Any, given: Any = None) -> list[Any] | None:
    """Returns the operators that a tensor depends on, up to a given one; None where it depends on other inputs.

    None too where it does not depend on the given one.
    """
    stop = given.op.name if given is not None else ""
    seen, waiting = {tensor.op.name: tensor.op}, [tensor.op]
    while waiting:
        operator = waiting.pop()
        if operator.name == stop:
            continue
        if operator.type in VARYING:
            return None
        fresh = [source.op for source in operator.inputs if source.op.name not in seen]
        seen.update((source.name, source) for source in fresh)
        waiting += fresh
    if given is None:
        return list(seen.values())
    return [operator for operator in seen.values() if operator.name != stop] if stop in seen else None


def _behind(definition: Any, names: list[str]) -> Any:
    """Returns the definition with the nodes that these depend on, and no others."""
    tf = import_tensorflow()
    nodes = {node.name: node for node in definition.node}
    needed, waiting = set(names), list(names)
    while waiting:
        sources = {_node(source) for source in nodes[waiting.pop()].input} - needed
        needed |= sources
        waiting += sources
    kept = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    kept.node.extend(node for node in definition.node if node.name in needed)
    return kept


def _node(tensor: str) -> str:
    return tensor.split(":")[0]


def _short(tensor: str) -> str:
    # Definitions write the first output of a node without its number.
    return tensor.removesuffix(":0")


def _full(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"
