"""Weights of 4 bits in quantized TFLite files.

XNNPACK computes dense layers with such weights as fast as with 8 bits; convolutions it leaves to slower kernels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import thinned
from pocketvae.export.quantize.layer_inputs import CONVOLUTION, DENSE, first_name, layer_inputs
from pocketvae.export.quantize.rounding import Rounded, learned_rounding, moments_of
from pocketvae.formats.tflite.editing import add_buffer
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    tensor_type,
    view_model,
    write_model,
)

Inputs = Mapping[str, npt.NDArray[Any]]

LEVELS = 7
# Learned rounding takes outputs times inputs times inputs.
_MOST_WORK = 1e11
# A convolution sees many pixels of each.
_CONVOLUTION_SAMPLES = 128


def layers_for_four_bits(content: bytes) -> dict[str, tuple[str, int]]:
    """Returns the layers of a float model whose weights `with_four_bits` can store.

    Returns:
        Name of a layer's output tensor to its operator and its number of weights.
    """
    model = view_model(content)
    graph = model.subgraphs[0]
    reads = Counter(index for operator in graph.operators for index in operator.inputs)
    found = {}
    for operator in graph.operators:
        kind = operator_name(model, operator)
        if kind not in (DENSE, CONVOLUTION):
            continue
        weights = graph.tensors[operator.inputs[1]]
        if not is_constant(model, weights) or reads[operator.inputs[1]] > 1:
            continue
        outputs, *inputs = tensor_shape(weights)
        # A convolution of groups gives an output a part of the channels alone.
        in_groups = inputs[-1] != tensor_shape(graph.tensors[operator.inputs[0]])[-1]
        if outputs * math.prod(inputs) ** 2 <= _MOST_WORK and not in_groups:
            found[tensor_name(graph.tensors[operator.outputs[0]])] = kind, outputs * math.prod(inputs)
    return found


def with_four_bits(content: bytes, calibrated: bytes, layers: Sequence[str], inputs: Inputs) -> bytes:
    """Returns a quantized model in which the weights of these layers are rounded to 4 bits, one layer after another.

    A layer that the quantizer left in float stays as it is.

    Args:
        content: The quantized model.
        calibrated: The float model that it was made of.
        layers: Names of output tensors of `layers_for_four_bits`.
        inputs: Calibration samples, input name to `[N, ...]`.
    """
    wanted = {layer.split(";")[0] for layer in layers}
    exact = _float_weights(calibrated, wanted)
    for name in [item for item in _names(content) if item in exact]:
        model = read_model(content)
        operator = _operator(model, name)
        if dtype_name(model.subgraphs[0].tensors[operator.inputs[1]]) == "int8":
            is_dense = operator_name(model, operator) == DENSE
            samples = inputs if is_dense else thinned(inputs, _CONVOLUTION_SAMPLES)
            # What the layers before it, rounded already, have changed is to be taken off too.
            moments = moments_of(layer_inputs(content, name, samples), layer_inputs(calibrated, name, samples))
            _store(model, operator, learned_rounding(exact[name], moments, LEVELS, has_bias=_has_bias(operator)))
            content = write_model(model)
    return content


def packed(integers: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Returns two integers of 4 bits in each byte, the first in its lower half."""
    flat = np.append(integers.ravel(), np.zeros(integers.size % 2, np.int8)).view(np.uint8)
    return np.asarray((flat[0::2] & 15) | ((flat[1::2] & 15) << 4), np.uint8)


def unpacked(stored: npt.NDArray[np.uint8], shape: Sequence[int]) -> npt.NDArray[np.int8]:
    """Returns what `packed` was given, in its shape."""
    halves = np.stack([stored << 4, stored & 0xF0], axis=-1).astype(np.uint8).view(np.int8) >> 4
    return halves.ravel()[: math.prod(shape)].reshape(shape)


def _names(content: bytes) -> list[str]:
    graph = view_model(content).subgraphs[0]
    return [first_name(graph, operator) for operator in graph.operators]


def _operator(model: Any, name: str) -> Any:
    graph = model.subgraphs[0]
    return next(item for item in graph.operators if first_name(graph, item) == name)


def _float_weights(calibrated: bytes, names: set[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Returns the weights of layers as `[O, K]`."""
    model = view_model(calibrated)
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        name = first_name(graph, operator)
        if name in names and operator_name(model, operator) in (DENSE, CONVOLUTION):
            weights = graph.tensors[operator.inputs[1]]
            values = np.asarray(constant(model, weights)).view(np.float32)
            found[name] = values.reshape(tensor_shape(weights)[0], -1)
    return found


def _has_bias(operator: Any) -> bool:
    return len(operator.inputs) > 2 and operator.inputs[2] >= 0


def _store(model: Any, operator: Any, rounded: Rounded) -> None:
    graph = model.subgraphs[0]
    weights, read = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[0]]
    weights.type = tensor_type("int4")
    _scale(weights, rounded.scales)
    _replace(model, graph, weights, packed(rounded.integers).tobytes())
    if not _has_bias(operator):
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
