"""ReLUs of integers in the form that XNNPACK computes.

It takes a ReLU of 8 bits only as the end of the layer before it. Behind anything else, such as depth-to-space, the
runtime computes it value by value, and what XNNPACK takes falls into two. A ReLU whose result has integers from 0 on
is nothing but a change of scale, since what is below them is clipped: that XNNPACK takes.
"""

from __future__ import annotations

from typing import Any

from pocketvae.formats.tflite.editing import new_operator
from pocketvae.formats.tflite.model import dtype_name, operator_name, read_model, view_model, write_model

_LOWEST, _LEVELS = -128, 255
# Kinds of ReLU and their upper bound.
_BOUNDS = {"RELU": float("inf"), "RELU6": 6.0}
# Of the scale before to the one behind, as XNNPACK takes it.
_RATIOS = (2.0**-8, 2.0**7)


def with_relus_as_scales(content: bytes) -> bytes:
    """Returns a quantized file whose integer ReLUs are changes of scale, where these compute the same."""
    model = view_model(content)
    if not any(_is_scale(model, operator) for operator in model.subgraphs[0].operators):
        return content
    model = read_model(content)
    graph = model.subgraphs[0]
    for place, operator in enumerate(graph.operators):
        if _is_scale(model, operator):
            graph.operators[place] = new_operator(
                model, "QUANTIZE", "QuantizeOptions", list(operator.inputs), operator.outputs[0]
            )
    return write_model(model)


def _is_scale(model: Any, operator: Any) -> bool:
    """Whether an operator is a ReLU of integers that clips where its result's integers end."""
    bound = _BOUNDS.get(operator_name(model, operator))
    if bound is None:
        return False
    given, made = (model.subgraphs[0].tensors[index] for index in (operator.inputs[0], operator.outputs[0]))
    if (dtype_name(given), dtype_name(made)) != ("int8", "int8"):
        return False
    before, behind = (float(tensor.quantization.scale[0]) for tensor in (given, made))
    # To the nearest integer, as the runtime rounds the bound.
    reaches_bound = int(made.quantization.zeroPoint[0]) == _LOWEST and round(bound / behind, 6) >= _LEVELS - 0.5
    return reaches_bound and _RATIOS[0] <= before / behind <= _RATIOS[1]
