"""Float parts of quantized TFLite files: what TensorFlow's quantizer rounds although it should not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator, place_of, redirect
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    view_model,
    write_model,
)

# Operators whose results have a fixed scale in integers, to which the quantizer rounds them even in float.
_FIXED_SCALE = frozenset({"LOGISTIC", "TANH"})
# Inputs of TRANSPOSE_CONV; the first is the shape of its output.
_WEIGHTS, _DATA, _BIAS = 1, 2, 3


def without_rounding(content: bytes) -> bytes:
    """Returns a quantized model in which the float result of a sigmoid or tanh reaches float operators unrounded.

    The quantizer turns it into integers and back, which leaves steps of 1/256 or 1/128.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    exact: dict[int, int] = {}
    for operator in graph.operators:
        rounding = makers.get(operator.inputs[0]) if operator_name(model, operator) == "DEQUANTIZE" else None
        source = makers.get(rounding.inputs[0]) if rounding and operator_name(model, rounding) == "QUANTIZE" else None
        if source is None or operator_name(model, source) not in _FIXED_SCALE:
            continue
        is_float = dtype_name(graph.tensors[source.outputs[0]]) == "float32"
        if is_float and operator.outputs[0] not in graph.outputs:
            exact[operator.outputs[0]] = source.outputs[0]
    if not exact:
        return content
    for operator in graph.operators:
        operator.inputs = [exact.get(index, index) for index in operator.inputs]
    _remove_unread(model, graph)
    return write_model(model)


def _remove_unread(model: Any, graph: Any) -> None:
    """Removes the operators QUANTIZE and DEQUANTIZE whose results nothing reads, from the last to the first."""
    for operator in reversed(list(graph.operators)):
        read = {index for item in graph.operators for index in item.inputs} | set(graph.outputs)
        if operator_name(model, operator) in ("QUANTIZE", "DEQUANTIZE") and not read & set(operator.outputs):
            graph.operators.remove(operator)


def with_float_convolutions(content: bytes, calibrated: bytes, float_layers: Sequence[str]) -> bytes:
    """Returns a quantized model in which the transposed convolutions among these layers compute in float.

    TensorFlow's quantizer keeps them in integers whatever its list of float layers says.

    Args:
        content: The quantized model.
        calibrated: The float model.
        float_layers: Names of output tensors.
    """
    if not float_layers:
        return content
    model, source = read_model(content), view_model(calibrated)
    graph, floats = model.subgraphs[0], source.subgraphs[0]
    originals = {_first_name(floats, item): item for item in floats.operators}
    wanted = {layer.split(";")[0] for layer in float_layers}
    changed = False
    for operator in list(graph.operators):
        name = _first_name(graph, operator)
        if operator_name(model, operator) != "TRANSPOSE_CONV" or name not in wanted or name not in originals:
            continue
        _give_float_input(model, graph, operator)
        _give_float_constants(model, graph, operator, source, originals[name])
        if dtype_name(graph.tensors[operator.outputs[0]]) != "float32":
            _give_float_output(model, graph, operator)
        changed = True
    if not changed:
        return content
    _remove_unread(model, graph)
    return write_model(model)


def _first_name(graph: Any, operator: Any) -> str:
    # The quantizer appends the names of the operators that it fused, behind semicolons.
    return tensor_name(graph.tensors[operator.outputs[0]]).split(";")[0]


def _give_float_input(model: Any, graph: Any, operator: Any) -> None:
    """Lets a transposed convolution read what its input was before it became integers, or integers turned back."""
    data = operator.inputs[_DATA]
    if dtype_name(graph.tensors[data]) == "float32":
        return
    maker = next((item for item in graph.operators if data in item.outputs), None)
    if maker is not None and operator_name(model, maker) == "QUANTIZE":
        before = maker.inputs[0]
        if dtype_name(graph.tensors[before]) == "float32":
            operator.inputs[_DATA] = before
            return
    operator.inputs[_DATA] = made = _float_like(graph, data)
    step = new_operator(model, "DEQUANTIZE", "DequantizeOptions", [data], made, version=2)
    graph.operators.insert(place_of(graph, operator), step)


def _give_float_constants(model: Any, graph: Any, operator: Any, source: Any, original: Any) -> None:
    """Gives it the weights and the bias of the float model; the quantizer adds a bias where there is none."""
    floats = source.subgraphs[0]
    inputs = list(operator.inputs)[: len(original.inputs)]
    for place in (_WEIGHTS, _BIAS)[: len(inputs) - _DATA]:
        exact = original.inputs[place]
        if exact >= 0 and (data := constant(source, floats.tensors[exact])) is not None:
            shape = tensor_shape(floats.tensors[exact])
            name = f"{tensor_name(graph.tensors[inputs[place]])}_float"
            inputs[place] = add_constant(model, graph, name, data.view(np.float32).reshape(shape))
    old, operator.inputs = set(operator.inputs) - set(inputs), inputs
    read = {graph.tensors[index].buffer for item in graph.operators for index in item.inputs if index >= 0}
    for buffer in {graph.tensors[index].buffer for index in old if index >= 0} - read:
        model.buffers[buffer].data = None


def _give_float_output(model: Any, graph: Any, operator: Any) -> None:
    """Lets what reads its output in float read it unrounded; integers are made for the others."""
    old = operator.outputs[0]
    made = _float_like(graph, old)
    operator.outputs = [made]
    turned_back = [
        item.outputs[0]
        for item in graph.operators
        if operator_name(model, item) == "DEQUANTIZE" and item.inputs[0] == old and item.outputs[0] not in graph.outputs
    ]
    redirect(graph, dict.fromkeys(turned_back, made))
    step = new_operator(model, "QUANTIZE", "QuantizeOptions", [made], old)
    graph.operators.insert(place_of(graph, operator) + 1, step)


def _float_like(graph: Any, tensor: int) -> int:
    like = graph.tensors[tensor]
    return add_tensor(graph, f"{tensor_name(like)}_float", tensor_shape(like), "float32")
