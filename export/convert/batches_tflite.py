"""Additional batch sizes in a TFLite file: one subgraph and one signature for each, with the same weights.

The copy of a graph for batch N computes, for every tensor that depends on the inputs, the N individual results one
after another along the first axis. An operator that preserves this is copied with another shape; any other is refused
by name. Nothing is converted or quantized again, so every batch size gives the same values as a single sample.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.formats.tflite.editing import add_buffer
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    write_model,
)
from pocketvae.spec import signature_key


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNARY = _names(
    """
    ABS CAST CEIL COS DEQUANTIZE ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGICAL_NOT LOGISTIC NEG QUANTIZE
    RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE TANH ZEROS_LIKE
    """
)
_ELEMENTWISE = _names(
    """
    ADD BATCH_MATMUL BITWISE_XOR DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND
    LOGICAL_OR MAXIMUM MINIMUM MUL NOT_EQUAL POW PRELU RIGHT_SHIFT SELECT SELECT_V2 SQUARED_DIFFERENCE SUB
    """
)
# The first input holds samples, the others are weights and settings.
_WEIGHTED = _names(
    """
    AVERAGE_POOL_2D CONV_2D CONV_3D DEPTHWISE_CONV_2D DEPTH_TO_SPACE EMBEDDING_LOOKUP FULLY_CONNECTED
    L2_NORMALIZATION LOCAL_RESPONSE_NORMALIZATION LOG_SOFTMAX MAX_POOL_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
    SOFTMAX SPACE_TO_DEPTH
    """
)


def add_batches(content: bytes, batches: tuple[int, ...]) -> bytes:
    """Returns the file with a signature for every batch size, see `spec.signature_key`.

    Args:
        content: A file of one subgraph, one signature and batch 1.
        batches: The first is 1.

    Raises:
        ExportError: an operator mixes samples or is unknown; the message names it.
    """
    model = read_model(content)
    if len(model.subgraphs) != 1 or len(model.signatureDefs or ()) != 1:
        raise ExportError("additional batch sizes need a model without loops and branches, and with one signature")
    single, signature = model.subgraphs[0], model.signatureDefs[0]
    signature.signatureKey = signature_key(1).encode()
    for tensor in single.tensors:
        tensor.quantization = tensor.quantization and _WrittenOnce(tensor.quantization)
    for batch in batches[1:]:
        graph, further = copy.deepcopy(single), copy.deepcopy(signature)
        _Copy(model, graph, batch).widen()
        graph.name = further.signatureKey = signature_key(batch).encode()
        further.subgraphIndex = len(model.subgraphs)
        model.subgraphs.append(graph)
        model.signatureDefs.append(further)
    return write_model(model)


class _WrittenOnce:
    """Quantization parameters of which the tensors of all graphs share one: scales weigh as much as small layers."""

    def __init__(self, parameters: Any) -> None:
        self._parameters = parameters
        self._builder: Any = None
        self._offset = 0

    def __deepcopy__(self, memo: object) -> _WrittenOnce:
        return self

    def Pack(self, builder: Any) -> int:
        """Writes the parameters unless this file already has them, and returns their position."""
        if builder is not self._builder:
            self._builder, self._offset = builder, self._parameters.Pack(builder)
        return self._offset


class _Copy:
    """A copy of the graph that becomes one for N samples."""

    def __init__(self, model: Any, graph: Any, batch: int) -> None:
        self._model, self._graph, self._batch = model, graph, batch
        self._wide: set[int] = set()

    def widen(self) -> None:
        """Gives every tensor that depends on the inputs N times its first dimension.

        Raises:
            ExportError: see `add_batches`.
        """
        for index in self._graph.inputs:
            self._widen_tensor(index)
        for operator in self._graph.operators:
            if not self._wide.intersection(operator.inputs):
                continue
            name = operator_name(self._model, operator)
            if not self._keeps_samples_apart(name, operator):
                raise ExportError(
                    f"only batch size 1 is possible: {name} mixes samples, or is not known to keep them apart"
                )
            for index in operator.outputs:
                self._widen_tensor(index)

    def _keeps_samples_apart(self, name: str, operator: Any) -> bool:
        """Whether an operator works for N samples as for one; changes its settings where they hold the batch."""
        first_only = self._only_wide(operator, 0)
        if name in _UNARY:
            return first_only
        if name in _ELEMENTWISE:
            return self._broadcasts(operator)
        if name in _WEIGHTED:
            return first_only and len(self._shape(operator.inputs[0])) > (name != "EMBEDDING_LOOKUP")
        special = _SPECIAL.get(name)
        return special is not None and special(self, operator)

    def _shape(self, index: int) -> list[int]:
        return list(tensor_shape(self._graph.tensors[index]))

    def _widen_tensor(self, index: int) -> None:
        tensor, shape = self._graph.tensors[index], self._shape(index)
        if not shape:
            raise ExportError(f"only batch size 1 is possible: {tensor_name(tensor)!r} is one number for all samples")
        tensor.shape = [shape[0] * self._batch, *shape[1:]]
        tensor.shapeSignature = None
        self._wide.add(index)

    def _only_wide(self, operator: Any, position: int) -> bool:
        return [index in self._wide for index in operator.inputs] == [
            place == position for place in range(len(operator.inputs))
        ]

    def _broadcasts(self, operator: Any) -> bool:
        """Whether samples stay in the first axis, and what all of them share has none or one of size 1."""
        output = self._shape(operator.outputs[0])
        for index in operator.inputs:
            shape = self._shape(index)
            same_rank = len(shape) == len(output)
            if index in self._wide and (not same_rank or shape[0] != output[0] * self._batch):
                return False
            if index not in self._wide and same_rank and shape[0] != 1:
                return False
        return True

    def _constant(self, operator: Any, position: int) -> npt.NDArray[np.int32] | None:
        """Returns a constant integer input; None if it is computed."""
        index = operator.inputs[position]
        tensor = self._graph.tensors[index]
        data = constant(self._model, tensor)
        if index in self._wide or data is None or dtype_name(tensor) != "int32":
            return None
        return data.view(np.int32).reshape(self._shape(index))

    def _replace_constant(self, operator: Any, position: int, values: npt.NDArray[np.int32]) -> None:
        # The buffers belong to all batch sizes, so this one gets its own.
        tensor = copy.deepcopy(self._graph.tensors[operator.inputs[position]])
        tensor.buffer = add_buffer(self._model, values.astype(np.int32).tobytes())
        self._graph.tensors.append(tensor)
        operator.inputs = [*operator.inputs]
        operator.inputs[position] = len(self._graph.tensors) - 1

    def _with_first(self, operator: Any, position: int, first: int) -> bool:
        """Replaces the first number of a constant input."""
        values = self._constant(operator, position)
        if values is None:
            return False
        self._replace_constant(operator, position, np.array([first, *values[1:]], np.int32))
        return True

    def reshape(self, operator: Any) -> bool:
        """Any reshape moves whole samples: their first dimension is stretched."""
        target = self._shape(operator.outputs[0])
        if not target or operator.inputs[0] not in self._wide:
            return False
        target[0] *= self._batch
        if operator.builtinOptions is not None:
            operator.builtinOptions.newShape = target
        if len(operator.inputs) > 1:
            self._replace_constant(operator, 1, np.array(target, np.int32))
        return True

    def transpose(self, operator: Any) -> bool:
        """The first axis must stay the first."""
        order = self._constant(operator, 1)
        return order is not None and int(order[0]) == 0

    def transposed_convolution(self, operator: Any) -> bool:
        """Its shape of the output is a constant."""
        first = self._shape(operator.outputs[0])[0] * self._batch
        return operator.inputs[2] in self._wide and self._with_first(operator, 0, first)

    def pad(self, operator: Any) -> bool:
        """No sample may be added."""
        paddings = self._constant(operator, 1)
        return paddings is not None and not paddings[0].any()

    def tile(self, operator: Any) -> bool:
        """No sample may be repeated."""
        multiples = self._constant(operator, 1)
        return multiples is not None and int(multiples[0]) == 1

    def broadcast_to(self, operator: Any) -> bool:
        """The first axis must stay as it is."""
        source, target = self._shape(operator.inputs[0]), self._shape(operator.outputs[0])
        alike = len(source) == len(target) and source[0] == target[0] * self._batch
        return alike and self._with_first(operator, 1, source[0])

    def slice(self, operator: Any) -> bool:
        """All samples must be kept."""
        begin, size = (self._constant(operator, position) for position in (1, 2))
        whole = self._shape(operator.inputs[0])[0]
        if begin is None or size is None or begin[0] != 0 or size[0] not in (-1, whole // self._batch):
            return False
        return self._with_first(operator, 2, whole)

    def strided_slice(self, operator: Any) -> bool:
        """All samples must be kept."""
        begin, end, strides = (self._constant(operator, position) for position in (1, 2, 3))
        options, whole = operator.builtinOptions, self._shape(operator.inputs[0])[0]
        if begin is None or end is None or strides is None or strides[0] != 1:
            return False
        if options.ellipsisMask or options.newAxisMask & 1 or options.shrinkAxisMask & 1:
            return False
        if begin[0] != 0 and not options.beginMask & 1:
            return False
        if options.endMask & 1:
            return True
        return int(end[0]) == whole // self._batch and self._with_first(operator, 2, whole)

    def join(self, operator: Any) -> bool:
        """CONCATENATION and PACK: along another axis, and nothing that is there once for all samples."""
        rank = len(self._shape(operator.outputs[0]))
        return operator.builtinOptions.axis % rank != 0 and self._wide.issuperset(operator.inputs)

    def split(self, operator: Any) -> bool:
        """SPLIT and SPLIT_V: along another axis."""
        positions = {2: (0, 1), 3: (2, 0)}  # of the axis and of the values, by the number of inputs
        axis_position, value_position = positions[len(operator.inputs)]
        axis = self._constant(operator, axis_position)
        rank = len(self._shape(operator.inputs[value_position]))
        return axis is not None and int(axis.reshape(-1)[0]) % rank != 0

    def unpack(self, operator: Any) -> bool:
        """Along another axis."""
        return bool(operator.builtinOptions.axis % len(self._shape(operator.inputs[0])) != 0)

    def reduce(self, operator: Any) -> bool:
        """Over other axes."""
        axes, rank = self._constant(operator, 1), len(self._shape(operator.inputs[0]))
        return axes is not None and all(int(axis) % rank != 0 for axis in axes.reshape(-1))

    def gather(self, operator: Any) -> bool:
        """A table that all samples look into, or other axes of the samples."""
        options, values = operator.builtinOptions, operator.inputs[0]
        axis = options.axis % len(self._shape(values))
        if options.batchDims:
            return False
        return axis == 0 if values not in self._wide else axis != 0 and operator.inputs[1] not in self._wide

    def one_hot(self, operator: Any) -> bool:
        """The new axis must not be the first."""
        return self._only_wide(operator, 0) and operator.builtinOptions.axis != 0

    def expand_dims(self, operator: Any) -> bool:
        """The new axis must not be the first."""
        axis, rank = self._constant(operator, 1), len(self._shape(operator.outputs[0]))
        return axis is not None and int(axis.reshape(-1)[0]) % rank != 0

    def squeeze(self, operator: Any) -> bool:
        """The axis of samples must not be dropped."""
        axes, rank = operator.builtinOptions.squeezeDims, len(self._shape(operator.inputs[0]))
        return axes is not None and len(axes) > 0 and all(int(axis) % rank != 0 for axis in axes)


_SPECIAL: Mapping[str, Callable[[_Copy, Any], bool]] = {
    "ARG_MAX": _Copy.reduce,
    "ARG_MIN": _Copy.reduce,
    "BROADCAST_TO": _Copy.broadcast_to,
    "CONCATENATION": _Copy.join,
    "EXPAND_DIMS": _Copy.expand_dims,
    "GATHER": _Copy.gather,
    "MEAN": _Copy.reduce,
    "MIRROR_PAD": _Copy.pad,
    "ONE_HOT": _Copy.one_hot,
    "PACK": _Copy.join,
    "PAD": _Copy.pad,
    "PADV2": _Copy.pad,
    "REDUCE_MAX": _Copy.reduce,
    "REDUCE_MIN": _Copy.reduce,
    "REDUCE_PROD": _Copy.reduce,
    "RESHAPE": _Copy.reshape,
    "SLICE": _Copy.slice,
    "SPLIT": _Copy.split,
    "SPLIT_V": _Copy.split,
    "SQUEEZE": _Copy.squeeze,
    "STRIDED_SLICE": _Copy.strided_slice,
    "SUM": _Copy.reduce,
    "TILE": _Copy.tile,
    "TRANSPOSE": _Copy.transpose,
    "TRANSPOSE_CONV": _Copy.transposed_convolution,
    "UNPACK": _Copy.unpack,
}
