"""Weights in 8 bits for the float layers of an ONNX model: they are unpacked where they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.export.quantize.tflite_weights import quantize_per_channel
from pocketvae.formats.onnx.model import array, drop_unread_initializers, initializers, load_model

_ZERO = 128
# onnxruntime 1.23.2 unpacks weights in every call, about 5 ns for each; at this many uses of a weight that is little.
_ENOUGH_USES = 256


def reused_layers(float32: bytes) -> frozenset[str]:
    """Returns the layers of a float model that may store their weights in 8 bits: convolutions of larger images.

    Args:
        float32: The model.
    """
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(load_model(float32)).graph
    shapes = {item.name: item.type.tensor_type.shape.dim for item in (*graph.value_info, *graph.output)}
    return frozenset(
        node.name
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose")
        and math.prod(size.dim_value for size in list(shapes.get(node.output[0], ()))[2:]) >= _ENOUGH_USES
    )


def store_integer_weights(model: Any, layers: Sequence[str]) -> None:
    """Makes these layers, whose arithmetic is in float, store their weights in uint8 per channel.

    Args:
        model: Is changed.
        layers: Names of nodes.
    """
    from onnx import helper, numpy_helper

    floats = initializers(model.graph)
    unpacking: list[Any] = []
    for node in model.graph.node:
        place = next((index for index, name in enumerate(node.input[:2]) if name in floats), None)
        if node.name not in layers or place is None or len(floats[node.input[place]].dims) < 2:
            continue
        name = node.input[place]
        weights = array(floats[name])
        axis = _axis(node, place, weights.ndim)
        integers, scales = quantize_per_channel(weights, axis)
        stem = f"{name}_{len(unpacking)}"
        parts = {
            f"{stem}_uint8": (integers.astype(np.int16) + _ZERO).astype(np.uint8),
            f"{stem}_scale": scales,
            f"{stem}_zero": np.full(scales.shape, _ZERO, np.uint8),
        }
        model.graph.initializer.extend(numpy_helper.from_array(values, key) for key, values in parts.items())
        unpacking.append(
            helper.make_node("DequantizeLinear", list(parts), [f"{stem}_unpacked"], f"{stem}_unpack", axis=axis)
        )
        node.input[place] = f"{stem}_unpacked"
    nodes = [*unpacking, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    drop_unread_initializers(model.graph)


def _axis(node: Any, place: int, rank: int) -> int:
    """Returns the axis of the output channels of a node's weights."""
    if node.op_type in ("Conv", "ConvTranspose"):
        return int(node.op_type == "ConvTranspose")
    transposed = {item.name: item.i for item in node.attribute}.get("transB", 0) if node.op_type == "Gemm" else 0
    return rank - 2 if transposed or place == 0 else rank - 1
