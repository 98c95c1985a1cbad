"""Rewrite of group and instance normalization as a scale and a shift for each channel.

Frameworks split the channels of an image into groups as a dimension of their own, and runtimes have fast kernels for
images alone: LiteRT computes the five dimensions of Keras's form without XNNPACK, 4.5 times as slowly (128x128x64, 16
groups). Here the means of channels are taken of the image, and joined to those of groups by one small matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.rewrites.convolutions import layer_name
from pocketvae.export.rewrites.frozen import FrozenGraph, static_shape
from pocketvae.export.rewrites.tails import read_tail
from pocketvae.keras.io import import_tensorflow

FloatArray = npt.NDArray[np.float64]
_SUMS = ("AddV2", "Add")
_NO_ACTIVATION: frozenset[str] = frozenset()
# Of the scale and shift that are read off the operator's own values.
_TOLERANCE = 1e-4
# Of groups: samples, places, groups, channels of a group.
_LEAST_RANK = 3
# Operators between the root and what is normalized by it.
_FARTHEST = 8


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """A place in a graph.

    Attributes:
        name: Of the layer.
        source: `[N, ..., C]`.
        groups: Into how many the channels are split; C for instance normalization.
        epsilon: Added to the variance.
        scale: `[C]`.
        shift: `[C]`.
        end: The tensor that is replaced, of the source's shape or split into groups.
    """

    name: str
    source: Any
    groups: int
    epsilon: float
    scale: FloatArray
    shift: FloatArray
    end: Any


@dataclass(frozen=True, kw_only=True)
class _Core:
    """What is normalized.

    Attributes:
        values: `[N, ..., G, C/G]`, or `[N, ..., C]` where every channel is normalized alone.
        source: `[N, ..., C]`.
        groups: G, or C.
        axes: Of the values, over which mean and variance are taken.
        epsilon: Added to the variance.
    """

    values: Any
    source: Any
    groups: int
    axes: tuple[int, ...]
    epsilon: float


def rewrite(graph: FrozenGraph) -> tuple[FrozenGraph, int]:
    """Returns the graph with its normalizations rewritten, and how many there are."""
    tf = import_tensorflow()
    places = [place for operator in graph.operators if (place := find(graph, operator)) is not None]
    replacements = {}
    with graph.graph.as_default():
        for place in places:
            with tf.name_scope(place.name):
                replacements[place.end.name] = _emit(place)
    return (graph.replaced(replacements), len(places)) if places else (graph, 0)


def find(graph: FrozenGraph, operator: Any) -> Normalization | None:
    """Recognizes a normalization of groups of channels over all places of an image or a sequence, by its root."""
    for core in _cores(graph, operator):
        found = _normalized(graph, core, operator)
        if found is not None:
            return _place(graph, core, operator, *found)
    return None


def _place(graph: FrozenGraph, core: _Core, root: Any, end: Any, scale: FloatArray, shift: FloatArray) -> Normalization:
    back = graph.only_consumer(end)
    if back is not None and back.type == "Reshape" and static_shape(back.outputs[0]) == static_shape(core.source):
        end = back.outputs[0]
    if end.shape == core.source.shape:
        tail = read_tail(graph, end, len(scale), _NO_ACTIVATION)
        scale, shift, end = scale * tail.scale, shift * tail.scale + tail.shift, tail.end
    return Normalization(
        name=layer_name(root),
        source=core.source,
        groups=core.groups,
        epsilon=core.epsilon,
        scale=scale,
        shift=shift,
        end=end,
    )


def _cores(graph: FrozenGraph, operator: Any) -> Iterator[_Core]:
    """Yields what `1 / sqrt(variance + epsilon)` may be the root of; frameworks take a variance in many ways."""
    shape = static_shape(operator.outputs[0]) if operator.type == "Rsqrt" else None
    if shape is None or len(shape) < _LEAST_RANK or operator.inputs[0].op.type not in _SUMS:
        return
    constants = [graph.constant(tensor) for tensor in operator.inputs[0].op.inputs]
    epsilon = next((float(value.reshape(())) for value in constants if value is not None and value.size == 1), None)
    if epsilon is None:
        return
    rank = len(shape)
    for axis, axes in ((-2, (*range(1, rank - 2), rank - 1)), (-1, tuple(range(1, rank - 1)))):
        if math.prod(shape) != shape[0] * shape[axis]:
            continue
        for values in _behind(operator):
            source = _source(graph, values, shape, axis)
            if source is not None:
                yield _Core(values=values, source=source, groups=shape[axis], axes=axes, epsilon=epsilon)


def _source(graph: FrozenGraph, values: Any, root: tuple[int, ...], axis: int) -> Any:
    """Returns the image or sequence of values that a root of this shape may normalize; None where there is none."""
    shape = static_shape(values)
    if shape is None or len(shape) != len(root) or values.dtype.name != "float32":
        return None
    if (shape[0], shape[axis]) != (root[0], root[axis]) or graph.constant(values) is not None:
        return None
    if axis == -1:
        return values if math.prod(shape) > math.prod(root) else None
    if values.op.type != "Reshape" or len(shape) <= _LEAST_RANK:
        return None
    source = values.op.inputs[0]
    before = static_shape(source)
    # Places may be joined: a normalization does not tell rows from columns.
    is_split = before is not None and (before[0], before[-1]) == (shape[0], shape[-2] * shape[-1])
    return source if is_split and math.prod(before or ()) == math.prod(shape) else None


def _behind(operator: Any) -> list[Any]:
    """Returns the tensors that an operator depends on, nearest first."""
    found: dict[str, Any] = {}
    waiting = [operator]
    for _ in range(_FARTHEST):
        tensors = [tensor for one in waiting for tensor in one.inputs if tensor.name not in found]
        found |= {tensor.name: tensor for tensor in tensors}
        waiting = [tensor.op for tensor in tensors]
    return list(found.values())


def _normalized(graph: FrozenGraph, core: _Core, root: Any) -> tuple[Any, FloatArray, FloatArray] | None:
    """Returns the first tensor made of the root that is the normalized values, scaled and shifted by channel."""
    waiting, seen = [root], {root.name}
    for _ in range(_FARTHEST):
        readers = [reader for one in waiting for reader in graph.consumers(one.outputs[0])]
        waiting = [reader for reader in readers if reader.name not in seen and reader.outputs]
        seen.update(reader.name for reader in waiting)
        for reader in waiting:
            if reader.outputs[0].shape == core.values.shape:
                affine = _affine(graph, core, reader.outputs[0])
                if affine is not None:
                    return (reader.outputs[0], *affine)
    return None


def _affine(graph: FrozenGraph, core: _Core, end: Any) -> tuple[FloatArray, FloatArray] | None:
    """Returns scale and shift `[C]` that give a tensor from normalized values, read off values that are computed.

    That holds for every way to write a normalization. None where there is more to it.
    """
    rng = np.random.default_rng(0)
    # Means and spreads that differ from draw to draw and group to group, so that nothing but a normalization fits.
    drawn = [_drawn(core, rng) for _ in range(2)]
    computed = graph.computed(end, core.values, drawn)
    if computed is None:
        return None
    channels = int(core.source.shape[-1])
    normal = np.concatenate([_normal(core, values).reshape(-1, channels) for values in drawn])
    wanted = np.concatenate([values.astype(np.float64).reshape(-1, channels) for values in computed])
    if len(wanted) != len(normal):
        return None
    scale = ((normal - normal.mean(0)) * (wanted - wanted.mean(0))).mean(0) / normal.var(0)
    shift = wanted.mean(0) - scale * normal.mean(0)
    is_all = np.abs(normal * scale + shift - wanted).max() <= _TOLERANCE * max(1.0, np.abs(wanted).max())
    return (scale, shift) if is_all else None


def _drawn(core: _Core, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Returns random values in place of what is normalized."""
    shape = static_shape(core.values) or ()
    means, spreads = (rng.uniform(1, 4, (shape[0], *(1,) * (len(shape) - 3), *shape[-2:])) for _ in range(2))
    drawn: npt.NDArray[np.float32] = (means + spreads * rng.normal(size=shape)).astype(np.float32)
    return drawn


def _normal(core: _Core, drawn: npt.NDArray[np.float32]) -> FloatArray:
    """Returns values normalized, exactly."""
    exact = drawn.astype(np.float64)
    variance = exact.var(core.axes, keepdims=True)
    normal: FloatArray = (exact - exact.mean(core.axes, keepdims=True)) / np.sqrt(variance + core.epsilon)
    return normal


def _emit(place: Normalization) -> Any:
    tf = import_tensorflow()
    source, channels = place.source, len(place.scale)
    places = list(range(1, source.shape.rank - 1))
    means = tf.reduce_mean(source, places, keepdims=True)
    differences = source - means
    variances = tf.reduce_mean(differences * differences, places, keepdims=True)
    if place.groups < channels:
        joined = np.kron(np.eye(place.groups), np.full((channels // place.groups,) * 2, place.groups / channels))
        of_channels, means = means, _of_groups(means, joined)
        variances = _of_groups(variances + tf.square(of_channels - means), joined)
    scale = tf.math.rsqrt(variances + place.epsilon) * place.scale.astype(np.float32)
    normal = source * scale + (place.shift.astype(np.float32) - means * scale)
    return normal if place.end.shape == source.shape else tf.reshape(normal, place.end.shape)


def _of_groups(values: Any, joined: FloatArray) -> Any:
    """Returns for every channel the mean over the channels of its group, `[N, 1, ..., C]`."""
    tf = import_tensorflow()
    return tf.reshape(tf.reshape(values, (-1, len(joined))) @ joined.astype(np.float32), (-1, *values.shape[1:]))
