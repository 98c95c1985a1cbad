"""Layers with weights in a graph, what moves their values on, and the same layers with other weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.convolutions import layer_name
from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.rewrites.tails import Tail, read_tail
from pocketvae.keras.io import import_tensorflow

FloatArray = npt.NDArray[np.float64]

# Scaling by a positive number may come before or after them.
HOMOGENEOUS = frozenset({"Relu", "LeakyRelu"})
_MOVERS = frozenset(
    {
        "BatchToSpaceND",
        "DepthToSpace",
        "ExpandDims",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "ResizeNearestNeighbor",
        "SpaceToDepth",
        "Squeeze",
        "StridedSlice",
        "Tile",
        "Transpose",
    }
)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where an operator has its data and kernel, and the kernel's axes of input and output channels."""

    data: int
    kernel: int
    inputs: int
    outputs: int


_LAYOUTS = {
    "MatMul": _Layout(data=0, kernel=1, inputs=0, outputs=1),
    "Conv2D": _Layout(data=0, kernel=1, inputs=2, outputs=3),
    "Conv2DBackpropInput": _Layout(data=2, kernel=1, inputs=3, outputs=2),
}
_ATTRIBUTES = ("strides", "padding", "data_format", "dilations", "explicit_paddings")


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A layer with constant weights.

    Attributes:
        operator: Of the graph.
        kernel: In the operator's own layout.
        tail: Biases and activation behind it, as far as scaling may pass.
    """

    operator: Any
    kernel: npt.NDArray[np.float32]
    tail: Tail

    @property
    def data(self) -> Any:
        """The tensor that it weights."""
        return self.operator.inputs[self._layout.data]

    @property
    def name(self) -> str:
        """Of the layer that the operator belongs to."""
        return layer_name(self.operator)

    def scaled_inputs(self, scale: FloatArray) -> npt.NDArray[Any]:
        """Returns the kernel with a factor for each input channel."""
        return self.kernel * _along(scale, self._layout.inputs, self.kernel.ndim)

    def scaled_outputs(self, kernel: npt.NDArray[Any], scale: FloatArray) -> npt.NDArray[Any]:
        """Returns a kernel in the layer's layout with a factor for each output channel."""
        return kernel * _along(scale, self._layout.outputs, kernel.ndim)

    def join_inputs(self, kernels: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Returns a kernel for the input channels of all of them, one after the other."""
        return np.concatenate(kernels, axis=self._layout.inputs)

    def join_outputs(self, kernels: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Returns a kernel with the output channels of all of them, one after the other."""
        return np.concatenate(kernels, axis=self._layout.outputs)

    def emit(self, data: Any, kernel: npt.NDArray[Any]) -> Any:
        """Adds the same layer with other weights, and without its tail, to the graph."""
        tf, operator = import_tensorflow(), self.operator
        weights = tf.constant(kernel.astype(np.float32))
        if operator.type == "MatMul":
            return tf.raw_ops.MatMul(a=data, b=weights)
        attributes = {name: _plain(operator.get_attr(name)) for name in _ATTRIBUTES}
        if operator.type == "Conv2D":
            return tf.raw_ops.Conv2D(input=data, filter=weights, **attributes)
        sizes = np.array(operator.outputs[0].shape.as_list(), np.int32)
        sizes[-1] = kernel.shape[self._layout.outputs]
        return tf.raw_ops.Conv2DBackpropInput(input_sizes=sizes, filter=weights, out_backprop=data, **attributes)

    @property
    def _layout(self) -> _Layout:
        return _LAYOUTS[self.operator.type]


def weighted_layers(graph: FrozenGraph, activations: frozenset[str] = HOMOGENEOUS) -> Iterator[Weighted]:
    """Yields the layers of a graph whose weights are constant and whose data are not, in order.

    Args:
        graph: A flat graph.
        activations: Kinds that belong to a layer's tail.
    """
    for operator in graph.operators:
        layout = _LAYOUTS.get(operator.type)
        if layout is None or not _is_supported(operator):
            continue
        kernel = graph.constant(operator.inputs[layout.kernel])
        if kernel is None or graph.constant(operator.inputs[layout.data]) is not None:
            continue
        tail = read_tail(graph, operator.outputs[0], kernel.shape[layout.outputs], activations)
        yield Weighted(operator=operator, kernel=kernel, tail=tail)


def is_mover(operator: Any) -> bool:
    """Whether an operator puts the values of its first input into other places and changes none."""
    return operator.type in _MOVERS


def _is_supported(operator: Any) -> bool:
    if operator.outputs[0].dtype.name != "float32" or None in (operator.outputs[0].shape.as_list() or [None]):
        return False
    if operator.type == "MatMul":
        return not operator.get_attr("transpose_a") and not operator.get_attr("transpose_b")
    # Fewer channels in the kernel than in the image: a grouped convolution.
    layout = _LAYOUTS[operator.type]
    grouped = operator.inputs[layout.kernel].shape[layout.inputs] != operator.inputs[layout.data].shape[-1]
    return operator.get_attr("data_format") == b"NHWC" and not grouped


def _along(values: FloatArray, axis: int, rank: int) -> FloatArray:
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else list(value)
