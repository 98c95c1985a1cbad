"""Weights of products with 16-bit activations, stored so that onnxruntime computes with these activations.

onnxruntime 1.32 turns a product of computed values and an unpacked matrix of 8 bits into MatMulNBits, which by default
rounds the values to 8 bits by itself, so that nothing is left of activations in 16 bits. It leaves a Gemm of a
transposed matrix alone, and a matrix with one more dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pocketvae.formats.onnx.model import array, initializers, replace_array

_PRODUCTS = ("Gemm", "MatMul")
_MATRIX = 2


def keep_wide_products(model: Any) -> None:
    """Stores the matrices of a model's products, which are unpacked from 8 bits, so that activations stay in 16 bits.

    Args:
        model: Is changed.
    """
    from onnx import shape_inference

    graph = model.graph
    inferred = shape_inference.infer_shapes(model).graph
    ranks = {item.name: len(item.type.tensor_type.shape.dim) for item in (*inferred.input, *inferred.value_info)}
    stored = initializers(graph)
    for unpacking in graph.node:
        weights = stored.get(unpacking.input[0]) if unpacking.op_type == "DequantizeLinear" else None
        if weights is None or len(weights.dims) != _MATRIX:
            continue
        readers = [node for node in graph.node if unpacking.output[0] in node.input]
        shared = sum(weights.name in node.input for node in graph.node) > 1
        if shared or not all(_multiplies(node, unpacking.output[0]) for node in readers):
            continue
        if all(node.op_type == "Gemm" or ranks.get(node.input[0]) == _MATRIX for node in readers):
            _transpose(unpacking, weights, readers)
        elif all(ranks.get(node.input[0], 0) > _MATRIX for node in readers):
            _deepen(unpacking, weights)
    # What is noted of tensors inside is inferred again.
    del graph.value_info[:]


def _multiplies(node: Any, matrix: str) -> bool:
    """Whether a node is a product with a matrix that it does not transpose."""
    turns = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return node.op_type in _PRODUCTS and node.input[1] == matrix and not turns


def _transpose(unpacking: Any, weights: Any, readers: list[Any]) -> None:
    from onnx import helper

    replace_array(weights, np.ascontiguousarray(array(weights).T))
    _set_axis(unpacking, {0: 1, 1: 0})
    for node in readers:
        node.op_type = "Gemm"
        for attribute in [attribute for attribute in node.attribute if attribute.name == "transB"]:
            node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute("transB", 1))


def _deepen(unpacking: Any, weights: Any) -> None:
    replace_array(weights, array(weights)[None])
    _set_axis(unpacking, {0: 1, 1: 2})


def _set_axis(unpacking: Any, places: Mapping[int, int]) -> None:
    for attribute in unpacking.attribute:
        if attribute.name == "axis":
            attribute.i = places[attribute.i]
