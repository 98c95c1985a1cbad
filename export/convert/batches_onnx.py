"""Dynamic batch size in an ONNX file: its first dimension becomes the symbol `batch`.

ONNX has no signatures, so one file with an open dimension serves every size with one copy of the weights. A runtime
that wants fixed shapes can fix the symbol when it loads the file (onnxruntime: `add_free_dimension_override_by_name`).
As in `batches_tflite`, every tensor that depends on the inputs holds the individual results one after another along
the first axis, and an operator that does not preserve this is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.convert.onnx import serialize
from pocketvae.formats.onnx.model import array, initializers, load_model
from pocketvae.keras.onnx.spatial import ROUNDINGS

DIMENSION = "batch"


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNARY = _names(
    """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh DequantizeLinear Elu Erf Exp Floor Gelu
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not QuantizeLinear Reciprocal Relu Round Selu
    Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu
    """
)
_ELEMENTWISE = _names(
    """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod
    Mul Or PRelu Pow Sub Sum Where Xor
    """
)
# The first input holds samples, the others are weights and settings.
_WEIGHTED = _names(
    """
    AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool
    GroupNormalization InstanceNormalization LRN LpPool MaxPool SpaceToDepth
    """
)


def open_batch(content: bytes) -> bytes:
    """Returns the file with a dynamic batch size.

    Args:
        content: A file with batch size 1.

    Raises:
        ExportError: an operator mixes samples or is unknown; the message names it.
    """
    import onnx

    model = load_model(content)
    _Opener(model).open()
    # Shapes were inferred for one sample and are inferred again.
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = DIMENSION
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        raise ExportError(f"the batch size cannot be made dynamic: {str(e).strip().splitlines()[0][:200]}") from e
    return serialize(model)


class _Opener:
    """A graph with batch size 1 whose settings are made independent of the batch size."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._graph = graph = model.graph
        self._constants = {name: array(tensor) for name, tensor in initializers(graph).items()}
        self._shapes = _shapes(onnx.shape_inference.infer_shapes(model).graph)
        self._ranks = {name: len(shape) for name, shape in self._shapes.items()}
        self._ranks |= {name: values.ndim for name, values in self._constants.items()}
        self._wide = {value.name for value in graph.input}

    def open(self) -> None:
        """Follows the samples through the graph.

        Raises:
            ExportError: see `open_batch`.
        """
        for node in self._graph.node:
            if node.op_type == "Constant":
                self._keep_constant(node)
            if not self._wide.intersection(node.input):
                continue
            if not self._keeps_samples_apart(node):
                raise ExportError(
                    f"only batch size 1 is possible: {node.op_type} mixes samples, or is not known to keep them apart"
                )
            self._wide.update(node.output)
        used = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _keep_constant(self, node: Any) -> None:
        from onnx import numpy_helper

        for attribute in node.attribute:
            if attribute.name == "value":
                self._constants[node.output[0]] = numpy_helper.to_array(attribute.t)

    def _keeps_samples_apart(self, node: Any) -> bool:
        name = node.op_type
        if name in _UNARY:
            return self._only_first(node)
        if name in _ELEMENTWISE:
            return self._broadcasts(node)
        if name in _WEIGHTED:
            return self._only_first(node)
        special = _SPECIAL.get(name)
        return special is not None and special(self, node)

    def _only_first(self, node: Any) -> bool:
        return [name in self._wide for name in node.input] == [place == 0 for place in range(len(node.input))]

    def _broadcasts(self, node: Any) -> bool:
        """Whether samples stay in the first axis, and what all of them share has none or one of size 1."""
        rank, output = self._ranks.get(node.output[0]), node.output[0]
        for name in node.input:
            if name in self._wide:
                if self._ranks.get(name) != rank or self._size(name) != self._size(output):
                    return False
            elif self._ranks.get(name) == rank and self._size(name) != 1:
                return False
        return rank is not None

    def _size(self, name: str) -> int:
        """Returns the first dimension of a tensor for one sample."""
        shape = list(self._constants[name].shape) if name in self._constants else self._shapes.get(name, [])
        return int(shape[0]) if shape else 1

    def _constant(self, node: Any, position: int) -> npt.NDArray[Any] | None:
        return self._constants.get(node.input[position]) if len(node.input) > position else None

    def _replace_constant(self, node: Any, position: int, values: npt.NDArray[Any]) -> bool:
        from onnx import numpy_helper

        name = f"{node.input[position]}_any_batch_of_{node.output[0]}"
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        node.input[position] = name
        return True

    def _with_first(self, node: Any, position: int, first: int) -> bool:
        values = self._constant(node, position)
        if values is None:
            return False
        return self._replace_constant(node, position, np.array([first, *values[1:]], values.dtype))

    def _attribute(self, node: Any, name: str, default: Any) -> Any:
        from onnx import helper

        return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)

    def reshape(self, node: Any) -> bool:
        """Any reshape moves whole samples: the size of the first dimension is left to be found."""
        target = self._constant(node, 1)
        if target is None or not target.size or node.input[0] not in self._wide:
            return False
        has_zeros = bool(self._attribute(node, "allowzero", 0)) and 0 in target
        if not (target[1:] < 0).any():
            return not has_zeros and self._with_first(node, 1, -1)
        if target[0] == 0 and not has_zeros:
            return True
        # Only one dimension may be open: the others are those of one sample.
        sizes = self._shapes.get(node.output[0], [0])
        return 0 not in sizes and self._replace_constant(node, 1, np.array([-1, *sizes[1:]], target.dtype))

    def transpose(self, node: Any) -> bool:
        """The first axis must stay the first."""
        order = self._attribute(node, "perm", None)
        return order is not None and order[0] == 0

    def gemm(self, node: Any) -> bool:
        """Samples are rows; a bias is shared by all."""
        shared = len(node.input) < 3 or self._ranks.get(node.input[2]) in (0, 1) or self._size(node.input[2]) == 1
        return self._only_first(node) and shared and not self._attribute(node, "transA", 0)

    def matrix_product(self, node: Any) -> bool:
        """With one matrix for all samples, or with matrices of their own."""
        rank = self._ranks.get(node.input[0], 0)
        if node.input[1] not in self._wide:
            return rank > 1 and self._ranks.get(node.input[1]) == 2 and self._only_first(node)
        return self._wide.issuperset(node.input[:2]) and rank > 2 and self._broadcasts(node)

    def axis(self, node: Any) -> bool:
        """SOFTMAX and others work along one axis, which must be another."""
        axis = self._attribute(node, "axis", {"ArgMax": 0, "ArgMin": 0, "Flatten": 1}.get(node.op_type, -1))
        rank = self._ranks.get(node.input[0])
        return rank is not None and axis % rank != 0 and self._only_first(node)

    def concat(self, node: Any) -> bool:
        """Along another axis, and nothing that is there once for all samples."""
        rank = self._ranks.get(node.output[0])
        return rank is not None and self._attribute(node, "axis", 0) % rank != 0 and self._wide.issuperset(node.input)

    def split(self, node: Any) -> bool:
        """Along another axis."""
        rank = self._ranks.get(node.input[0])
        return rank is not None and self._attribute(node, "axis", 0) % rank != 0 and self._only_first(node)

    def gather(self, node: Any) -> bool:
        """A table that all samples look into, or another axis of the samples."""
        axis = self._attribute(node, "axis", 0)
        if node.input[0] not in self._wide:
            return bool(axis == 0)
        rank = self._ranks.get(node.input[0])
        return rank is not None and bool(axis % rank) and node.input[1] not in self._wide

    def pad(self, node: Any) -> bool:
        """No sample may be added."""
        pads = self._constant(node, 1)
        return pads is not None and len(node.input) < 4 and pads[0] == 0 and pads[len(pads) // 2] == 0

    def tile(self, node: Any) -> bool:
        """No sample may be repeated."""
        repeats = self._constant(node, 1)
        return repeats is not None and repeats[0] == 1

    def expand(self, node: Any) -> bool:
        """The first axis must stay as it is; 1 leaves it."""
        shape, have = self._constant(node, 1), self._shapes.get(node.input[0])
        if shape is None or not have or len(shape) != len(have) or shape[0] not in (1, have[0]):
            return False
        return self._with_first(node, 1, 1)

    def resize(self, node: Any) -> bool:
        """A size that is given is turned into the scales that it means for one sample."""
        scales = self._constant(node, 2)
        if scales is not None and scales.size:
            return bool(scales[0] == 1)
        sizes = self._constant(node, 3)
        return sizes is not None and self._sizes_to_scales(node, sizes)

    def _sizes_to_scales(self, node: Any, sizes: npt.NDArray[Any]) -> bool:
        shape = self._shapes.get(node.input[0], [])
        if len(shape) != len(sizes) or 0 in shape or sizes[0] != shape[0]:
            return False
        # As onnxruntime does; the product with the old size is rounded down, by onnx in float64.
        ratios: npt.NDArray[np.float32] = np.divide(sizes.astype(np.float32), np.array(shape, np.float32))
        is_short = ratios.astype(np.float64) * shape < sizes
        scales = np.where(is_short, np.nextafter(ratios, np.float32(np.inf)), ratios)
        if self._attribute(node, "mode", b"nearest") == b"nearest" and not self._have_same(node, sizes, ratios, scales):
            raise ExportError(
                f"only batch size 1 is possible: Resize from {shape} to {sizes.tolist()} needs a scale that float32 "
                f"does not have"
            )
        self._replace_constant(node, 3, scales)
        node.input[2] = node.input[3]
        del node.input[3]
        return True

    def _have_same(self, node: Any, sizes: npt.NDArray[Any], *scales: npt.NDArray[np.float32]) -> bool:
        """Whether scales of all axes lead to the same nearest values, in float32 as onnxruntime computes them."""
        place = self._attribute(node, "coordinate_transformation_mode", b"half_pixel")
        rounded = ROUNDINGS[self._attribute(node, "nearest_mode", b"round_prefer_floor").decode()]
        offset = np.float32(0 if place == b"asymmetric" else 0.5)
        for size, *pair in zip(sizes, *scales, strict=True):
            places = [(np.arange(size, dtype=np.float32) + offset) / scale - offset for scale in pair]
            first, second = map(rounded, places)
            if place != b"align_corners" and not np.array_equal(first, second):
                return False
        return True

    def slice(self, node: Any) -> bool:
        """The first axis must not be cut."""
        starts, ends = self._constant(node, 1), self._constant(node, 2)
        shape = self._shapes.get(node.input[0])
        if starts is None or ends is None or not shape or node.input[0] not in self._wide:
            return False
        axes = self._constant(node, 3)
        axes = np.arange(len(starts)) if axes is None else axes % len(shape)
        steps = self._constant(node, 4)
        along = np.flatnonzero(axes == 0)
        if not along.size:
            return True
        whole = starts[along] == 0 and ends[along] >= shape[0] and (steps is None or steps[along] == 1)
        everything = np.where(axes == 0, np.iinfo(ends.dtype).max, ends)
        return bool(whole) and self._replace_constant(node, 2, everything)

    def axes(self, node: Any) -> bool:
        """REDUCE, SQUEEZE and UNSQUEEZE: over other axes, that are named."""
        axes = self._constant(node, 1)
        named = self._attribute(node, "axes", None) if axes is None else axes
        rank = self._ranks.get(node.output[0] if node.op_type == "Unsqueeze" else node.input[0])
        # Without any, all are meant.
        if named is None or not np.size(named) or rank is None:
            return False
        return all(int(axis) % rank for axis in np.reshape(named, -1))

    def one_hot(self, node: Any) -> bool:
        """The new axis must not be the first."""
        return self._only_first(node) and bool(self._attribute(node, "axis", -1) != 0)


def _shapes(graph: Any) -> dict[str, list[int]]:
    values = (*graph.input, *graph.value_info, *graph.output)
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values
        if value.type.tensor_type.HasField("shape")
    }


_SPECIAL: Mapping[str, Callable[[_Opener, Any], bool]] = {
    "ArgMax": _Opener.axis,
    "ArgMin": _Opener.axis,
    "Concat": _Opener.concat,
    "Expand": _Opener.expand,
    "Flatten": _Opener.axis,
    "Gather": _Opener.gather,
    "Gemm": _Opener.gemm,
    "LayerNormalization": _Opener.axis,
    "LogSoftmax": _Opener.axis,
    "MatMul": _Opener.matrix_product,
    "OneHot": _Opener.one_hot,
    "Pad": _Opener.pad,
    "RMSNormalization": _Opener.axis,
    "ReduceMax": _Opener.axes,
    "ReduceMean": _Opener.axes,
    "ReduceMin": _Opener.axes,
    "ReduceSum": _Opener.axes,
    "Reshape": _Opener.reshape,
    "Resize": _Opener.resize,
    "Slice": _Opener.slice,
    "Softmax": _Opener.axis,
    "Split": _Opener.split,
    "Squeeze": _Opener.axes,
    "Tile": _Opener.tile,
    "Transpose": _Opener.transpose,
    "Unsqueeze": _Opener.axes,
}
