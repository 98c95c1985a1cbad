"""A latent between two dense layers of 8 bits, in finer steps: several tensors of 8 bits that each hold a part of it.

The first layer is there once more for each part, with a bias that moves the part's range to the next piece of the
latent's. Integers end at -128 and 127, so that all parts below a value are full and all above are empty: their sum is
the value, in steps of a part. The second layer weights all parts alike. Both stay plain dense layers of 8 bits, which
every runtime and accelerator has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator, place_of
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    write_model,
)

_PARTS = 4
_LOWEST, _LEVELS = -128, 255
# Latents of unusual items lie beyond those that the range was calibrated with.
_REACH = 1.25
Integers = npt.NDArray[Any]


def with_fine_latents(content: bytes) -> bytes:
    """Returns a file of one subgraph in which the second of two dense layers is given what the first makes in parts.

    Nothing is changed where an activation or another operator than a rounding lies between them.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    maker = {int(output): item for item in graph.operators for output in item.outputs}
    for second in [item for item in graph.operators if _is_dense(model, graph, item)]:
        given = maker.get(int(second.inputs[0]))
        if given is not None and operator_name(model, given) == "QUANTIZE":
            given = maker.get(int(given.inputs[0]))
        if given is not None and _is_dense(model, graph, given) and _has_no_activation(given):
            _give_parts(model, graph, given, second)
    return write_model(model)


def _is_dense(model: Any, graph: Any, item: Any) -> bool:
    """Whether an operator is a dense layer of 8 bits with a bias."""
    if operator_name(model, item) != "FULLY_CONNECTED" or len(item.inputs) != 3 or int(item.inputs[2]) < 0:
        return False
    tensors = [graph.tensors[int(index)] for index in (item.inputs[0], item.inputs[1], item.outputs[0])]
    has_weights = constant(model, tensors[1]) is not None
    return has_weights and all(dtype_name(tensor) == "int8" for tensor in tensors)


def _has_no_activation(item: Any) -> bool:
    return bool(item.builtinOptions.fusedActivationFunction == schema().ActivationFunctionType.NONE)


def _give_parts(model: Any, graph: Any, first: Any, second: Any) -> None:
    latent = graph.tensors[int(second.inputs[0])]
    scale, zero = float(latent.quantization.scale[0]), int(latent.quantization.zeroPoint[0])
    largest = scale * max(zero - _LOWEST, _LOWEST + _LEVELS - zero)
    step = _REACH * largest * 2 / (_PARTS * _LEVELS)
    parts = _first_in_parts(model, graph, first, step)
    _second_of_parts(model, graph, second, step, scale / step)
    graph.operators.insert(place_of(graph, second), parts)
    second.inputs = [int(parts.outputs[0]), *map(int, second.inputs[1:])]


def _first_in_parts(model: Any, graph: Any, first: Any, step: float) -> Any:
    """Returns a dense layer that makes all parts, `[1, parts x D]`, one behind another."""
    data, kernel, bias = (graph.tensors[int(index)] for index in first.inputs)
    weights, scales = _weights(model, kernel), np.asarray(kernel.quantization.scale, np.float64)
    units, repeats = float(data.quantization.scale[0]) * scales, _PARTS if len(scales) > 1 else 1
    # Of a value in the middle of a part's range; with these the sum of all parts needs no constant of its own.
    middles = step * (_LOWEST * (_PARTS - 1) + _LEVELS * np.arange(_PARTS))
    biases = [_bias(model, bias) - np.rint(middle / units) for middle in middles]
    many = add_constant(model, graph, f"{tensor_name(kernel)}/parts", np.tile(weights, (_PARTS, 1)))
    graph.tensors[many].quantization = _quantization(np.tile(scales, repeats))
    moved = add_constant(model, graph, f"{tensor_name(bias)}/parts", np.concatenate(biases).astype(np.int32))
    graph.tensors[moved].quantization = _quantization(np.tile(units, repeats))
    found = graph.tensors[int(first.outputs[0])]
    shape = (*tensor_shape(found)[:-1], _PARTS * len(weights))
    output = add_tensor(graph, f"{tensor_name(found)}/parts", shape, "int8")
    graph.tensors[output].quantization = _quantization(np.array([step]))
    version = int(model.operatorCodes[first.opcodeIndex].version)
    inputs = [int(first.inputs[0]), many, moved]
    return new_operator(model, "FULLY_CONNECTED", "FullyConnectedOptions", inputs, output, version)


def _second_of_parts(model: Any, graph: Any, second: Any, step: float, finer: float) -> None:
    """Gives a dense layer the weights and the bias for parts in place of a latent of coarser steps."""
    kernel, bias = (graph.tensors[int(index)] for index in second.inputs[1:])
    many = add_constant(model, graph, f"{tensor_name(kernel)}/parts", np.tile(_weights(model, kernel), (1, _PARTS)))
    graph.tensors[many].quantization = kernel.quantization
    scaled = np.rint(finer * _bias(model, bias)).astype(np.int32)
    moved = add_constant(model, graph, f"{tensor_name(bias)}/parts", scaled)
    graph.tensors[moved].quantization = _quantization(step * np.asarray(kernel.quantization.scale, np.float64))
    second.inputs = [int(second.inputs[0]), many, moved]


def _weights(model: Any, tensor: Any) -> Integers:
    return np.asarray(constant(model, tensor)).view(np.int8).reshape(tensor_shape(tensor))


def _bias(model: Any, tensor: Any) -> npt.NDArray[np.float64]:
    return np.asarray(constant(model, tensor)).view(np.int32).astype(np.float64)


def _quantization(scales: npt.NDArray[np.float64]) -> Any:
    parameters = schema().QuantizationParametersT()
    parameters.scale = scales.astype(np.float32)
    parameters.zeroPoint = np.zeros(len(scales), np.int64)
    return parameters
