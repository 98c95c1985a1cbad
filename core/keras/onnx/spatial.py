"""Operators of ONNX on images, sequences and volumes, in TensorFlow with their channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx.nodes import Node, Operator
from pocketvae.keras.onnx.tensors import Value, channels_last, value

Pads = list[tuple[int, int]]
_IMAGE, _SEQUENCE = 4, 3


def last(given: Value) -> Any:
    """Returns a tensor with its channels last."""
    return given.in_order(channels_last(given.rank))


def result(tensor: Any) -> Value:
    """Returns what was computed with the channels last."""
    return value(tensor, channels_last(len(tensor.shape)))


def _settings(node: Node, rank: int) -> tuple[list[int], list[int], Pads | None]:
    """Returns strides, dilations and paddings of the inner axes; no paddings where they follow the size."""
    inner = rank - 2
    strides, dilations = (list(node.get(name) or [1] * inner) for name in ("strides", "dilations"))
    pads = node.get("pads") or [0] * 2 * inner
    mode = node.get("auto_pad", "NOTSET")
    if mode == "VALID":
        pads = [0] * 2 * inner
    if mode == "SAME_UPPER":
        return strides, dilations, None
    if mode == "SAME_LOWER":
        raise node.unsupported("with auto_pad SAME_LOWER")
    return strides, dilations, list(zip(pads[:inner], pads[inner:], strict=True))


def same_pads(sizes: list[int], kernel: tuple[int, ...], strides: list[int], dilations: list[int]) -> Pads:
    """Returns the paddings of TensorFlow's `SAME`."""
    pads = []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (width - 1) * dilation + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        pads.append((total // 2, total - total // 2))
    return pads


def _padded(tensor: Any, pads: Pads | None, wanted: Pads, filling: float = 0.0) -> tuple[Any, str]:
    """Returns the tensor and TensorFlow's name of the padding: paddings that it lacks become an operator."""
    if pads is None or pads == wanted:
        return tensor, "SAME"
    if any(before or after for before, after in pads):
        tensor = import_tensorflow().pad(tensor, [(0, 0), *pads, (0, 0)], constant_values=filling)
    return tensor, "VALID"


def _widened(tensor: Any) -> Any:
    """Returns a sequence as an image of one row."""
    return import_tensorflow().expand_dims(tensor, 1)


def _conv(node: Node) -> Value:
    tf = import_tensorflow()
    tensor, weights = last(node.input()), node.constant(1)
    if weights is None:
        raise node.unsupported("without weights")
    rank, group = weights.ndim, node.get("group", 1)
    kernel = weights.shape[2:]
    strides, dilations, pads = _settings(node, rank)
    if rank == _SEQUENCE:
        tensor, weights, kernel = _widened(tensor), weights[:, :, None], (1, *kernel)
        strides, dilations, pads = [1, *strides], [1, *dilations], pads if pads is None else [(0, 0), *pads]
    same = same_pads(list(tensor.shape[1:-1]), kernel, strides, dilations)
    tensor, padding = _padded(tensor, pads, same)
    filters = np.moveaxis(weights, (0, 1), (-1, -2))
    if group > 1 and group == tensor.shape[-1] and rank <= _IMAGE:
        multiplier = weights.shape[0] // group
        depthwise = np.ascontiguousarray(filters.reshape(*kernel, group, multiplier))
        stride = strides if strides[0] == strides[1] else None
        if stride is not None:
            made = tf.nn.depthwise_conv2d(tensor, depthwise, [1, *strides, 1], padding, dilations=dilations)
            return _finished(node, made, rank)
    convolve = tf.nn.conv2d if len(kernel) == 2 else tf.nn.conv3d
    made = [
        convolve(part, np.ascontiguousarray(own), [1, *strides, 1], padding, dilations=[1, *dilations, 1])
        for part, own in zip(
            tf.split(tensor, group, axis=-1) if group > 1 else [tensor], np.split(filters, group, axis=-1), strict=True
        )
    ]
    return _finished(node, made[0] if group == 1 else tf.concat(made, axis=-1), rank)


def _finished(node: Node, tensor: Any, rank: int) -> Value:
    """Returns a convolution's result with its bias."""
    tf = import_tensorflow()
    bias = node.constant(2)
    if bias is not None:
        tensor = tf.nn.bias_add(tensor, bias)
    return result(tf.squeeze(tensor, 1) if rank == _SEQUENCE else tensor)


def _conv_transpose(node: Node) -> Value:
    tf = import_tensorflow()
    tensor, weights = last(node.input()), node.constant(1)
    if weights is None:
        raise node.unsupported("without weights")
    rank, group, kernel = weights.ndim, node.get("group", 1), weights.shape[2:]
    strides, dilations, pads = _settings(node, rank)
    if any(dilation > 1 for dilation in dilations):
        raise node.unsupported("with dilations")
    if pads is None or node.get("output_shape"):
        raise node.unsupported("with an automatic padding")
    more = list(node.get("output_padding") or [0] * (rank - 2))
    if rank == _SEQUENCE:
        tensor, weights, kernel = _widened(tensor), weights[:, :, None], (1, *kernel)
        strides, pads, more = [1, *strides], [(0, 0), *pads], [0, *more]
    filters = np.moveaxis(weights, (0, 1), (-1, -2))
    # A filter of ONNX is [C, O / group]: the groups are along C, which is the last axis here.
    parts = [
        _enlarged(part, np.ascontiguousarray(own), strides, pads, more)
        for part, own in zip(
            tf.split(tensor, group, axis=-1) if group > 1 else [tensor], np.split(filters, group, axis=-1), strict=True
        )
    ]
    return _finished(node, parts[0] if group == 1 else tf.concat(parts, axis=-1), rank)


def _enlarged(tensor: Any, filters: npt.NDArray[Any], strides: list[int], pads: Pads, more: list[int]) -> Any:
    tf = import_tensorflow()
    kernel, sizes = filters.shape[:-2], list(tensor.shape[1:-1])
    whole = [stride * (size - 1) + width for size, stride, width in zip(sizes, strides, kernel, strict=True)]
    wanted = [full - before - after + extra for full, (before, after), extra in zip(whole, pads, more, strict=True)]
    convolve = tf.nn.conv2d_transpose if len(kernel) == 2 else tf.nn.conv3d_transpose
    batch = tf.shape(tensor)[0] if tensor.shape[0] is None else tensor.shape[0]
    begins = [max(0, width - stride) // 2 for width, stride in zip(kernel, strides, strict=True)]
    is_same = all(size * stride == have for size, stride, have in zip(sizes, strides, wanted, strict=True))
    if is_same and begins == [before for before, _ in pads]:
        return convolve(tensor, filters, [batch, *wanted, filters.shape[-2]], [1, *strides, 1], "SAME")
    # What lies beyond the last value of a filter is zero, which only the bias is added to.
    least = [max(full, before + have) for full, (before, _), have in zip(whole, pads, wanted, strict=True)]
    full_result = convolve(tensor, filters, [batch, *whole, filters.shape[-2]], [1, *strides, 1], "VALID")
    beyond = [(0, most - full) for most, full in zip(least, whole, strict=True)]
    if any(after for _, after in beyond):
        full_result = tf.pad(full_result, [(0, 0), *beyond, (0, 0)])
    chosen = tuple(slice(before, before + have) for (before, _), have in zip(pads, wanted, strict=True))
    return full_result if least == wanted else full_result[(slice(None), *chosen)]


def _pool(kind: str) -> Operator:
    def apply(node: Node) -> Value:
        tf = import_tensorflow()
        tensor, kernel = last(node.input()), tuple(node.get("kernel_shape"))
        strides, dilations, pads = _settings(node, len(kernel) + 2)
        if any(dilation > 1 for dilation in dilations) or node.get("ceil_mode", 0):
            raise node.unsupported("with dilations or ceil_mode")
        same = same_pads(list(tensor.shape[1:-1]), kernel, strides, dilations)
        if kind == "AVG" and pads is not None and any(map(any, pads)) and not node.get("count_include_pad", 0):
            # TensorFlow's SAME leaves the padding out of the mean, as ONNX does here.
            if pads != same:
                raise node.unsupported("with paddings that are not counted")
            tensor, padding = tensor, "SAME"
        elif kind == "AVG":
            tensor, padding = _padded(tensor, pads, [(0, 0)] * len(kernel))
            padding = "VALID" if pads is not None else "SAME"
        else:
            tensor, padding = _padded(tensor, pads, same, float(np.finfo(np.float32).min))
        return result(tf.nn.pool(tensor, kernel, kind, strides, padding))

    return apply


def _global(name: str) -> Operator:
    def apply(node: Node) -> Value:
        tensor = last(node.input())
        axes = list(range(1, len(tensor.shape) - 1))
        return result(getattr(import_tensorflow(), f"reduce_{name}")(tensor, axis=axes, keepdims=True))

    return apply


def _depth_to_space(node: Node) -> Value:
    tf = import_tensorflow()
    tensor, block = last(node.input()), node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        count = tensor.shape[-1] // block**2
        order = np.arange(tensor.shape[-1]).reshape(count, block**2).T.reshape(-1)
        tensor = tf.gather(tensor, order, axis=-1)
    return result(tf.nn.depth_to_space(tensor, block) if block > 1 else tensor)


def _space_to_depth(node: Node) -> Value:
    tensor, block = last(node.input()), node.get("blocksize")
    # TensorFlow refuses blocks of one value, which are no change.
    return result(import_tensorflow().nn.space_to_depth(tensor, block) if block > 1 else tensor)


def _resize(node: Node) -> Value:
    given, tensor = node.input(), last(node.input())
    scales, sizes = node.constant(2), node.constant(3)
    have = [int(size) for size in tensor.shape[1:-1]]
    if sizes is not None and sizes.size:
        wanted = [int(size) for size in sizes[2:]]
        factors = [new / old for new, old in zip(wanted, have, strict=True)]
    elif scales is not None and scales.size and scales[0] == scales[1] == 1:
        factors = [float(scale) for scale in scales[2:]]
        # As onnxruntime does: in float64, 10 times the float32 next to 0.7 is a little less than 7.
        wanted = [int(np.float32(old) * np.float32(scale)) for old, scale in zip(have, factors, strict=True)]
        if _fill(have, factors, wanted):
            # A scale is the ratio of sizes in float32, which would take the pixel before where one is met exactly.
            factors = [new / old for new, old in zip(wanted, have, strict=True)]
    else:
        raise node.unsupported("without sizes or scales")
    if wanted == have:
        return given  # As onnxruntime does, whatever the scale.
    mode, place = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        return result(_nearest(node, tensor, wanted, factors, place))
    corners = place == "align_corners"
    # TensorFlow's factors are those of the sizes, which differ from the scales where a size is rounded.
    has_counterpart = corners or (place in ("half_pixel", "pytorch_half_pixel") and _fill(have, factors, wanted))
    if given.rank == _IMAGE and mode == "linear" and has_counterpart and all(size > 1 for size in wanted):
        made = import_tensorflow().raw_ops.ResizeBilinear(
            images=tensor, size=wanted, align_corners=corners, half_pixel_centers=not corners
        )
        return result(made)
    return result(_interpolated(node, tensor, wanted, factors))


def _fill(have: list[int], factors: list[float], wanted: list[int]) -> bool:
    """Returns whether sizes times factors are the wanted sizes, but for the rounding of a scale to float32."""
    return bool(np.allclose(np.multiply(have, factors), wanted, rtol=1e-6, atol=0))


def _nearest(node: Node, tensor: Any, wanted: list[int], factors: list[float], place: str) -> Any:
    tf = import_tensorflow()
    repeats = [round(factor) for factor in factors]
    is_whole = all(abs(factor - count) < 1e-6 and count >= 1 for factor, count in zip(factors, repeats, strict=True))
    rounding = node.get("nearest_mode", "round_prefer_floor")
    forms = (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"))
    if is_whole and (place, rounding) in forms:
        if len(wanted) == 2:
            return tf.raw_ops.ResizeNearestNeighbor(images=tensor, size=wanted)
        for axis, count in enumerate(repeats):
            tensor = tf.repeat(tensor, count, axis=axis + 1) if count > 1 else tensor
        return tensor
    for axis, (size, factor) in enumerate(zip(wanted, factors, strict=True)):
        exact = _places(node, size, factor, int(tensor.shape[axis + 1]))
        chosen = ROUNDINGS[rounding](exact)
        tensor = tf.gather(tensor, np.clip(chosen, 0, tensor.shape[axis + 1] - 1).astype(int), axis=axis + 1)
    return tensor


# Of places between values, by Resize's nearest_mode.
ROUNDINGS: Mapping[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
}


def _places(node: Node, size: int, factor: float, have: int) -> npt.NDArray[np.float64]:
    """Returns where the values of a resized axis lie in the original one."""
    at = np.arange(size, dtype=np.float64)
    place = node.get("coordinate_transformation_mode", "half_pixel")
    if place == "align_corners":
        return at * (have - 1) / max(1, size - 1)
    if place == "asymmetric":
        # A place that float32 meets exactly, as of 6 times 1.2, float64 would miss by its scale's rounding.
        exact = at / factor
        return np.where(np.isclose(exact, np.round(exact), rtol=0, atol=1e-6), np.round(exact), exact)
    if place == "pytorch_half_pixel" and size == 1:
        return at * 0
    if place in ("half_pixel", "pytorch_half_pixel"):
        return (at + 0.5) / factor - 0.5
    raise node.unsupported(f"with coordinates {place!r}")


def _interpolated(node: Node, tensor: Any, wanted: list[int], factors: list[float]) -> Any:
    """Returns a resized tensor as one product with a matrix for each axis."""
    tf = import_tensorflow()
    for axis, (size, factor) in enumerate(zip(wanted, factors, strict=True)):
        have = int(tensor.shape[axis + 1])
        if size == have and factor == 1:
            continue
        matrix = _matrix(node, _places(node, size, factor, have), have)
        order = [*(place for place in range(len(tensor.shape)) if place != axis + 1), axis + 1]
        product = tf.matmul(tf.transpose(tensor, order), matrix)
        tensor = tf.transpose(product, list(np.argsort(order)))
    return tensor


def _matrix(node: Node, places: npt.NDArray[np.float64], have: int) -> npt.NDArray[np.float32]:
    mode = node.get("mode")
    if mode not in ("linear", "cubic") or node.get("exclude_outside", 0) or node.get("antialias", 0):
        raise node.unsupported(f"with the mode {mode!r} and these settings")
    reach = 1 if mode == "linear" else 2
    matrix = np.zeros((have, len(places)))
    for column, at in enumerate(places):
        base = int(np.floor(at))
        for tap in range(base - reach + 1, base + reach + 1):
            distance = abs(at - tap)
            weight = max(0.0, 1 - distance) if mode == "linear" else _cubic(distance, node.get("cubic_coeff_a", -0.75))
            matrix[min(max(tap, 0), have - 1), column] += weight
    return matrix.astype(np.float32)


def _cubic(distance: float, a: float) -> float:
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a if distance < 2 else 0.0


OPERATORS: dict[str, Operator] = {
    "AveragePool": _pool("AVG"),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "MaxPool": _pool("MAX"),
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
}
