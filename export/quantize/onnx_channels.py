"""Scales and biases of quantized ONNX models, with which each channel makes what that of the float model makes.

Rounded weights and clipped activations do not only move the mean of a channel: clipping also makes large values
smaller, so that the error grows with the value, and an ELBO adds both up over pixels. The scale of a channel's weights
and its bias take them off for nothing, layer by layer, since each correction changes what the next layers are given.
What the layer's own integers clip anyway does not count: it would move what they do hold. Means alone, see
`tflite_biases`, leave a tuned `rgb64` decoder at 1.16, 1.06 and 1.35 times its budget with three sets of calibration
samples, and means and slopes at 0.76, 0.61 and 0.64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.onnx import serialize
from pocketvae.export.convert.samples import each_sample
from pocketvae.formats.onnx.model import array, drop_dead, initializers, load_model, replace_array
from pocketvae.runtimes.onnxruntime import open_session

Inputs = Mapping[str, npt.NDArray[Any]]
FloatArray = npt.NDArray[np.float32]
Channels = Mapping[str, FloatArray]

# The axis of output channels in what a layer makes.
_AXES = {"Gemm": -1, "Conv": 1}
_ACTIVATIONS = ("Relu", "Clip")
# Every layer is computed with all before it, from a copy of the file: not worth it in large networks of many layers.
_MOST_BYTES = 2**28
# Of one layer: some places of an image tell what its channels make on average.
_MOST_VALUES = 2**20
# Integers whose channel is further from the float one are no measure of it.
_LARGEST_FACTOR = 1.25
# A slope through fewer values says little of the others.
_FEWEST_PLACES = 64


def float_channels(float32: bytes, inputs: Inputs) -> dict[str, FloatArray]:
    """Returns what each layer of a float model makes at some places, before its activation, `[C, R]`, by node.

    Args:
        float32: The float model that is quantized.
        inputs: Samples, input name to `[N, ...]`.
    """
    model = load_model(float32)
    return _values(model, [node for node in model.graph.node if node.op_type in _AXES], inputs)


def with_corrected_channels(content: bytes, expected: Channels, inputs: Inputs) -> bytes:
    """Returns a quantized model whose channels have the means of the float model's, and errors that do not grow.

    Args:
        content: The quantized model.
        expected: What `float_channels` returned for the float model and the same samples.
        inputs: Samples, input name to `[N, ...]`.
    """
    model = load_model(content)
    layers = [layer for layer in _layers(model.graph) if layer.node.name in expected]
    if not layers or len(layers) * len(content) > _MOST_BYTES:
        return content
    for layer in layers:
        name = layer.node.name
        layer.correct(_values(_until(content, layer.node.output[0]), [layer.node], inputs)[name], expected[name])
        content = model.SerializeToString()
    return serialize(model)


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A layer of integers.

    Attributes:
        node: Its product or convolution.
        bias: The initializer of its bias, `[C] int32`, which no other layer reads.
        bias_scales: That of the bias's scales, `[C]`, or of one for all channels.
        weight_scales: That of the weights' scales, `[C]`; None where they are not this layer's alone.
        limits: Smallest and largest value that its outputs' integers hold.
    """

    node: Any
    bias: Any
    bias_scales: Any
    weight_scales: Any | None
    limits: tuple[float, float]

    def correct(self, made: FloatArray, expected: FloatArray) -> None:
        """Corrects the channels of the layer.

        Args:
            made: What it makes, `[C, R]`.
            expected: What the float layer makes in the same places.
        """
        if array(self.bias).shape != (len(made),):
            return  # one number for all channels, as of the half that a hard sigmoid adds
        held = (expected >= self.limits[0]) & (expected <= self.limits[1])
        means = _means(made, held), _means(expected, held)
        factors = np.ones(len(made))
        if self.weight_scales is not None:
            told = _factors(made, np.where(held, expected - means[1][:, np.newaxis], 0.0))
            factors = np.where(held.sum(axis=1) < _FEWEST_PLACES, 1.0, told)
        scales = array(self.bias_scales).astype(np.float64) * factors
        change = means[1] - factors * means[0]
        if not np.all(np.isfinite(change)):
            return
        limits = np.iinfo(np.int32)
        integers = np.clip(array(self.bias) + np.rint(change / scales), limits.min, limits.max)
        replace_array(self.bias, integers.astype(np.int32))
        if self.weight_scales is not None:
            replace_array(self.bias_scales, scales.astype(np.float32))
            replace_array(self.weight_scales, (array(self.weight_scales) * factors).astype(np.float32))


def _means(values: FloatArray, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Returns the mean of each channel where its values are held; 0 where none is."""
    total = np.sum(values, axis=1, where=held, dtype=np.float64)
    return np.asarray(total / np.maximum(1, held.sum(axis=1)))


def _factors(made: FloatArray, deviations: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Returns the factor of each channel `[C]` with which its error does not change with the float layer's value.

    Least squares would make the values smaller, since what rounding adds by chance is in `made` alone.

    Args:
        made: What a layer makes, `[C, R]`.
        deviations: Of the float layer's values from their mean; 0 in places that do not count.
    """
    own = np.sum(np.square(deviations), axis=1, dtype=np.float64)
    shared = np.sum(made * deviations, axis=1, dtype=np.float64)
    found = np.divide(own, shared, out=np.ones_like(own), where=(own > 0) & (shared > 0))
    return np.asarray(np.where(np.abs(np.log(found)) <= math.log(_LARGEST_FACTOR), found, 1.0))


def _layers(graph: Any) -> Iterator[_Layer]:
    """Yields the layers of integers that have a bias of their own."""
    known, makers = initializers(graph), {node.output[0]: node for node in graph.node}
    reads = [name for node in graph.node for name in node.input]

    def own(name: str) -> Any | None:
        """Returns what dequantizes an initializer for one reader alone."""
        node: Any = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[0] not in known:
            return None
        return node if reads.count(name) == 1 and reads.count(node.input[1]) == 1 else None

    for node in graph.node:
        bias = own(node.input[2]) if node.op_type in _AXES and len(node.input) > 2 else None
        if bias is None or reads.count(bias.input[0]) > 1 or array(known[bias.input[0]]).dtype != np.int32:
            continue
        integers, scales, weights = known[bias.input[0]], known[bias.input[1]], own(node.input[1])
        weight_scales = known[weights.input[1]] if weights is not None else None
        if weight_scales is not None and array(weight_scales).size != array(integers).size:
            weight_scales = None
        limits = _limits(graph, known, node.output[0])
        yield _Layer(node=node, bias=integers, bias_scales=scales, weight_scales=weight_scales, limits=limits)


def _limits(graph: Any, known: Mapping[str, Any], tensor: str) -> tuple[float, float]:
    """Returns what the integers of a tensor hold, before or after an activation; all where there are none."""
    while len(readers := [node for node in graph.node if tensor in node.input]) == 1:
        if readers[0].op_type == "QuantizeLinear":
            scale, zero = (array(known[name]) for name in readers[0].input[1:3])
            info = np.iinfo(zero.dtype)
            return float(scale) * (info.min - int(zero)), float(scale) * (info.max - int(zero))
        if readers[0].op_type not in _ACTIVATIONS:
            break
        tensor = readers[0].output[0]
    return -math.inf, math.inf


def _values(model: Any, nodes: list[Any], inputs: Inputs) -> dict[str, FloatArray]:
    """Returns what nodes make at some places, `[C, R]`, by name; they are made the outputs of the model."""
    from onnx import TensorProto, helper

    if not nodes:
        return {}
    names = [node.output[0] for node in nodes]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = open_session(model.SerializeToString())
    rows: list[list[FloatArray]] = [[] for _ in nodes]
    count = len(next(iter(inputs.values())))
    for index, sample in enumerate(each_sample(inputs)):
        given = {item.name: sample[item.name] for item in session.get_inputs()}
        for node, values, found in zip(nodes, session.run(names, given), rows, strict=True):
            found.append(_places(np.moveaxis(values, _AXES[node.op_type], 0), _MOST_VALUES // count, index))
    return {node.name: np.concatenate(found, axis=1) for node, found in zip(nodes, rows, strict=True)}


def _places(channels: FloatArray, most: int, seed: int) -> FloatArray:
    """Returns `[C, R]` of `[C, ...]`: other places for each sample, but the same of the same sample."""
    flat = channels.reshape(len(channels), -1)
    count, kept = flat.shape[1], max(1, most // len(channels))
    if count <= kept:
        return flat
    return np.asarray(flat[:, np.random.default_rng(seed).choice(count, kept, replace=False)])


def _until(content: bytes, tensor: str) -> Any:
    """Returns what of a model makes a tensor."""
    from onnx import TensorProto, helper

    model = load_model(content)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    drop_dead(model.graph)
    return model
