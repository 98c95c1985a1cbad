"""Operators of ONNX that move, join or reduce values, in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx.nodes import Node, Operator
from pocketvae.keras.onnx.tensors import Value, channels_last, plain_order, together, value


def _reshape(node: Node) -> Value:
    given = node.input()
    target = node.numbers(1)
    keeps_zero = bool(node.get("allowzero", 0))
    sizes = [
        given.shape[place] if size == 0 and not keeps_zero else (None if size < 0 else size)
        for place, size in enumerate(target)
    ]
    return reshaped(node, given, sizes)


def reshaped(node: Node, given: Value, sizes: list[int | None]) -> Value:
    """Returns a tensor in another shape; None stands for the batch and for one size that follows from the others."""
    known = given.shape
    open_places = [place for place, size in enumerate(sizes) if size is None]
    if len(open_places) > 1 or (open_places and None in known and open_places != [0]):
        # The batch stays the first axis, so the other size follows from those behind it.
        inner = [place for place in open_places if place]
        if len(inner) != 1 or None in known[1:]:
            raise node.unsupported("with several open sizes")
        rest = math.prod(size for size in sizes[1:] if size is not None)
        sizes = [None, *sizes[1:]]
        sizes[inner[0]] = math.prod(size or 1 for size in known[1:]) // rest
    final = [-1 if size is None else size for size in sizes]
    if given.is_constant:
        return value(given.array().reshape(final))
    kept = _only_units_change(given, sizes)
    if kept is not None:
        return kept
    return value(import_tensorflow().reshape(given.plain(), final))


def _only_units_change(given: Value, sizes: list[int | None]) -> Value | None:
    """Returns the tensor itself where its shape stays the same, so that its order stays too."""
    return given if tuple(sizes[1:]) == given.shape[1:] and len(sizes) == given.rank else None


def _flatten(node: Node) -> Value:
    given = node.input()
    axis = node.get("axis", 1)
    if axis != 1:
        raise node.unsupported(f"with axis {axis}")
    return reshaped(node, given, [None, math.prod(size or 1 for size in given.shape[1:])])


def _axes(node: Node, rank: int) -> list[int]:
    named = node.get("axes")
    found = node.numbers(1) if named is None and node.given(1) is not None else named
    return [axis % rank for axis in found] if found is not None else []


def _squeeze(node: Node) -> Value:
    given = node.input()
    axes = _axes(node, given.rank) or [axis for axis, size in enumerate(given.shape) if size == 1]
    return reshaped(node, given, [size for axis, size in enumerate(given.shape) if axis not in axes])


def _unsqueeze(node: Node) -> Value:
    given = node.input()
    named = node.get("axes")
    places = node.numbers(1) if named is None else named
    rank = given.rank + len(places)
    added = {place % rank for place in places}
    sizes = iter(given.shape)
    return reshaped(node, given, [1 if place in added else next(sizes) for place in range(rank)])


def _transpose(node: Node) -> Value:
    """Nothing moves: what is stored is only named anew."""
    given = node.input()
    axes = list(node.get("perm") or reversed(range(given.rank)))
    return Value(stored=given.stored, order=tuple(axes.index(axis) for axis in given.order))


def _concat(node: Node) -> Value:
    values = [item for item in (node.input(place) for place in range(len(node.inputs))) if 0 not in item.shape]
    tensors, order = together(values)
    axis = node.get("axis") % len(order)
    return value(import_tensorflow().concat(tensors, axis=order.index(axis)), order)


def _split(node: Node) -> list[Value]:
    given, axis = node.input(), node.get("axis", 0)
    size = given.shape[axis % given.rank] or 0
    stated = node.constant(1)
    count = node.output_count
    step = math.ceil(size / count)
    even = [min(step, size - step * place) for place in range(count)]
    sizes = even if stated is None else [int(number) for number in stated]
    tensors = import_tensorflow().split(given.stored, sizes, axis=given.axis(axis))
    return [value(tensor, given.order) for tensor in tensors]


def _slice(node: Node) -> Value:
    given = node.input()
    starts, ends = node.numbers(1), node.numbers(2)
    axes = node.numbers(3) if node.given(3) is not None else list(range(len(starts)))
    steps = node.numbers(4) if node.given(4) is not None else [1] * len(starts)
    chosen = [slice(None)] * given.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = given.shape[axis % given.rank]
        # An end far below 0 stands for the first value, when steps go backwards.
        whole = size is None or end >= size or (step < 0 and end < -size)
        chosen[given.axis(axis)] = slice(start or None, None if whole else end, step)
    return value(given.stored[tuple(chosen)], given.order)


def _gather(node: Node) -> Value:
    tf = import_tensorflow()
    given, indices, axis = node.input(), node.input(1), node.get("axis", 0)
    if indices.is_constant:
        chosen = indices.array()
        size = given.shape[axis % given.rank]
        chosen = np.where(chosen < 0, chosen + (size or 0), chosen)
        if chosen.ndim == 1:
            return value(tf.gather(given.stored, chosen, axis=given.axis(axis)), given.order)
        return value(tf.gather(given.plain(), chosen, axis=axis))
    return value(tf.gather(given.plain(), indices.plain(), axis=axis))


def _one_hot(node: Node) -> Value:
    tf = import_tensorflow()
    depth, limits, axis = node.numbers(1)[0], node.constant(2), node.get("axis", -1)
    if limits is None or axis not in (-1, node.input().rank):
        raise node.unsupported(f"with axis {axis}")
    table = np.full((depth, depth), limits[0]) + np.eye(depth, dtype=limits.dtype) * (limits[1] - limits[0])
    return value(tf.gather(table.astype(limits.dtype), node.input().plain()))


def _expand(node: Node) -> Value:
    tf = import_tensorflow()
    given, target = node.input(), node.numbers(1)
    rank = max(given.rank, len(target))
    have = (1,) * (rank - given.rank) + given.shape
    target = [1] * (rank - len(target)) + target
    sizes = [now if now != 1 else wanted for now, wanted in zip(have, target, strict=True)]
    tensor = given.plain()
    if rank > given.rank:
        tensor = tf.reshape(tensor, [-1 if size is None else size for size in have])
    repeats = [1 if now != 1 else (wanted or 1) for now, wanted in zip(have, sizes, strict=True)]
    return value(tf.tile(tensor, repeats) if max(repeats) > 1 else tensor)


def _tile(node: Node) -> Value:
    given, repeats = node.input(), node.numbers(1)
    return value(import_tensorflow().tile(given.stored, [repeats[axis] for axis in given.order]), given.order)


def _pad(node: Node) -> Value:
    tf = import_tensorflow()
    given, pads, mode = node.input(), node.numbers(1), node.get("mode", "constant")
    sides = [(pads[axis], pads[axis + given.rank]) for axis in given.order]
    if mode == "edge":
        return value(_edges(given.stored, sides), given.order)
    if mode not in ("constant", "reflect"):
        raise node.unsupported(f"with the mode {mode!r}")
    filling = node.constant(2)
    # Negative numbers crop.
    cropped = given.stored
    if min(min(pair) for pair in sides) < 0:
        cropped = cropped[tuple(slice(max(0, -before) or None, min(0, after) or None) for before, after in sides)]
        sides = [(max(0, before), max(0, after)) for before, after in sides]
    if not any(before or after for before, after in sides):
        return value(cropped, given.order)
    constant = float(np.reshape(filling, -1)[0]) if filling is not None and filling.size else 0.0
    if mode == "reflect":
        return value(tf.pad(cropped, sides, mode="REFLECT"), given.order)
    return value(tf.pad(cropped, sides, constant_values=constant), given.order)


def _edges(tensor: Any, sides: list[tuple[int, int]]) -> Any:
    tf = import_tensorflow()
    for axis, (before, after) in enumerate(sides):
        if before or after:
            size = tensor.shape[axis]
            places = np.clip(np.arange(-before, size + after), 0, size - 1)
            tensor = tf.gather(tensor, places, axis=axis)
    return tensor


def _reduce(name: str, before: str = "", after: str = "") -> Operator:
    def apply(node: Node) -> Value:
        tf = import_tensorflow()
        given = node.input()
        axes = _axes(node, given.rank)
        if not axes and (node.get("noop_with_empty_axes", 0) or not given.rank):
            return given
        axes = axes or list(range(given.rank))
        tensor = getattr(tf.math, before)(given.stored) if before else given.stored
        result = getattr(tf, f"reduce_{name}")(tensor, axis=[given.axis(axis) for axis in axes], keepdims=True)
        kept = value(getattr(tf.math, after)(result) if after else result, given.order)
        if node.get("keepdims", 1):
            return kept
        return reshaped(node, kept, [size for axis, size in enumerate(given.shape) if axis not in axes])

    return apply


def _arg(name: str) -> Operator:
    def apply(node: Node) -> Value:
        tf = import_tensorflow()
        given, axis = node.input(), node.get("axis", 0)
        if node.get("select_last_index", 0):
            raise node.unsupported("with select_last_index")
        found = getattr(tf, name)(given.plain(), axis=axis, output_type=tf.int64)
        return value(tf.expand_dims(found, axis) if node.get("keepdims", 1) else found)

    return apply


def _softmax(function: Callable[[Any, Any, int], Any]) -> Operator:
    def apply(node: Node) -> Value:
        given, axis = node.input(), node.get("axis", -1)
        if given.axis(axis) == given.rank - 1:
            return value(function(import_tensorflow(), given.stored, -1), given.order)
        # TFLite works along the last axis alone.
        last = channels_last(given.rank) if axis % given.rank == 1 else plain_order(given.rank)
        if last[-1] != axis % given.rank:
            raise node.unsupported(f"along the axis {axis}")
        return value(function(import_tensorflow(), given.in_order(last), -1), last)

    return apply


OPERATORS: dict[str, Operator] = {
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "LogSoftmax": _softmax(lambda tf, tensor, axis: tf.nn.log_softmax(tensor, axis=axis)),
    "OneHot": _one_hot,
    "Pad": _pad,
    "ReduceL2": _reduce("sum", "square", "sqrt"),
    "ReduceMax": _reduce("max"),
    "ReduceMean": _reduce("mean"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceSum": _reduce("sum"),
    "ReduceSumSquare": _reduce("sum", "square"),
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax(lambda tf, tensor, axis: tf.nn.softmax(tensor, axis=axis)),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
