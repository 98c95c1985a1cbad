"""Biases that take off what quantization adds to a layer's outputs on average.

Rounded weights, clipped and rounded activations move the mean of what each layer makes. Layers behind it add that up,
and an ELBO adds it up over pixels. A bias takes it off for nothing (Nagel et al., Data-Free Quantization Through Weight
Equalization and Bias Correction, 2019), layer by layer, since each correction changes what the next layers are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.quantize.layer_inputs import CONVOLUTION, DENSE, first_name, layer_inputs
from pocketvae.export.quantize.tflite_four_bits import unpacked
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    tensor_shape,
    view_model,
    write_model,
)

Inputs = Mapping[str, npt.NDArray[Any]]
Means = Mapping[str, npt.NDArray[np.float64]]

_MOST_ROWS = 2**12
# Of layers whose activations have 8 bits, and 16.
_BIASES = {"int32": np.int32, "int64": np.int64}


def mean_sums(calibrated: bytes, inputs: Inputs) -> dict[str, npt.NDArray[np.float64]]:
    """Returns what each layer of a float file makes on average `[O]`, before its activation, by its first name.

    Args:
        calibrated: The float file.
        inputs: Samples, input name to `[N, ...]`.
    """
    model = view_model(calibrated)
    graph, found = model.subgraphs[0], {}
    for operator in graph.operators:
        weights = _real_weights(model, operator)
        if weights is not None:
            name = first_name(graph, operator)
            found[name] = weights @ _mean(calibrated, name, inputs) + _real_bias(model, operator)
    return found


def with_corrected_biases(content: bytes, expected: Means, inputs: Inputs) -> bytes:
    """Returns a quantized file whose layers make on average what those of the float file make.

    Args:
        content: The quantized file.
        expected: What `mean_sums` returned for the float file and the same samples.
        inputs: Samples, input name to `[N, ...]`.
    """
    graph = view_model(content).subgraphs[0]
    for name in [first_name(graph, operator) for operator in graph.operators]:
        model = read_model(content)
        operator = next(item for item in model.subgraphs[0].operators if first_name(model.subgraphs[0], item) == name)
        weights = _real_weights(model, operator)
        if name not in expected or weights is None or not _has_own_bias(model, operator):
            continue
        bias = model.subgraphs[0].tensors[operator.inputs[2]]
        error = weights @ _mean(content, name, inputs) + _real_bias(model, operator) - expected[name]
        kind = _BIASES[dtype_name(bias)]
        steps = np.rint(error / np.asarray(bias.quantization.scale, np.float64)).astype(kind)
        integers = np.asarray(constant(model, bias)).view(kind) - steps
        model.buffers[bias.buffer].data = integers.view(np.uint8)
        content = write_model(model)
    return content


def _mean(content: bytes, layer: str, inputs: Inputs) -> npt.NDArray[np.float64]:
    """Returns the mean `[K]` of what a layer weights."""
    count, total = 0, np.zeros(())
    for block in layer_inputs(content, layer, inputs, _MOST_ROWS):
        count, total = count + len(block), total + block.sum(axis=0, dtype=np.float64)
    return np.asarray(total / count)


def _real_weights(model: Any, operator: Any) -> npt.NDArray[np.float64] | None:
    """Returns a layer's weights `[O, K]`; None where the operator has no such weights."""
    graph = model.subgraphs[0]
    if operator_name(model, operator) not in (DENSE, CONVOLUTION):
        return None
    weights, given = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[0]]
    # A convolution of groups gives an output a part of the channels alone.
    in_groups = operator_name(model, operator) == CONVOLUTION and tensor_shape(weights)[-1] != tensor_shape(given)[-1]
    if not is_constant(model, weights) or in_groups:
        return None
    stored, outputs = np.asarray(constant(model, weights)), tensor_shape(weights)[0]
    if dtype_name(weights) == "float32":
        return stored.view(np.float32).astype(np.float64).reshape(outputs, -1)
    if dtype_name(weights) not in ("int8", "int4"):
        return None
    integers = stored.view(np.int8) if dtype_name(weights) == "int8" else unpacked(stored, tensor_shape(weights))
    steps = np.asarray(weights.quantization.scale, np.float64).reshape(-1, 1)
    return np.asarray(integers.reshape(outputs, -1) * steps, np.float64)


def _real_bias(model: Any, operator: Any) -> npt.NDArray[np.float64]:
    """Returns a layer's bias `[O]`, or one 0."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return np.zeros(1)
    bias = model.subgraphs[0].tensors[operator.inputs[2]]
    stored = np.asarray(constant(model, bias))
    if dtype_name(bias) == "float32":
        return stored.view(np.float32).astype(np.float64)
    return np.asarray(
        stored.view(_BIASES[dtype_name(bias)]) * np.asarray(bias.quantization.scale, np.float64), np.float64
    )


def _has_own_bias(model: Any, operator: Any) -> bool:
    """Whether a layer of integers has a bias that no other reads."""
    graph = model.subgraphs[0]
    if (
        dtype_name(graph.tensors[operator.inputs[0]]) not in ("int8", "int16")
        or len(operator.inputs) < 3
        or operator.inputs[2] < 0
    ):
        return False
    bias = graph.tensors[operator.inputs[2]]
    return dtype_name(bias) in _BIASES and sum(other.buffer == bias.buffer for other in graph.tensors) == 1
