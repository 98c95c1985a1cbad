"""Weights in 8 bits for the float layers of a TFLite file: they are unpacked once, when the file is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    view_model,
    write_model,
)

# Per operator: which input is the weights, and their axis of output channels.
_WEIGHTS = {"FULLY_CONNECTED": (1, 0), "CONV_2D": (1, 0), "DEPTHWISE_CONV_2D": (1, 3), "TRANSPOSE_CONV": (1, 0)}
_PER_CHANNEL_VERSION = 5
_STEPS = 127


def with_integer_weights(content: bytes, layers: Sequence[str]) -> bytes:
    """Returns a model in which these layers, whose arithmetic is in float, store their weights in int8 per channel.

    Args:
        content: The model.
        layers: Names of output tensors.
    """
    if not layers:
        return content
    model = read_model(content)
    graph = model.subgraphs[0]
    wanted = {layer.split(";")[0] for layer in layers}
    unpacking = []
    for operator in graph.operators:
        place, axis = _WEIGHTS.get(operator_name(model, operator), (0, 0))
        name = tensor_name(graph.tensors[operator.outputs[0]]).split(";")[0]
        if not place or name not in wanted:
            continue
        stored = graph.tensors[operator.inputs[place]]
        data = constant(model, stored) if is_constant(model, stored) and dtype_name(stored) == "float32" else None
        if data is not None:
            weights = data.view(np.float32).reshape(tensor_shape(stored))
            unpacking.append(_unpack(model, graph, operator.inputs[place], weights, axis))
            operator.inputs[place] = unpacking[-1].outputs[0]
    graph.operators[:0] = unpacking
    _drop_unread(model, graph)
    return write_model(model)


def storable_layers(content: bytes) -> frozenset[str]:
    """Returns the names of the output tensors of the operators whose weights `with_integer_weights` stores."""
    model = view_model(content)
    graph = model.subgraphs[0]
    found = (operator for operator in graph.operators if operator_name(model, operator) in _WEIGHTS)
    return frozenset(tensor_name(graph.tensors[operator.outputs[0]]) for operator in found)


def quantize_per_channel(weights: npt.NDArray[Any], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Returns weights as symmetric int8 and the scale of each channel `[C]`.

    Args:
        weights: Of any shape.
        axis: The axis of the channels.
    """
    others = tuple(index for index in range(weights.ndim) if index != axis)
    largest = np.abs(weights).max(axis=others)
    scales = np.where(largest > 0, largest / _STEPS, 1.0).astype(np.float32)
    shape = [-1 if index == axis else 1 for index in range(weights.ndim)]
    return np.clip(np.rint(weights / scales.reshape(shape)), -_STEPS, _STEPS).astype(np.int8), scales


def _unpack(model: Any, graph: Any, stored: int, weights: npt.NDArray[Any], axis: int) -> Any:
    """Adds weights in int8 and returns the operator that unpacks them."""
    integers, scales = quantize_per_channel(weights, axis)
    name = tensor_name(graph.tensors[stored])
    packed = add_constant(model, graph, f"{name}_int8", integers)
    parameters = schema().QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = scales.tolist(), [0] * len(scales)
    parameters.quantizedDimension = axis
    graph.tensors[packed].quantization = parameters
    floats = add_tensor(graph, f"{name}_unpacked", weights.shape, "float32")
    return new_operator(model, "DEQUANTIZE", "DequantizeOptions", [packed], floats, _PER_CHANNEL_VERSION)


def _drop_unread(model: Any, graph: Any) -> None:
    """Drops the bytes of constants that no operator reads any more."""
    read = {index for item in graph.operators for index in item.inputs} | set(graph.outputs)
    used = {graph.tensors[index].buffer for index in read if index >= 0}
    known = {entry.buffer for entry in model.metadata or ()}
    others = {tensor.buffer for part in model.subgraphs[1:] for tensor in part.tensors}
    for number, buffer in enumerate(model.buffers):
        if number not in used | known | others:
            buffer.data = None
