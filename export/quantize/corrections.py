"""Correction of the mean error of the sums that tuning computes in float.

Rounded weights move the mean of a layer's outputs: by a fraction of a step, but in all images alike, which an ELBO adds
up. A sum of parts ends in the subtraction of a constant in float, one for each channel, so that its mean error on
calibration samples can be taken off there for nothing.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.quantize.measured import run_content
from pocketvae.export.tuning.names import Head, head_of_sum, is_float_part
from pocketvae.formats.onnx.model import add_outputs, array, drop_unread_initializers, initializers, load_model
from pocketvae.formats.tflite.model import (
    constant,
    main_signature,
    operator_name,
    read_model,
    tensor_name,
    write_model,
)
from pocketvae.spec import Format

Array = npt.NDArray[Any]
Inputs = Mapping[str, npt.NDArray[Any]]
# Corrections are rounded to this, so that the last bits of another CPU's float kernels do not change the file.
_STEP = 2.0**-16


class Sums:
    """The sums of a float model on calibration samples, to which those of its quantized files are corrected."""

    def __init__(self, format: Format, float32: bytes, inputs: Inputs) -> None:
        """Computes them.

        Args:
            format: Of the files.
            float32: The tuned network before it was quantized.
            inputs: Calibration samples, input name to `[N, ...]`.
        """
        self._format, self._inputs = format, inputs
        names = tuple(_open(format, float32).constants())
        found = self._values(float32, names) if names else {}
        self._expected = {name: found[name] for name in names}

    def correct(self, content: bytes) -> bytes:
        """Returns a quantized file with corrected sums; one after the other, since each changes the next."""
        for name, expected in self._expected.items():
            file = _open(self._format, content)
            known = file.constants().get(name)
            if known is None:
                continue
            weights = _slopes(head_of_sum(name), expected)
            error = weights * (self._values(content, (name,))[name] - expected)
            total = np.maximum(_summed_to(weights, known.shape), np.finfo(np.float64).tiny)
            change = np.round(_summed_to(error, known.shape) / total / _STEP) * _STEP
            # The constant is subtracted.
            content = file.with_constant(name, (known + change).astype(np.float32))
        return content

    def _values(self, content: bytes, names: tuple[str, ...]) -> dict[str, Array]:
        file = _open(self._format, content)
        found = run_content(self._format, file.with_outputs(names), self._inputs)
        return {name: found[name].astype(np.float64) for name in names}


class _File(ABC):
    """A file whose sums are subtractions of a constant."""

    @abstractmethod
    def constants(self) -> dict[str, Array]:
        """Returns the constant of each sum, by the tensor of the result, in order of execution."""

    @abstractmethod
    def with_constant(self, name: str, values: Array) -> bytes:
        """Returns the file with another constant for one sum."""

    @abstractmethod
    def with_outputs(self, names: tuple[str, ...]) -> bytes:
        """Returns the file with the results of sums as outputs."""


class _TfliteFile(_File):
    def __init__(self, content: bytes) -> None:
        self._model = read_model(content)
        self._graph = self._model.subgraphs[0]

    def constants(self) -> dict[str, Array]:
        return {
            name: values.view(np.float32).reshape(self._graph.tensors[operator.inputs[1]].shape)
            for name, operator in self._sums().items()
            if (values := constant(self._model, self._graph.tensors[operator.inputs[1]])) is not None
        }

    def with_constant(self, name: str, values: Array) -> bytes:
        operator = self._sums()[name]
        # Equal constants are one tensor.
        tensor = copy.copy(self._graph.tensors[operator.inputs[1]])
        buffer = copy.copy(self._model.buffers[tensor.buffer])
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        tensor.buffer = len(self._model.buffers)
        self._model.buffers.append(buffer)
        operator.inputs[1] = len(self._graph.tensors)
        self._graph.tensors.append(tensor)
        return write_model(self._model)

    def with_outputs(self, names: tuple[str, ...]) -> bytes:
        signature, sums = main_signature(self._model), self._sums()
        for name in names:
            entry = copy.copy(signature.outputs[0])
            entry.name, entry.tensorIndex = name.encode(), sums[name].outputs[0]
            signature.outputs.append(entry)
            self._graph.outputs = [*map(int, self._graph.outputs), int(entry.tensorIndex)]
        return write_model(self._model)

    def _sums(self) -> dict[str, Any]:
        outputs = {tensor_name(self._graph.tensors[item.outputs[0]]): item for item in self._graph.operators}
        return {
            name: operator
            for name, operator in outputs.items()
            if operator_name(self._model, operator) == "SUB"
            and is_float_part(name)
            and constant(self._model, self._graph.tensors[operator.inputs[1]]) is not None
        }


class _OnnxFile(_File):
    def __init__(self, content: bytes) -> None:
        self._model = load_model(content)
        self._initializers = initializers(self._model.graph)

    def constants(self) -> dict[str, Array]:
        return {name: array(self._initializers[node.input[1]]) for name, node in self._sums().items()}

    def with_constant(self, name: str, values: Array) -> bytes:
        from onnx import numpy_helper

        from pocketvae.export.convert.onnx import serialize

        node = self._sums()[name]
        # Equal constants are one initializer.
        own = f"{node.name}/constant"
        kept = [tensor for tensor in self._model.graph.initializer if tensor.name != own]
        del self._model.graph.initializer[:]
        self._model.graph.initializer.extend([*kept, numpy_helper.from_array(values, own)])
        node.input[1] = own
        drop_unread_initializers(self._model.graph)
        return serialize(self._model)

    def with_outputs(self, names: tuple[str, ...]) -> bytes:
        add_outputs(self._model.graph, names)
        content: bytes = self._model.SerializeToString()
        return content

    def _sums(self) -> dict[str, Any]:
        return {
            node.output[0]: node
            for node in self._model.graph.node
            if node.op_type == "Sub" and is_float_part(node.name) and node.input[1] in self._initializers
        }


def _open(format: Format, content: bytes) -> _File:
    return _OnnxFile(content) if format is Format.ONNX else _TfliteFile(content)


def _slopes(head: Head, values: Array) -> Array:
    """Returns the square of how far an output moves with each value, by the head behind it."""
    if head is Head.SIGMOID:
        probability = 1 / (1 + np.exp(-values))
        return np.asarray(np.square(probability * (1 - probability)))
    if head is Head.TANH:
        return np.asarray(np.square(1 - np.square(np.tanh(values))))
    return np.ones_like(values)


def _summed_to(values: Array, shape: tuple[int, ...]) -> Array:
    """Sums values over the axes along which an array of a shape is repeated."""
    own = (1,) * (values.ndim - len(shape)) + tuple(shape)
    axes = tuple(axis for axis, size in enumerate(own) if size == 1)
    return np.asarray(np.sum(values, axis=axes, keepdims=True)).reshape(shape)
