"""The layers of a TFLite file."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.errors import missing_package
from pocketvae.layer_precision import Granularity, LayerPrecision

_WEIGHTED = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "BATCH_MATMUL"})
# Operators whose weights are their first input.
_WEIGHTS_FIRST = frozenset({"TRANSPOSE_CONV"})


def read_tflite_layers(content: bytes) -> tuple[LayerPrecision, ...]:
    """Returns the layers with constant weights of every subgraph's first copy, in graph order."""
    try:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    names = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    made_by = {index: operator for operator in graph.operators for index in operator.outputs}
    layers = []
    for operator in graph.operators:
        kind = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        if kind not in _WEIGHTED:
            continue
        constants = [_constant(model, graph, made_by, index) for index in operator.inputs]
        weights = [index for index in constants if index is not None]
        if not weights:
            continue
        largest = max(weights, key=lambda index: _size(graph, index))
        moving = [index for index, found in zip(operator.inputs, constants, strict=True) if found is None]
        moving = [index for index in moving if index >= 0] or [operator.inputs[0]]
        layers.append(
            LayerPrecision(
                name=graph.tensors[operator.outputs[0]].name.decode(),
                operator=kind,
                weight_count=sum(_size(graph, index) for index in weights if _is_weight(graph, index, kind)),
                weights=names[graph.tensors[largest].type],
                granularity=_granularity(graph.tensors[largest]),
                activations=names[graph.tensors[moving[0]].type],
            )
        )
    return tuple(layers)


def _is_weight(graph: Any, index: int, kind: str) -> bool:
    # The output's shape, an operand of transposed convolutions, is a constant of four integers.
    return not (kind in _WEIGHTS_FIRST and list(graph.tensors[index].shape) == [4])


def _constant(model: Any, graph: Any, made_by: dict[int, Any], index: int) -> int | None:
    """Returns the constant behind an input, through the operators that unpack stored weights; None for others."""
    while index >= 0:
        if model.buffers[graph.tensors[index].buffer].data is not None:
            return index
        maker = made_by.get(index)
        if maker is None or len(maker.inputs) != 1 or index in graph.inputs:
            return None
        index = maker.inputs[0]
    return None


def _size(graph: Any, index: int) -> int:
    return int(np.prod(graph.tensors[index].shape))


def _granularity(tensor: Any) -> Granularity:
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    if scales is None or len(scales) == 0:
        return Granularity.NONE
    return Granularity.PER_CHANNEL if len(scales) > 1 else Granularity.PER_TENSOR
