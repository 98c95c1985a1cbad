"""Layers of quantized TFLite files whose outputs are split, as one layer for each part.

A kernel computes 16 output channels at once, so that layers of 16 channels each take no longer than one of all of them,
and nothing has to be split. The values are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.quantize.tflite_four_bits import packed, unpacked
from pocketvae.formats.tflite.editing import add_buffer, add_tensor, place_of
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

# Output channels that common kernels compute together (XNNPACK: 8 or 16 with NEON, 16 with AVX2 and AVX-512).
_VECTOR = 16
_LAYERS = frozenset({"CONV_2D", "FULLY_CONNECTED"})
_PART = "_part"


def with_layers_for_parts(content: bytes) -> bytes:
    """Returns a quantized file in which no layer's output channels are split, where their kernels stay as full."""
    if not any(_places(view_model(content))):
        return content
    model = read_model(content)
    graph = model.subgraphs[0]
    for layer, split in list(_places(model)):
        whole = tensor_name(graph.tensors[layer.outputs[0]])
        for index, made in enumerate(split.outputs):
            graph.tensors[made].name = f"{whole}{_PART}{index}".encode()
        parts = [_part(model, layer, index, int(made)) for index, made in enumerate(split.outputs)]
        place = place_of(graph, layer)
        graph.operators[place : place + 1] = parts
        graph.operators = [operator for operator in graph.operators if operator is not split]
        _drop(model, [int(index) for index in layer.inputs[1:] if index >= 0])
    return write_model(model)


def parts_of_layers(content: bytes) -> dict[str, tuple[str, ...]]:
    """Returns the layers that `with_layers_for_parts` has split: name of a layer to those of its parts, in order."""
    found: dict[str, list[str]] = {}
    model = view_model(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        name = tensor_name(graph.tensors[operator.outputs[0]])
        whole, mark, number = name.rpartition(_PART)
        if mark and number.isdecimal() and operator_name(model, operator) in _LAYERS:
            found.setdefault(whole, []).append(name)
    return {
        whole: tuple(sorted(names, key=lambda name: int(name.rpartition(_PART)[2]))) for whole, names in found.items()
    }


def _places(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each layer whose channels are split into equal parts of whole vectors, with what splits them."""
    graph = model.subgraphs[0]
    makers = {int(index): operator for operator in graph.operators for index in operator.outputs}
    for split in graph.operators:
        if operator_name(model, split) != "SPLIT":
            continue
        whole, layer = int(split.inputs[1]), makers.get(int(split.inputs[1]))
        axis = constant(model, graph.tensors[split.inputs[0]])
        shape = tensor_shape(graph.tensors[whole])
        is_private = sum(whole in other.inputs for other in graph.operators) == 1 and whole not in graph.outputs
        if (
            layer is not None
            and operator_name(model, layer) in _LAYERS
            and axis is not None
            and int(axis.view(np.int32)[0]) % len(shape) == len(shape) - 1
            and is_private
            and shape[-1] // len(split.outputs) % _VECTOR == 0
            and all(is_constant(model, graph.tensors[index]) for index in layer.inputs[1:] if index >= 0)
        ):
            yield layer, split


def _part(model: Any, layer: Any, index: int, made: int) -> Any:
    """Returns the layer that computes one part of the channels into a tensor."""
    graph = model.subgraphs[0]
    channels = tensor_shape(graph.tensors[made])[-1]
    chosen = slice(index * channels, (index + 1) * channels)
    constants = [_cut(model, int(item), chosen, index) if item >= 0 else -1 for item in layer.inputs[1:]]
    part = schema().OperatorT()
    vars(part).update(vars(layer))
    part.inputs, part.outputs = [int(layer.inputs[0]), *constants], [made]
    return part


def _cut(model: Any, index: int, chosen: slice, number: int) -> int:
    """Adds some output channels of weights or biases and returns the number of their tensor."""
    graph = model.subgraphs[0]
    whole = graph.tensors[index]
    shape = tensor_shape(whole)
    stored: npt.NDArray[np.uint8] = np.asarray(constant(model, whole)).view(np.uint8)
    if dtype_name(whole) == "int4":  # a row may end in the middle of a byte
        rows = packed(unpacked(stored, shape)[chosen])
    else:
        rows = stored.reshape(shape[0], -1)[chosen]
    added = add_tensor(graph, f"{tensor_name(whole)}{_PART}{number}", shape, "int8", add_buffer(model, rows.tobytes()))
    tensor = graph.tensors[added]
    tensor.type, tensor.shape = whole.type, [chosen.stop - chosen.start, *shape[1:]]
    scales, zeros = (list(values) for values in (whole.quantization.scale, whole.quantization.zeroPoint))
    parameters = schema().QuantizationParametersT()
    parameters.scale = scales[chosen] if len(scales) > 1 else scales
    parameters.zeroPoint = zeros[chosen] if len(zeros) > 1 else zeros
    tensor.quantization = parameters
    return added


def _drop(model: Any, tensors: list[int]) -> None:
    """Removes the bytes of constants that nothing reads any more."""
    graph = model.subgraphs[0]
    for index in tensors:
        buffer = graph.tensors[index].buffer
        is_read = any(index in operator.inputs for operator in graph.operators)
        is_shared = any(other.buffer == buffer for place, other in enumerate(graph.tensors) if place != index)
        if not (is_read or is_shared):
            model.buffers[buffer].data = None
