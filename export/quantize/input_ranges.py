"""The real numbers that a file's quantized inputs can hold."""

from __future__ import annotations

import numpy as np

from pocketvae.formats.onnx.model import array, initializers, load_model
from pocketvae.formats.tflite.model import is_quantized, main_signature, operator_name, view_model

Range = tuple[float, float]

_MOVERS = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")


def tflite_input_ranges(content: bytes) -> dict[str, Range]:
    """Returns the real numbers that quantized inputs hold: name in the signature to smallest and largest."""
    model = view_model(content)
    graph = model.subgraphs[0]
    ranges = {}
    for entry in main_signature(model).inputs:
        tensors = [graph.tensors[entry.tensorIndex]]
        tensors += [
            graph.tensors[operator.outputs[0]]
            for operator in graph.operators
            if entry.tensorIndex in operator.inputs and operator_name(model, operator) == "QUANTIZE"
        ]
        for tensor in tensors:
            if is_quantized(tensor):
                scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
                ranges[entry.name.decode()] = (scale * (-128 - zero), scale * (127 - zero))
    return ranges


def onnx_input_ranges(content: bytes) -> dict[str, Range]:
    """Returns the same of an ONNX file whose inputs are quantized first."""
    graph = load_model(content).graph
    stored = initializers(graph)
    origin = {item.name: item.name for item in graph.input}
    ranges = {}
    for node in graph.node:
        if node.op_type in _MOVERS and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        if node.op_type == "QuantizeLinear" and node.input[0] in origin:
            scale = float(array(stored[node.input[1]]).reshape(-1)[0])
            zero = array(stored[node.input[2]]).reshape(-1)[0]
            info = np.iinfo(zero.dtype)
            ranges[origin[node.input[0]]] = (scale * (info.min - int(zero)), scale * (info.max - int(zero)))
    return ranges
