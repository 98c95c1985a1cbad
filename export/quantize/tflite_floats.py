"""Float parts of quantized TFLite files: what TensorFlow's quantizer rounds although it should not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.formats.tflite.editing import add_constant
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    view_model,
    write_model,
)

# Operators whose results have a fixed scale in integers, to which the quantizer rounds them even in float.
_FIXED_SCALE = frozenset({"LOGISTIC", "TANH"})


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


def with_float_weights(content: bytes, calibrated: bytes, float_layers: Sequence[str]) -> bytes:
    """Returns a quantized model in which these layers have the weights of the float model.

    The quantizer leaves a transposed convolution without ranges in float arithmetic, but stores its weights in 8 bits.

    Args:
        content: The quantized model.
        calibrated: The float model.
        float_layers: Names of output tensors.
    """
    if not float_layers:
        return content
    model, source = read_model(content), view_model(calibrated)
    graph, floats = model.subgraphs[0], source.subgraphs[0]
    makers = {_first_name(floats, item): item for item in floats.operators}
    wanted = {layer.split(";")[0] for layer in float_layers}
    changed = False
    for operator in graph.operators:
        name = _first_name(graph, operator)
        maker = makers.get(name)
        if maker is None or name not in wanted:
            continue
        for place, (stored, exact) in enumerate(zip(operator.inputs, maker.inputs, strict=False)):
            if _is_rounded(model, graph, stored) and dtype_name(floats.tensors[exact]) == "float32":
                _store_exact(model, graph, operator, place, constant(source, floats.tensors[exact]))
                changed = True
    return write_model(model) if changed else content


def _first_name(graph: Any, operator: Any) -> str:
    # The quantizer appends the names of the operators that it fused, behind semicolons.
    return tensor_name(graph.tensors[operator.outputs[0]]).split(";")[0]


def _is_rounded(model: Any, graph: Any, tensor: int) -> bool:
    return tensor >= 0 and is_constant(model, graph.tensors[tensor]) and dtype_name(graph.tensors[tensor]) == "int8"


def _store_exact(model: Any, graph: Any, operator: Any, place: int, data: Any) -> None:
    """Gives an operator a float constant in place of a rounded one, whose bytes go if no other operator reads them."""
    if data is None:
        return
    old = operator.inputs[place]
    name, shape = tensor_name(graph.tensors[old]), tensor_shape(graph.tensors[old])
    operator.inputs[place] = add_constant(model, graph, f"{name}_float", data.view(np.float32).reshape(shape))
    buffer = graph.tensors[old].buffer
    read = {index for item in graph.operators for index in item.inputs}
    if not any(graph.tensors[index].buffer == buffer for index in read if index >= 0):
        model.buffers[buffer].data = None
