"""Quantization of TFLite files with calibrated ranges: int8 activations and weights, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.graphs import Graph
from pocketvae.export.convert.loops import refuse_loops
from pocketvae.export.convert.tflite import calibrate_with, convert
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_floats import with_float_convolutions, without_rounding
from pocketvae.export.quantize.tflite_order import in_one_order
from pocketvae.export.quantize.tflite_weights import with_integer_weights
from pocketvae.export.tuning.latent_parts import coarse_range
from pocketvae.export.tuning.names import LOGIT_BOUND, is_float_part
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    view_model,
    write_model,
)
from pocketvae.keras.io import import_tensorflow
from pocketvae.system.quiet import quiet_stderr

Inputs = Mapping[str, npt.NDArray[Any]]

# The heads' operators, with the range of inputs that they tell apart; MINIMUM begins the clipping to [0, 1].
# tanh(x) = 2 sigmoid(2 x) - 1, so half the logit moves it as far.
_HEADS = {
    "LOGISTIC": (-LOGIT_BOUND, LOGIT_BOUND),
    "TANH": (-LOGIT_BOUND / 2, LOGIT_BOUND / 2),
    "MINIMUM": (0.0, 1.0),
}
_ONE_HOT = "ONE_HOT"
_FLOAT_BYTES = 4
_MOVERS = frozenset({"RESHAPE", "TRANSPOSE", "DEPTH_TO_SPACE", "SQUEEZE", "STRIDED_SLICE"})
# What computes nothing that 8 bits could spoil takes the precision of the layer before it.
_FOLLOWERS = _MOVERS | {
    "ARG_MAX",
    "ARG_MIN",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "MAX_POOL_2D",
    "PAD",
    "MINIMUM",
    "MAXIMUM",
    "RESIZE_NEAREST_NEIGHBOR",
}
_NOT_LAYERS = frozenset({*_FOLLOWERS, *_HEADS, _ONE_HOT})
# What may stand between a head and the graph's output; a rewritten up-sampling has a head for each part of the image.
_AFTER_HEAD = _MOVERS | {"MAXIMUM", "RELU", "CONCATENATION"}


def calibrate(graph: Graph, calibration: Inputs) -> bytes:
    """Returns a float model that carries the range of every activation; `quantize` turns it into integers.

    The range in front of the head is limited to where the head still moves, see `LOGIT_BOUND`.

    Raises:
        ExportError: the graph has a loop, or the converter failed.
    """
    refuse_loops(graph)

    def configure(converter: Any) -> None:
        calibrate_with(converter, calibration)
        converter._experimental_calibrate_only = True

    return _fix_part_ranges(_limit_head_ranges(convert(graph, configure)))


def quantize(calibrated: bytes, plan: QuantizationPlan, *, integer_interface: bool = False) -> bytes:
    """Quantizes a calibrated model to int8, per channel.

    Args:
        calibrated: From `calibrate`.
        plan: Names layers by their output tensors, as `weighted_layers` does.
        integer_interface: Integer inputs and outputs, and a quantized sigmoid; else a float interface and a float
            sigmoid, because TFLite's integer sigmoid cannot express 1 and rounds small probabilities to 0.
    """
    tf = import_tensorflow()
    from tensorflow.lite.python.convert import mlir_quantize

    interface = tf.int8 if integer_interface else tf.float32
    model = None if integer_interface else view_model(calibrated)
    with quiet_stderr():
        content = mlir_quantize(
            _apply_plan(calibrated, plan),
            fully_quantize=integer_interface,
            input_data_type=interface,
            output_data_type=interface,
            # The quantizer gives ONE_HOT's values another scale than its output's: a label would count for half.
            denylisted_ops=[_ONE_HOT, *(_float_heads(model) if model else [])],
            denylisted_nodes=_float_tensors(model, plan) if model else [],
        )
    content = in_one_order(bytes(content))
    if integer_interface:
        return content
    exact = with_float_convolutions(without_rounding(content), calibrated, plan.float_layers)
    return with_integer_weights(exact, plan.weights_only)


def find_layers(content: bytes) -> dict[str, int]:
    """Returns what can be quantized or kept in float by itself, in graph order.

    That is every operator that computes in floating point. One that has no weights, such as an addition, costs no
    bytes in float.

    Args:
        content: From `calibrate`.

    Returns:
        The name of a layer's output tensor to the number of its weights.
    """
    model = view_model(content)
    graph = model.subgraphs[0]
    layers: dict[str, int] = {}
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        name = operator_name(model, operator)
        if (
            name in _FOLLOWERS
            or name in _HEADS
            or name == _ONE_HOT
            or is_float_part(tensor_name(output))
            or dtype_name(output) != "float32"
            or _is_constant(model, graph, operator)
        ):
            continue
        weights = [index for index in operator.inputs[1:] if index >= 0 and is_constant(model, graph.tensors[index])]
        layers[tensor_name(output)] = sum(math.prod(tensor_shape(graph.tensors[index])) for index in weights)
    return layers


def layer_ranges(content: bytes) -> dict[str, tuple[float, float]]:
    """Returns the calibrated range of each layer's output; a head's input is limited, see `calibrate`."""
    model = view_model(content)
    found = {tensor_name(tensor): tensor.quantization for tensor in model.subgraphs[0].tensors}
    return {name: (float(found[name].min[0]), float(found[name].max[0])) for name in find_layers(content)}


def activation_bytes(content: bytes) -> int:
    """Returns what the outputs of all operators take for one sample, as floats."""
    graph = view_model(content).subgraphs[0]
    outputs = [graph.tensors[index] for operator in graph.operators for index in operator.outputs]
    return sum(_FLOAT_BYTES * math.prod(tensor_shape(tensor)) for tensor in outputs)


def _is_constant(model: Any, graph: Any, operator: Any) -> bool:
    return all(is_constant(model, graph.tensors[index]) for index in operator.inputs if index >= 0)


def _float_tensors(model: Any, plan: QuantizationPlan) -> list[str]:
    """Returns the output tensors to keep in float: of the plan's layers, of what follows them and of the head.

    A head whose probabilities are moved on as integers would end in steps of 1/256, and in zeros.
    """
    graph = model.subgraphs[0]
    names = [tensor_name(tensor) for tensor in graph.tensors]
    kept = {index for index, name in enumerate(names) if name in plan.float_layers or is_float_part(name)}
    found = [*plan.float_layers, *(name for name in names if is_float_part(name))]
    for operator in graph.operators:  # in order of execution, so that float travels down a chain
        kind = operator_name(model, operator)
        is_head = kind in _HEADS and _is_head(model, graph, operator)
        # A sigmoid or tanh in the middle of a network follows the layer before it, too.
        follows = kind in _FOLLOWERS | _HEADS.keys() and operator.inputs[0] in kept
        joins = kind == "CONCATENATION" and all(index in kept for index in operator.inputs)
        if is_head or follows or joins:
            kept.add(operator.outputs[0])
            found.append(names[operator.outputs[0]])
    return [*found, *(names[index] for index in _moved_inputs(model, graph, kept))]


def _moved_inputs(model: Any, graph: Any, kept: set[int]) -> list[int]:
    """Returns the tensors that hold nothing but an input, moved, which only operators in float read."""
    moved = set(graph.inputs)
    for operator in graph.operators:
        if operator_name(model, operator) in _MOVERS and operator.inputs[0] in moved:
            moved.update(operator.outputs)
    floats: list[int] = []
    for operator in reversed(graph.operators):
        output = operator.outputs[0]
        readers = [user.outputs[0] for user in graph.operators if output in user.inputs]
        if output in moved and readers and all(index in kept or index in floats for index in readers):
            floats.append(output)
    return floats


def _apply_plan(content: bytes, plan: QuantizationPlan) -> bytes:
    """Narrows the recorded ranges of layers' outputs, and of what merely moves those values on."""
    if not plan.range_scales:
        return content
    model = read_model(content)
    graph = model.subgraphs[0]
    scales = {
        index: plan.range_scales[tensor_name(tensor)]
        for index, tensor in enumerate(graph.tensors)
        if tensor_name(tensor) in plan.range_scales
    }
    for operator in graph.operators:  # in order of execution, so that a scale travels down a chain of movers
        if operator_name(model, operator) in _MOVERS and operator.inputs[0] in scales:
            scales[operator.outputs[0]] = scales[operator.inputs[0]]
    for index, scale in scales.items():
        quantization = graph.tensors[index].quantization
        quantization.min = [float(quantization.min[0]) * scale]
        quantization.max = [float(quantization.max[0]) * scale]
    return write_model(model)


def _limit_head_ranges(content: bytes) -> bytes:
    model = read_model(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        bounds = _HEADS.get(operator_name(model, operator))
        if bounds is None or not _is_head(model, graph, operator):
            continue
        for index in _moved(model, graph, operator.inputs[0]):
            quantization = graph.tensors[index].quantization
            quantization.min = [max(bounds[0], float(quantization.min[0]))]
            quantization.max = [min(bounds[1], float(quantization.max[0]))]
    return write_model(model)


def _fix_part_ranges(content: bytes) -> bytes:
    """Gives the parts of a latent the scale on which the coarse part lies, whatever range the samples have."""
    model = read_model(content)
    graph = model.subgraphs[0]
    steps = {}
    for operator in graph.operators:
        name, output = operator_name(model, operator), operator.outputs[0]
        if not is_float_part(tensor_name(graph.tensors[output])):
            continue
        if name == "MUL" and (value := constant(model, graph.tensors[operator.inputs[1]])) is not None:
            steps[output] = float(value.view(np.float32)[0])
        elif name == "CONCATENATION" and operator.inputs[0] in steps:
            low, high = coarse_range(steps[operator.inputs[0]])
            quantization = graph.tensors[output].quantization
            quantization.min, quantization.max = [low], [high]
    return write_model(model) if steps else content


def _moved(model: Any, graph: Any, tensor: int) -> Iterator[int]:
    """Yields a tensor and those that hold nothing but the same values before they were moved."""
    yield tensor
    for operator in reversed(graph.operators):
        is_mover = operator_name(model, operator) in _MOVERS
        alone = sum(operator.inputs[0] in user.inputs for user in graph.operators) == 1
        if operator.outputs[0] == tensor and is_mover and alone:
            tensor = operator.inputs[0]
            yield tensor


def _float_heads(model: Any) -> list[str]:
    """Returns the operators to keep in float, by kind.

    TFLite's integer sigmoid has steps of 1/256 and no 1, its integer tanh steps of 1/128.
    """
    graph = model.subgraphs[0]
    names = [operator_name(model, operator) for operator in graph.operators]
    tanh = any(
        name == "TANH" and _is_head(model, graph, operator)
        for name, operator in zip(names, graph.operators, strict=True)
    )
    return ["LOGISTIC", "TANH"] if tanh else ["LOGISTIC"]


def _is_head(model: Any, graph: Any, operator: Any) -> bool:
    """Whether an operator ends the graph: the sigmoid of a swish and the minimum of a ReLU6 do not."""

    def users(tensor: int) -> list[Any]:
        return [user for user in graph.operators if tensor in user.inputs]

    if len(users(operator.inputs[0])) != 1:
        return False
    if len(operator.inputs) == 2:
        data = constant(model, graph.tensors[operator.inputs[1]])
        if data is None or data.view(np.float32).tolist() != [1.0]:
            return False
    tensor = operator.outputs[0]
    while tensor not in graph.outputs:
        following = users(tensor)
        names = {operator_name(model, user) for user in following}
        if len(following) != 1 or not names <= _AFTER_HEAD:
            return False
        tensor = following[0].outputs[0]
    return True
