"""The operators of a TFLite file that compute, and what they multiply."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pocketvae.formats.damage import refusing_damage
from pocketvae.formats.tflite.model import (
    dtype_name,
    is_constant,
    operator_name,
    tensor_name,
    tensor_shape,
    view_model,
)
from pocketvae.integer_share import Computation

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})
_FLOATS = ("float", "bfloat", "complex")


def read_tflite_computations(content: bytes) -> tuple[Computation, ...]:
    """Returns the operators of the main subgraph that compute, in graph order.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    model = view_model(content)
    with refusing_damage("the TFLite file", "operators"):
        return tuple(_computations(model, model.subgraphs[0]))


def _computations(model: Any, graph: Any) -> Iterator[Computation]:
    for operator in graph.operators:
        kind = operator_name(model, operator)
        read = [graph.tensors[index] for index in operator.inputs if index >= 0]
        computed = [tensor for tensor in read if not is_constant(model, tensor)]
        if kind in _CONVERSIONS or not operator.outputs or (read and not computed):
            continue
        written = [graph.tensors[index] for index in operator.outputs]
        yield Computation(
            name=tensor_name(written[0]),
            in_integers=not any(dtype_name(tensor).startswith(_FLOATS) for tensor in (*computed, *written)),
            multiply_adds=_multiply_adds(kind, [tensor_shape(tensor) for tensor in read], tensor_shape(written[0])),
        )


def _multiply_adds(kind: str, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int | None:
    """Returns the multiplications of an operator for one sample; None of one that is no layer.

    Args:
        kind: Name of the operator.
        inputs: Shapes of what it reads: data and weights, of transposed convolutions output shape, weights and data.
        output: Shape of what it writes.
    """
    if kind in ("CONV_2D", "FULLY_CONNECTED"):
        return math.prod(output) * math.prod(inputs[1][1:])
    if kind == "DEPTHWISE_CONV_2D":
        return math.prod(output) * math.prod(inputs[1][1:-1])
    if kind == "CONV_3D":
        return math.prod(output) * math.prod(inputs[1][:-1])
    if kind in ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"):
        return math.prod(inputs[2]) * math.prod(inputs[1][:-1])
    if kind == "BATCH_MATMUL":
        return math.prod(output) * math.prod(inputs[0][-2:]) // max(1, output[-2])
    return None
