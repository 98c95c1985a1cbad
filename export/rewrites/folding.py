"""Folding of batch normalization and other scales into the weights of the preceding layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.rewrites.tails import Tail, read_tail
from pocketvae.keras.io import import_tensorflow

Array = npt.NDArray[Any]
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ScaledLayer:
    """A place in a graph.

    Attributes:
        operator: The layer's.
        reshape: What stands between it and the scale, of a dense layer whose output becomes an image; or None.
        tail: Scale and shift.
    """

    operator: Any
    reshape: Any
    tail: Tail


def rewrite(graph: FrozenGraph) -> tuple[FrozenGraph, int]:
    """Returns the graph with scales in the weights, and how many layers took one in."""
    places = [place for operator in graph.operators if (place := _find(graph, operator)) is not None]
    replacements = {}
    with graph.graph.as_default():
        for place in places:
            replacements[place.tail.end.name] = _emit(graph, place)
    return (graph.replaced(replacements), len(places)) if places else (graph, 0)


def _find(graph: FrozenGraph, operator: Any) -> ScaledLayer | None:
    if operator.type not in _SCALE_WEIGHTS or graph.constant(operator.inputs[1]) is None:
        return None
    output, shape = operator.outputs[0], static_shape(operator.outputs[0])
    if shape is None or (operator.type != "MatMul" and operator.get_attr("data_format") != b"NHWC"):
        return None
    tail = read_tail(graph, output, shape[-1], _NONE)
    reshape = graph.only_consumer(tail.end)
    if operator.type == "MatMul" and not tail.is_scaled and reshape is not None and reshape.type == "Reshape":
        behind = static_shape(reshape.outputs[0])
        # Each row of a dense layer's output becomes whole pixels, so that a channel is every C-th value.
        if behind is not None and behind[0] == shape[0] and shape[-1] % behind[-1] == 0:
            second = read_tail(graph, reshape.outputs[0], behind[-1], _NONE)
            if second.is_scaled:
                return ScaledLayer(operator=operator, reshape=reshape, tail=_through(tail, second))
    return ScaledLayer(operator=operator, reshape=None, tail=tail) if tail.is_scaled else None


def _through(first: Tail, second: Tail) -> Tail:
    """Returns one tail of a dense layer for what stands before and after its reshape."""
    copies = len(first.scale) // len(second.scale)
    scale, shift = np.tile(second.scale, copies), np.tile(second.shift, copies)
    return Tail(
        scale=first.scale * scale, shift=first.shift * scale + shift, activation=None, end=second.end, is_scaled=True
    )


def _emit(graph: FrozenGraph, place: ScaledLayer) -> Any:
    tf = import_tensorflow()
    operator, tail = place.operator, place.tail
    weights = _SCALE_WEIGHTS[operator.type](operator, graph.constant(operator.inputs[1]), tail.scale)
    with tf.name_scope(operator.name.rpartition("/")[0] or operator.name):
        inputs = [operator.inputs[0], tf.constant(weights.astype(np.float32)), *operator.inputs[2:]]
        copy = graph.graph.create_op(
            operator.type, inputs, [operator.outputs[0].dtype], name=operator.type, attrs=dict(operator.node_def.attr)
        )
        value = tf.nn.bias_add(copy.outputs[0], tail.shift.astype(np.float32))
        return value if place.reshape is None else tf.reshape(value, static_shape(place.reshape.outputs[0]))


def _dense(operator: Any, weights: Array, scale: Array) -> Array:
    return weights * (scale[:, None] if operator.get_attr("transpose_b") else scale)


def _convolution(operator: Any, weights: Array, scale: Array) -> Array:
    return weights * scale


def _depthwise(operator: Any, weights: Array, scale: Array) -> Array:
    return weights * scale.reshape(weights.shape[2:])


def _transposed(operator: Any, weights: Array, scale: Array) -> Array:
    return weights * scale[:, None]


_SCALE_WEIGHTS: dict[str, Callable[[Any, Any, Array], Array]] = {
    "MatMul": _dense,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
}
