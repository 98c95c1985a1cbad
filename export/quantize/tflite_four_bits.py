"""Weights of 4 bits in quantized TFLite files: of dense layers, which XNNPACK computes as fast as with 8 bits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.quantize.rounding import Rounded, learned_rounding
from pocketvae.formats.tflite.editing import add_buffer
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    main_signature,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    tensor_type,
    view_model,
    write_model,
)
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format

Inputs = Mapping[str, npt.NDArray[Any]]

LEVELS = 7
_DENSE = "FULLY_CONNECTED"
# Learned rounding takes outputs times inputs times inputs.
_MOST_WORK = 1e11


def dense_layers(content: bytes) -> dict[str, int]:
    """Returns the layers of a float model whose weights `with_four_bits` can store, with their number of weights."""
    model = view_model(content)
    graph = model.subgraphs[0]
    reads = Counter(index for operator in graph.operators for index in operator.inputs)
    found = {}
    for operator in graph.operators:
        if operator_name(model, operator) != _DENSE:
            continue
        weights = graph.tensors[operator.inputs[1]]
        if not is_constant(model, weights) or reads[operator.inputs[1]] > 1:
            continue
        shape = tensor_shape(weights)
        if math.prod(shape) * shape[1] <= _MOST_WORK:
            found[tensor_name(graph.tensors[operator.outputs[0]])] = math.prod(shape)
    return found


def with_four_bits(content: bytes, calibrated: bytes, layers: Sequence[str], inputs: Inputs) -> bytes:
    """Returns a quantized model in which the weights of these layers are rounded to 4 bits, one layer after another.

    A layer that the quantizer left in float stays as it is.

    Args:
        content: The quantized model.
        calibrated: The float model that it was made of.
        layers: Names of output tensors of `dense_layers`.
        inputs: Calibration samples, input name to `[N, ...]`.
    """
    wanted = {layer.split(";")[0] for layer in layers}
    exact = _float_weights(calibrated, wanted)
    for name in [item for item in _names(content) if item in exact]:
        model = read_model(content)
        operator = _operator(model, name)
        if dtype_name(model.subgraphs[0].tensors[operator.inputs[1]]) == "int8":
            rounded = learned_rounding(exact[name], _layer_inputs(content, name, inputs), LEVELS)
            _store(model, operator, rounded)
            content = write_model(model)
    return content


def packed(integers: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Returns two integers of 4 bits in each byte, the first in its lower half."""
    flat = np.append(integers.ravel(), np.zeros(integers.size % 2, np.int8)).view(np.uint8)
    return np.asarray((flat[0::2] & 15) | ((flat[1::2] & 15) << 4), np.uint8)


def _first_name(graph: Any, operator: Any) -> str:
    # The quantizer appends the names of the operators that it fused, behind semicolons.
    return tensor_name(graph.tensors[operator.outputs[0]]).split(";")[0]


def _names(content: bytes) -> list[str]:
    graph = view_model(content).subgraphs[0]
    return [_first_name(graph, operator) for operator in graph.operators]


def _operator(model: Any, name: str) -> Any:
    graph = model.subgraphs[0]
    return next(item for item in graph.operators if _first_name(graph, item) == name)


def _float_weights(calibrated: bytes, names: set[str]) -> dict[str, npt.NDArray[np.float32]]:
    model = view_model(calibrated)
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        name = _first_name(graph, operator)
        if name in names and operator_name(model, operator) == _DENSE:
            weights = graph.tensors[operator.inputs[1]]
            found[name] = np.asarray(constant(model, weights)).view(np.float32).reshape(tensor_shape(weights))
    return found


def _layer_inputs(content: bytes, name: str, inputs: Inputs) -> npt.NDArray[np.float64]:
    """Returns what a layer reads on samples, `[N, K]`; what comes after it is not computed."""
    model = read_model(content)
    graph, operator = model.subgraphs[0], _operator(model, name)
    read, place = operator.inputs[0], graph.operators.index(operator)
    count = tensor_shape(graph.tensors[operator.inputs[1]])[1]
    graph.operators = graph.operators[: place + 1]
    graph.outputs = [operator.outputs[0]]
    signature = main_signature(model)
    signature.outputs = signature.outputs[:1]
    signature.outputs[0].tensorIndex = operator.outputs[0]
    tensor = tensor_name(graph.tensors[read])
    found = tap(Format.TFLITE, write_model(model), inputs, [tensor])[tensor]
    return found.real().reshape(-1, count)


def _store(model: Any, operator: Any, rounded: Rounded) -> None:
    graph = model.subgraphs[0]
    weights, read = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[0]]
    weights.type = tensor_type("int4")
    _scale(weights, rounded.scales)
    _replace(model, graph, weights, packed(rounded.integers).tobytes())
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return
    bias = graph.tensors[operator.inputs[2]]
    real = np.asarray(constant(model, bias)).view(np.int32) * np.asarray(bias.quantization.scale, np.float64)
    scales = float(read.quantization.scale[0]) * rounded.scales.astype(np.float64)
    _scale(bias, scales)
    integers = np.rint((real - rounded.mean_error) / scales).astype(np.int32)
    _replace(model, graph, bias, integers.tobytes())


def _scale(tensor: Any, scales: npt.NDArray[Any]) -> None:
    tensor.quantization.scale = np.asarray(scales, np.float32).tolist()
    tensor.quantization.zeroPoint = [0] * len(scales)


def _replace(model: Any, graph: Any, tensor: Any, data: bytes) -> None:
    """Gives a tensor other bytes; the old ones go where no other tensor has them."""
    shared = any(other.buffer == tensor.buffer for other in graph.tensors if other is not tensor)
    if shared:
        tensor.buffer = add_buffer(model, data)
    else:
        model.buffers[tensor.buffer].data = np.frombuffer(data, np.uint8)
