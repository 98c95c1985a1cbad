"""Coarser weights of an integer TFLite file that change less of what its layers make.

The weights of a dense layer are rounded one input after another, and what rounding one changes is taken over by those
that are not rounded yet, as far as the inputs go together (GPTQ: Frantar et al., 2022). What is left of the mean is
taken back by the bias (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019);
for convolutions that is all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    write_model,
)
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
_DENSE, _CONVOLUTION = "FULLY_CONNECTED", "CONV_2D"
# Added to how inputs go together, as a share of their mean square: there may be fewer samples than inputs.
_DAMPING = 0.05
# Of a layer with more inputs, how they go together takes too much memory.
_MOST_INPUTS = 4096
_BLOCK = 64
_MOST = 127


class Compensation:
    """What the layers of a file are given, by which coarser weights are chosen."""

    def __init__(self, content: bytes, inputs: Mapping[str, Array]) -> None:
        """Runs the file.

        Args:
            content: The file with its weights as they are.
            inputs: Samples, input name to `[N, ...]`.
        """
        self._before = content
        self._given = _given(content, inputs)
        self._factors: dict[str, Floats] = {}

    def apply(self, after: bytes, step: int) -> bytes:
        """Returns a file whose layers make nearly what they made before.

        Args:
            after: The same graph, in which some layers have weights that are rounded to multiples of `step`.
            step: Of these layers.
        """
        known, model = read_model(self._before), read_model(after)
        changed = False
        for old, new in zip(_layers(known), _layers(model), strict=True):
            weights, other = _weights(known, old), _weights(model, new)
            name = tensor_name(model.subgraphs[0].tensors[new.inputs[0]])
            if weights is None or other is None or name not in self._given or np.array_equal(weights, other):
                continue
            if operator_name(model, new) == _DENSE and self._given[name].shape[1] <= _MOST_INPUTS:
                other = _rounded(weights, self._factor(name), step)
                buffer = model.buffers[model.subgraphs[0].tensors[new.inputs[1]].buffer]
                buffer.data = other.astype(np.int8).reshape(-1).view(np.uint8)
            mean = self._given[name].mean(axis=0)
            _move_bias(model, new, (other - weights).reshape(len(weights), -1, len(mean)).sum(axis=1) @ mean)
            changed = True
        return write_model(model) if changed else after

    def _factor(self, name: str) -> Floats:
        if name not in self._factors:
            self._factors[name] = _factor(self._given[name])
        return self._factors[name]


def _given(content: bytes, inputs: Mapping[str, Array]) -> dict[str, Floats]:
    """Returns what layers weight, by tensor: integers `[N, channels]` without zero point, for convolutions the mean."""
    model = read_model(content)
    graph = model.subgraphs[0]
    kinds = {tensor_name(graph.tensors[item.inputs[0]]): operator_name(model, item) for item in _layers(model)}
    channels = {
        tensor_name(graph.tensors[item.inputs[0]]): tensor_shape(graph.tensors[item.inputs[1]])[-1]
        for item in _layers(model)
    }
    found = {}
    for name, tapped in tap(Format.TFLITE, content, inputs, kinds).items():
        rows = tapped.values.reshape(-1, channels[name])
        if kinds[name] == _CONVOLUTION:
            rows = rows.mean(axis=0, keepdims=True)
        found[name] = rows.astype(np.float64) - tapped.zero_point
    return found


def _factor(rows: Floats) -> Floats:
    """Returns the upper Cholesky factor of the inverse of the inputs' covariance `[in, in]`."""
    centred = rows - rows.mean(axis=0)
    together = centred.T @ centred / len(rows)
    diagonal = np.diag_indices(len(together))
    # Inputs that never change must not make it singular.
    together[diagonal] += _DAMPING * together[diagonal].mean() + 1e-6
    factor: Floats = np.linalg.cholesky(np.linalg.inv(together)).T
    return factor


def _rounded(weights: Floats, factor: Floats, step: int) -> Floats:
    """Returns weights `[out, in]` as multiples of a step; each passes what it is off on to those after it."""
    left, found, count = weights.copy(), np.zeros_like(weights), weights.shape[1]
    most = _MOST // step
    for start in range(0, count, _BLOCK):
        end = min(count, start + _BLOCK)
        errors = np.zeros((len(weights), end - start))
        for index in range(start, end):
            found[:, index] = np.clip(np.rint(left[:, index] / step), -most, most) * step
            errors[:, index - start] = (left[:, index] - found[:, index]) / factor[index, index]
            left[:, index + 1 : end] -= np.outer(errors[:, index - start], factor[index, index + 1 : end])
        left[:, end:] -= errors @ factor[start:end, end:]
    return found


def _move_bias(model: Any, operator: Any, moved: Floats) -> None:
    """Takes a change of a layer's mean sums back by its bias, if it has one of its own."""
    graph = model.subgraphs[0]
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return
    bias = graph.tensors[operator.inputs[2]]
    if sum(tensor.buffer == bias.buffer for tensor in graph.tensors) != 1:
        return
    dtype = np.dtype(dtype_name(bias))
    values = np.asarray(model.buffers[bias.buffer].data, np.uint8).view(dtype)
    model.buffers[bias.buffer].data = np.rint(values - moved).astype(dtype).view(np.uint8)


def _weights(model: Any, operator: Any) -> Floats | None:
    """Returns a layer's weights `[out, ..., in]` in integers; None where they are not constants of 8 bits."""
    tensor = model.subgraphs[0].tensors[operator.inputs[1]]
    values = constant(model, tensor)
    if values is None or dtype_name(tensor) != "int8":
        return None
    return values.view(np.int8).reshape(tensor_shape(tensor)).astype(np.float64)


def _layers(model: Any) -> Iterator[Any]:
    for operator in model.subgraphs[0].operators:
        if operator_name(model, operator) in (_DENSE, _CONVOLUTION):
            yield operator
