"""The layers of a TFLite file."""

from __future__ import annotations

import math
from typing import Any

from pocketvae.formats.tflite.model import (
    dtype_name,
    is_constant,
    is_quantized,
    operator_name,
    tensor_name,
    tensor_shape,
    view_model,
)
from pocketvae.layer_precision import Granularity, LayerPrecision

_WEIGHTED = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "BATCH_MATMUL"})
# Operators whose weights are their first input.
_WEIGHTS_FIRST = frozenset({"TRANSPOSE_CONV"})


def read_tflite_layers(content: bytes) -> tuple[LayerPrecision, ...]:
    """Returns the layers with constant weights of the main subgraph, in graph order.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    return layers_of(view_model(content))


def layers_of(model: Any) -> tuple[LayerPrecision, ...]:
    """Returns the same of a model that is read already."""
    graph = model.subgraphs[0]
    made_by = {index: operator for operator in graph.operators for index in operator.outputs}
    weighted = [item for item in graph.operators if item.outputs and operator_name(model, item) in _WEIGHTED]
    found = [_layer(model, graph, made_by, operator) for operator in weighted]
    return tuple(layer for layer in found if layer is not None)


def _layer(model: Any, graph: Any, made_by: dict[int, Any], operator: Any) -> LayerPrecision | None:
    """Returns what an operator is, None where its operands are all computed."""
    kind = operator_name(model, operator)
    constants = [_constant(model, graph, made_by, index) for index in operator.inputs]
    weights = [index for index in constants if index is not None]
    if not weights:
        return None
    largest = graph.tensors[max(weights, key=lambda index: _size(graph, index))]
    computed = [index for index, found in zip(operator.inputs, constants, strict=True) if found is None]
    moving = next(index for index in (*computed, *operator.inputs) if index >= 0)
    return LayerPrecision(
        name=tensor_name(graph.tensors[operator.outputs[0]]),
        operator=kind,
        weight_count=sum(_size(graph, index) for index in weights if _is_weight(graph, index, kind)),
        weights=dtype_name(largest),
        granularity=_granularity(largest),
        activations=dtype_name(graph.tensors[moving]),
    )


def _is_weight(graph: Any, index: int, kind: str) -> bool:
    # The output's shape, an operand of transposed convolutions, is a constant of four integers.
    return not (kind in _WEIGHTS_FIRST and tensor_shape(graph.tensors[index]) == (4,))


def _constant(model: Any, graph: Any, made_by: dict[int, Any], index: int) -> int | None:
    """Returns the constant behind an input, through the operators that unpack stored weights; None for others."""
    seen: set[int] = set()
    # In a damaged file operators may feed one another.
    while index >= 0 and index not in seen:
        seen.add(index)
        if is_constant(model, graph.tensors[index]):
            return index
        maker = made_by.get(index)
        if maker is None or len(maker.inputs) != 1 or index in graph.inputs:
            return None
        index = maker.inputs[0]
    return None


def _size(graph: Any, index: int) -> int:
    return math.prod(tensor_shape(graph.tensors[index]))


def _granularity(tensor: Any) -> Granularity:
    if not is_quantized(tensor):
        return Granularity.NONE
    return Granularity.PER_CHANNEL if len(tensor.quantization.scale) > 1 else Granularity.PER_TENSOR
