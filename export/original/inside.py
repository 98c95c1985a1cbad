"""The inside of an original: every operator's values, to name the layer that is to blame for what is wrong outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.plain_graphs import drop_order
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.ceilings import HALF_MAX, HALF_WARNING
from pocketvae.system.quiet import quiet_stderr

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]
Apply = Callable[[Mapping[str, Any]], Mapping[str, Any]]

# Of a tensor's largest value: a hundred times what reordered sums move it by.
_SAME = 1e-4
_SAMPLES_TOGETHER = 4
_BATCH = 16
# Of a batch of outputs; all values inside may be a thousand times as large.
_BATCH_BYTES = 4e6
_CALLS = ("StatefulPartitionedCall", "PartitionedCall")


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """How large the values inside an original become, which decides whether half precision can hold them.

    Attributes:
        largest: The largest absolute value that an operator returned.
        layer: The layer of that operator.
    """

    largest: float = 0.0
    layer: str = ""

    @property
    def note(self) -> str:
        """What to say of a float artifact; empty where half precision holds everything."""
        if self.largest <= HALF_MAX:
            return ""
        return f"values up to {self.largest:.2g} in the layer {self.layer!r} exceed {HALF_MAX:.0f}: {HALF_WARNING}"


UNKNOWN = Magnitude()


def layer_name(operator: str) -> str:
    """Returns the layer of an operator, from the name that tracing gave it: `model/LAYER/OPERATOR`."""
    parts = [part for part in operator.split("/") if not part.startswith(_CALLS)]
    return "/".join(parts[1:-1] or parts) or operator


class Inside:
    """An original as a flat graph whose every tensor can be read, with any batch size."""

    def __init__(self, apply: Apply, inputs: Inputs) -> None:
        """Traces and freezes.

        Args:
            apply: Runs the original on named inputs.
            inputs: Of these names, types and shapes `[N, ...]`.
        """
        tf = import_tensorflow()
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        names = list(inputs)
        specs = [tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in inputs.values()]
        function = tf.function(
            lambda *values: list(apply(dict(zip(names, values, strict=True))).values()), autograph=False
        )
        with quiet_stderr():
            frozen = convert_variables_to_constants_v2(function.get_concrete_function(*specs), lower_control_flow=False)
        definition = frozen.graph.as_graph_def()
        drop_order(definition)
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
        self._outputs = frozenset(tensor.name for tensor in frozen.outputs)
        # A size that is open counts as 1.
        shapes = [tensor.shape.as_list() if tensor.shape.rank else [] for tensor in frozen.outputs]
        values = max(math.prod(size or 1 for size in shape) for shape in shapes)
        self._batch = int(np.clip(_BATCH_BYTES / (4 * values), 1, _BATCH))
        self._feeds = dict(zip(names, (tensor.name for tensor in frozen.inputs), strict=True))

    def first_coupling(self, inputs: Inputs) -> str:
        """Returns the first layer where a sample's values depend on the other samples, or change from call to call.

        Returns:
            Its name and operator as text; empty if there is none.
        """
        alone = {name: values[:1] for name, values in inputs.items()}
        together = {name: _spread(values) for name, values in inputs.items()}
        tensors = list(self._tensors())
        with self._session() as session:
            for tensor in tensors:
                first, again, among = (session.run(tensor, self._feed(given)) for given in (alone, alone, together))
                if not _same(first, again):
                    return f"{_described(tensor)}, which is random"
                if (
                    first.ndim
                    and len(among) == len(first) * _SAMPLES_TOGETHER
                    and not _same(first, among[: len(first)])
                ):
                    return _described(tensor)
        return ""

    def first_overflow(self, inputs: Inputs) -> str:
        """Returns the first layer that returns values that are not finite, with its operator; empty if none does."""
        tf = import_tensorflow()
        tensors = list(self._tensors())
        with self._graph.as_default():
            finite = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors]
        with self._session() as session:
            for given in _batches(inputs, self._batch):
                for tensor, is_finite in zip(tensors, session.run(finite, self._feed(given)), strict=True):
                    if not is_finite:
                        return _described(tensor)
        return ""

    def magnitude(self, inputs: Inputs) -> Magnitude:
        """Returns the largest absolute value in the graph, and whose it is."""
        tf = import_tensorflow()
        with self._graph.as_default():
            sizes = {tensor.name: tf.reduce_max(tf.abs(tensor)) for tensor in list(self._tensors())}
        largest = Magnitude()
        with self._session() as session:
            for given in _batches(inputs, self._batch):
                for name, size in session.run(sizes, self._feed(given)).items():
                    if size > largest.largest:
                        largest = Magnitude(largest=float(size), layer=layer_name(name))
        return largest

    def _tensors(self) -> Iterator[Any]:
        """Yields what operators compute in floating point from the inputs or at random, in order of execution."""
        varying: set[str] = set()
        for operator in self._graph.get_operations():
            sources = any(source.op.name in varying for source in operator.inputs)
            if sources or operator.type == "Placeholder" or operator.op_def.is_stateful:
                varying.add(operator.name)
                if operator.type != "Placeholder":
                    yield from (tensor for tensor in operator.outputs if self._is_read(tensor))

    def _is_read(self, tensor: Any) -> bool:
        # What nothing reads, such as statistics that normalization keeps for training, may hold anything.
        return tensor.dtype.is_floating and (tensor.name in self._outputs or bool(tensor.consumers()))

    def _session(self) -> Any:
        v1 = import_tensorflow().compat.v1
        config = v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True  # It removes tensors that are read here.
        return v1.Session(graph=self._graph, config=config)

    def _feed(self, inputs: Inputs) -> dict[str, Array]:
        return {self._feeds[name]: values for name, values in inputs.items()}


def _described(tensor: Any) -> str:
    return f"the layer {layer_name(tensor.op.name)!r} ({tensor.op.type})"


def _spread(values: Array) -> Array:
    """Returns the first sample and others, evenly spaced."""
    chosen = np.linspace(0, len(values) - 1, _SAMPLES_TOGETHER).astype(int)
    spread: Array = values[chosen]
    return spread


def _batches(inputs: Inputs, size: int) -> Iterator[Inputs]:
    count = len(next(iter(inputs.values())))
    for start in range(0, count, size):
        yield {name: values[start : start + size] for name, values in inputs.items()}


def _same(first: Array, second: Array) -> bool:
    if first.shape != second.shape:
        return True  # Its size follows the batch in a way that says nothing of one sample.
    largest = float(np.max(np.abs(first), initial=0.0))
    return bool(np.allclose(first, second, rtol=0.0, atol=_SAME * largest, equal_nan=True))
