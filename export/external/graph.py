"""The graph of a traced model: the operators that its exported outputs depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.bounds import Interval, bounds
from pocketvae.export.original.inside import layer_name
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.loading import Tensor
from pocketvae.keras.saved_model import RANDOM
from pocketvae.parsing import sentences
from pocketvae.system.quiet import quiet_stderr

# Operators that move values on without changing them.
_MOVERS = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StopGradient", "Cast", "DepthToSpace"}
)
# With a constant that is not below 0 they make no positive value negative.
_BY_CONSTANTS = frozenset({"Add", "AddV2", "Mul", "Maximum"})
# Constants that scale or shift an image have a value for each channel at most.
_SMALL_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class TracedGraph:
    """A model as a graph of operators for batch 1, its weights frozen.

    Attributes:
        operators: For each node, its operator and the names of the nodes that it reads.
        outputs: The node behind each output.
        shapes: Shape of each output.
        functions: Operators of all functions that loops and branches call.
        numbers: The smallest and largest value of each small constant.
        inputs: The node of each input.
    """

    operators: dict[str, tuple[str, tuple[str, ...]]]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    functions: tuple[str, ...]
    numbers: dict[str, Interval] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    def bounds(self, output: int) -> Interval | None:
        """Returns the range of an output as far as its operators prove one."""
        return bounds(self, self.outputs[output])

    def last_operator(self, output: int) -> str:
        """Returns the last operator that changes the values of an output."""
        return self.operators[self._changer(self.outputs[output])][0]

    def nonlinearity(self, output: int) -> str:
        """Returns the same of an output to which constants are added, or which they multiply, if none is below 0."""
        name = self._changer(self.outputs[output])
        while True:
            operator, sources = self.operators[name]
            limits = [self.numbers.get(source) for source in sources]
            if operator not in _BY_CONSTANTS or limits.count(None) != 1 or any(item and item[0] < 0 for item in limits):
                return operator
            name = self._changer(sources[limits.index(None)])

    def _changer(self, name: str) -> str:
        """Returns the node that makes values which the others only move on."""
        operator, sources = self.operators[name]
        while operator in _MOVERS and sources:
            (name, *_) = sources
            operator, sources = self.operators[name]
        return name

    def random_layers(self, output: int) -> tuple[str, ...]:
        """Returns the layers whose random operators an output depends on, as far as they are not inside functions."""
        behind = {name: self.operators[name][0] for name in self._behind(self.outputs[output])}
        layers = (layer_name(name) for name, kind in behind.items() if any(word in kind for word in RANDOM))
        return tuple(sorted(set(layers)))

    def random_operators(self, output: int) -> tuple[str, ...]:
        """Returns the random operators that an output depends on."""
        kinds = {self.operators[name][0] for name in self._behind(self.outputs[output])}
        if kinds & {"While", "StatelessWhile", "If", "StatelessIf", "PartitionedCall", "StatefulPartitionedCall"}:
            kinds |= set(self.functions)
        return tuple(sorted(kind for kind in kinds if any(word in kind for word in RANDOM)))

    @property
    def needed(self) -> frozenset[str]:
        """The nodes that outputs depend on."""
        return frozenset(name for output in self.outputs for name in self._behind(output))

    def _behind(self, name: str) -> Iterator[str]:
        seen, waiting = {name}, [name]
        while waiting:
            current = waiting.pop()
            yield current
            fresh = [source for source in self.operators[current][1] if source not in seen]
            seen.update(fresh)
            waiting += fresh


def trace(call: Callable[[Sequence[Any]], Sequence[Any]], inputs: Sequence[Tensor]) -> TracedGraph:
    """Traces a model for batch 1.

    Args:
        call: Runs it on one value per input.
        inputs: The inputs, with a dynamic batch size.

    Raises:
        ExportError: it cannot be traced.
    """
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in inputs]
    function = tf.function(lambda *values: [tf.identity(value) for value in call(values)], autograph=False)
    concrete = None
    try:
        with quiet_stderr():
            concrete = function.get_concrete_function(*specs)
            frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    except Exception as e:  # A model may raise anything while it is traced.
        learning = _first_assignment(concrete)
        if learning:
            raise ExportError(
                f"the model must not change its own weights when it runs, but the layer {learning!r} does: it runs in "
                f"training mode, so its outputs depend on what else is in the batch; save the model "
                f"for inference (training=False)"
            ) from e
        lines = [line for line in str(e).splitlines() if line.strip()]
        raise ExportError(
            f"the model cannot be traced with batch size 1: {sentences(lines[0] if lines else repr(e))}"
        ) from e
    definition = frozen.graph.as_graph_def()
    return TracedGraph(
        operators={node.name: (node.op, tuple(_sources(node.input))) for node in definition.node},
        outputs=tuple(tensor.op.name for tensor in frozen.outputs),
        shapes=tuple(tuple(tensor.shape) for tensor in concrete.outputs),
        functions=tuple({node.op for function in definition.library.function for node in function.node_def}),
        numbers=dict(_numbers(definition)),
        inputs=tuple(tensor.op.name for tensor in frozen.inputs),
    )


def _numbers(definition: Any) -> Iterator[tuple[str, Interval]]:
    from tensorflow import make_ndarray

    for node in definition.node:
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) <= _SMALL_BYTES:
            values = make_ndarray(node.attr["value"].tensor)
            if values.dtype.kind == "f" and values.size:
                yield node.name, (float(values.min()), float(values.max()))


def _first_assignment(concrete: Any) -> str:
    """Returns the first layer that assigns to a variable, as normalization does in training; empty if none does."""
    operators = concrete.graph.get_operations() if concrete is not None else []
    return next((layer_name(item.name) for item in operators if item.type.startswith("Assign")), "")


def _sources(names: Sequence[str]) -> Iterator[str]:
    # A name that begins with ^ is a control dependency without a value.
    return (name.split(":")[0] for name in names if not name.startswith("^"))
