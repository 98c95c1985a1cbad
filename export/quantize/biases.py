"""Correction of biases in an integer TFLite file whose weights were rounded further.

Rounding weights moves the mean of a layer's sums, which its bias takes back for nothing: by the change of the weights
times the mean of what they weight (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
Correction, 2019).
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
# The last axis of their weights is what comes in, and the first what goes out.
_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D")


def input_means(content: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the mean integers `[channels]`, without the zero point, of what each layer weights, by tensor name.

    Args:
        content: The TFLite file.
        inputs: Samples, input name to `[N, ...]`.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    channels = {
        tensor_name(graph.tensors[operator.inputs[0]]): tensor_shape(graph.tensors[operator.inputs[1]])[-1]
        for operator in _layers(model)
    }
    found = tap(Format.TFLITE, content, inputs, channels)
    return {
        name: tapped.values.reshape(-1, channels[name]).astype(np.float64).mean(axis=0) - tapped.zero_point
        for name, tapped in found.items()
    }


def with_corrected_biases(before: bytes, after: bytes, means: Mapping[str, Array]) -> bytes:
    """Returns a file whose layers make what they made before, on average.

    Args:
        before: The file with its weights as they were.
        after: The same graph with other weights.
        means: Of `input_means` of the first.
    """
    known, model = read_model(before), read_model(after)
    graph, changed = model.subgraphs[0], False
    for old, new in zip(_layers(known), _layers(model), strict=True):
        mean = means.get(tensor_name(graph.tensors[new.inputs[0]]))
        weights, other, bias = _weights(known, old), _weights(model, new), _own_bias(graph, new)
        if mean is None or bias is None or weights is None or other is None or np.array_equal(weights, other):
            continue
        change = (other - weights).reshape(len(weights), -1, len(mean)).sum(axis=1)
        dtype = np.dtype(dtype_name(bias))
        values = np.asarray(model.buffers[bias.buffer].data, np.uint8).view(dtype)
        model.buffers[bias.buffer].data = np.rint(values - change @ mean).astype(dtype).view(np.uint8)
        changed = True
    return write_model(model) if changed else after


def _weights(model: Any, operator: Any) -> npt.NDArray[np.float64] | None:
    """Returns a layer's weights `[out, ..., in]` in integers; None where they are not constants of 8 bits."""
    tensor = model.subgraphs[0].tensors[operator.inputs[1]]
    values = constant(model, tensor)
    if values is None or dtype_name(tensor) != "int8":
        return None
    return values.view(np.int8).reshape(tensor_shape(tensor)).astype(np.float64)


def _layers(model: Any) -> Iterator[Any]:
    for operator in model.subgraphs[0].operators:
        if operator_name(model, operator) in _WEIGHTED:
            yield operator


def _own_bias(graph: Any, operator: Any) -> Any | None:
    """Returns the tensor of a layer's bias; None if it has none, or shares it with another layer."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return None
    bias = graph.tensors[operator.inputs[2]]
    return bias if sum(tensor.buffer == bias.buffer for tensor in graph.tensors) == 1 else None
