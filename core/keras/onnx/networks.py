"""Operators of ONNX with weights but without a place in an image: products of matrices and normalizations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx.nodes import Node, Operator
from pocketvae.keras.onnx.spatial import last, result
from pocketvae.keras.onnx.tensors import Value, together, value

_EPSILON = 1e-5
_MATRIX = 2


def _gemm(node: Node) -> Value:
    tf = import_tensorflow()
    left, right, bias = node.input(0).plain(), node.input(1).plain(), node.given(2)
    if node.get("transA", 0):
        raise node.unsupported("with a transposed first input")
    if isinstance(right, np.ndarray):
        right = np.ascontiguousarray(right.T if node.get("transB", 0) else right) * np.float32(node.get("alpha", 1.0))
        made = tf.matmul(left, right)
    else:
        made = tf.matmul(left, right, transpose_b=bool(node.get("transB", 0))) * node.get("alpha", 1.0)
    if bias is None:
        return value(made)
    beta = np.float32(node.get("beta", 1.0))
    added = bias.plain()
    added = added * beta if beta != 1 else added
    is_vector = isinstance(added, np.ndarray) and added.size == made.shape[-1]
    return value(tf.nn.bias_add(made, added.reshape(-1)) if is_vector else made + added)


def _matrix_product(node: Node) -> Value:
    tf = import_tensorflow()
    left, right = node.input(0), node.input(1)
    if right.is_constant and right.rank == _MATRIX and left.rank > _MATRIX:
        # One dense layer of all rows.
        rows = tf.reshape(left.plain(), (-1, right.shape[0]))
        sizes = [-1 if size is None else size for size in left.shape[:-1]]
        return value(tf.reshape(tf.matmul(rows, right.array()), [*sizes, right.shape[1]]))
    return value(tf.matmul(left.plain(), right.plain()))


def _batch_norm(node: Node) -> Value:
    tf = import_tensorflow()
    given = node.input()
    constants = [node.constant(place) for place in range(1, 5)]
    if any(item is None for item in constants) or node.get("training_mode", 0):
        raise node.unsupported("in training mode: export the model in evaluation mode, model.eval()")
    scale, bias, mean, variance = (np.asarray(item, np.float64) for item in constants)
    factor = scale / np.sqrt(variance + node.get("epsilon", _EPSILON))
    shift = bias - mean * factor
    tensor = last(given)
    made = tf.add(tf.multiply(tensor, factor.astype(np.float32)), shift.astype(np.float32))
    return result(made) if given.rank > _MATRIX else value(made)


def _normalized(tensor: Any, axes: list[int], epsilon: float) -> Any:
    tf = import_tensorflow()
    centred = tensor - tf.reduce_mean(tensor, axis=axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=axes, keepdims=True)
    return centred * tf.math.rsqrt(variance + np.float32(epsilon))


def _instance_norm(node: Node) -> Value:
    tensor = last(node.input())
    scale, bias = node.constant(1), node.constant(2)
    made = _normalized(tensor, list(range(1, len(tensor.shape) - 1)), node.get("epsilon", _EPSILON))
    return result(made * scale + bias)


def _group_norm(node: Node) -> Value:
    """Group normalization over `groups`, which `OnnxGraph` puts together; scale and shift have a value a channel."""
    tf = import_tensorflow()
    tensor, groups = last(node.input()), node.get("groups")
    sizes = [int(size) for size in tensor.shape[1:]]
    channels = sizes[-1]
    grouped = tf.reshape(tensor, (-1, math.prod(sizes[:-1]), groups, channels // groups))
    made = _normalized(grouped, [1, 3], node.get("epsilon", _EPSILON))
    scale, bias = (node.constant(place) for place in (1, 2))
    if scale is not None and bias is not None and not (np.all(scale == 1) and np.all(bias == 0)):
        made = made * np.reshape(scale, (groups, -1)) + np.reshape(bias, (groups, -1))
    return result(tf.reshape(made, (-1, *sizes)))


def _layer_norm(node: Node) -> Value:
    given = node.input()
    first = node.get("axis", -1) % given.rank
    axes = list(range(first, given.rank))
    made = value(
        _normalized(given.stored, [given.axis(axis) for axis in axes], node.get("epsilon", _EPSILON)), given.order
    )
    for place, apply in ((1, "multiply"), (2, "add")):
        setting = node.given(place)
        if setting is not None:
            tensors, order = together([made, setting])
            made = value(getattr(import_tensorflow(), apply)(*tensors), order)
    return made


def _einsum(node: Node) -> Value:
    tensors = [node.input(place).plain() for place in range(len(node.inputs))]
    return value(import_tensorflow().einsum(node.get("equation").replace(" ", ""), *tensors))


OPERATORS: dict[str, Operator] = {
    "BatchNormalization": _batch_norm,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matrix_product,
}
