"""Conversion to TFLite: one function per precision, from a graph to the file's bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.graphs import Graph
from pocketvae.export.operators import conversion_error, refuse_custom_tflite
from pocketvae.export.samples import each_sample
from pocketvae.export.search import QuantizationPlan
from pocketvae.keras_io import import_tensorflow
from pocketvae.quiet import quiet_stderr

Inputs = Mapping[str, npt.NDArray[Any]]

# Logits beyond this are sigmoid(9) = 0.99988: clipping them there moves a probability by 0.00012 at the most, 1/30 of
# a pixel step, and leaves the 256 integer levels to the range in which pixels differ.
LOGIT_BOUND = 9.0
# The heads' operators, with the range of inputs that they tell apart; MINIMUM begins the clipping to [0, 1].
# tanh(x) = 2 sigmoid(2 x) - 1, so half the logit moves it as far.
_HEADS = {
    "LOGISTIC": (-LOGIT_BOUND, LOGIT_BOUND),
    "TANH": (-LOGIT_BOUND / 2, LOGIT_BOUND / 2),
    "MINIMUM": (0.0, 1.0),
}
_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_FLOAT32 = 0  # of the TFLite schema's TensorType
_MOVERS = frozenset({"RESHAPE", "TRANSPOSE", "DEPTH_TO_SPACE", "SQUEEZE", "STRIDED_SLICE"})
# What may stand between a head and the graph's output.
_AFTER_HEAD = _MOVERS | {"MAXIMUM", "RELU"}


def convert_float32(graph: Graph) -> bytes:
    """Converts without any quantization."""
    return _convert(graph, lambda converter: None)


def convert_float16(graph: Graph) -> bytes:
    """Converts with weights in half precision; the arithmetic stays float32."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return _convert(graph, configure)


def convert_dynamic_int8(graph: Graph) -> bytes:
    """Converts with int8 weights per channel; activations are quantized as they come."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return _convert(graph, configure)


def convert_int16x8(graph: Graph, calibration: Inputs) -> bytes:
    """Converts with int16 activations and int8 weights, float interface."""
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        _calibrate_with(converter, calibration)
        operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [operators]

    return _convert(graph, configure)


def calibrate(graph: Graph, calibration: Inputs) -> bytes:
    """Returns a float model that carries the range of every activation; `quantize` turns it into integers.

    The range in front of the head is limited to where the head still moves, see `LOGIT_BOUND`.
    """

    def configure(converter: Any) -> None:
        _calibrate_with(converter, calibration)
        converter._experimental_calibrate_only = True

    return _limit_head_ranges(_convert(graph, configure))


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
    with quiet_stderr():
        content = mlir_quantize(
            _apply_plan(calibrated, plan),
            fully_quantize=integer_interface,
            input_data_type=interface,
            output_data_type=interface,
            # The quantizer gives ONE_HOT's values another scale than its output's: a label would count for half.
            denylisted_ops=["ONE_HOT", *([] if integer_interface else _float_heads(calibrated))],
            denylisted_nodes=list(plan.float_layers),
        )
    return bytes(content)


def weighted_layers(content: bytes) -> dict[str, int]:
    """Returns the layers that hold weights: the output tensor's name to the number of weights, in graph order."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    graph = model.subgraphs[0]
    layers: dict[str, int] = {}
    for operator in graph.operators:
        name = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        if name not in _WEIGHTED:
            continue
        sizes = [
            int(np.prod(graph.tensors[index].shape))
            for index in operator.inputs[1:]
            if index >= 0 and model.buffers[graph.tensors[index].buffer].data is not None
        ]
        if sizes:
            layers[graph.tensors[operator.outputs[0]].name.decode()] = sum(sizes)
    return layers


def float_layers(content: bytes) -> dict[str, int]:
    """Returns the layers with weights that are in float, as `weighted_layers` does."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    types = {tensor.name.decode(): tensor.type for tensor in model.subgraphs[0].tensors}
    return {name: size for name, size in weighted_layers(content).items() if types[name] == _FLOAT32}


def _apply_plan(content: bytes, plan: QuantizationPlan) -> bytes:
    """Narrows the recorded ranges of layers' outputs, and of what merely moves those values on.

    The quantizer keeps a transposed convolution in integers whatever its list of float layers says, so such a layer
    loses its range; without one it stays in float, and so does the layer that takes its output.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    if not plan.range_scales and not plan.float_layers:
        return content
    model = flatbuffer_utils.read_model_from_bytearray(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        is_transposed = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) == "TRANSPOSE_CONV"
        if is_transposed and output.name.decode() in plan.float_layers:
            output.quantization.min = output.quantization.max = None
    scales = {
        index: plan.range_scales[tensor.name.decode()]
        for index, tensor in enumerate(graph.tensors)
        if tensor.name.decode() in plan.range_scales
    }
    for operator in graph.operators:  # in order of execution, so that a scale travels down a chain of movers
        if flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) in _MOVERS and operator.inputs[0] in scales:
            scales[operator.outputs[0]] = scales[operator.inputs[0]]
    for index, scale in scales.items():
        quantization = graph.tensors[index].quantization
        quantization.min = [float(quantization.min[0]) * scale]
        quantization.max = [float(quantization.max[0]) * scale]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _limit_head_ranges(content: bytes) -> bytes:
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        bounds = _HEADS.get(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex))
        if bounds is None or not _is_head(model, graph, operator):
            continue
        for index in _moved(model, graph, operator.inputs[0]):
            quantization = graph.tensors[index].quantization
            quantization.min = [max(bounds[0], float(quantization.min[0]))]
            quantization.max = [min(bounds[1], float(quantization.max[0]))]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _moved(model: Any, graph: Any, tensor: int) -> Iterator[int]:
    """Yields a tensor and those that hold nothing but the same values before they were moved."""
    from ai_edge_litert.tools import flatbuffer_utils

    yield tensor
    for operator in reversed(graph.operators):
        is_mover = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) in _MOVERS
        alone = sum(operator.inputs[0] in user.inputs for user in graph.operators) == 1
        if operator.outputs[0] == tensor and is_mover and alone:
            tensor = operator.inputs[0]
            yield tensor


def _float_heads(content: bytes) -> list[str]:
    """Returns the operators to keep in float, by kind.

    TFLite's integer sigmoid has steps of 1/256 and no 1, its integer tanh steps of 1/128.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    graph = model.subgraphs[0]
    names = [flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators]
    tanh = any(
        name == "TANH" and _is_head(model, graph, operator)
        for name, operator in zip(names, graph.operators, strict=True)
    )
    return ["LOGISTIC", "TANH"] if tanh else ["LOGISTIC"]


def _is_head(model: Any, graph: Any, operator: Any) -> bool:
    """Whether an operator ends the graph: the sigmoid of a swish and the minimum of a ReLU6 are no heads."""
    from ai_edge_litert.tools import flatbuffer_utils

    def users(tensor: int) -> list[Any]:
        return [user for user in graph.operators if tensor in user.inputs]

    if len(users(operator.inputs[0])) != 1:
        return False
    if len(operator.inputs) == 2:
        constant = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
        if constant is None or np.frombuffer(bytes(constant), np.float32).tolist() != [1.0]:
            return False
    tensor = operator.outputs[0]
    while tensor not in graph.outputs:
        following = users(tensor)
        names = {flatbuffer_utils.opcode_to_name(model, user.opcodeIndex) for user in following}
        if len(following) != 1 or not names <= _AFTER_HEAD:
            return False
        tensor = following[0].outputs[0]
    return True


def _calibrate_with(converter: Any, calibration: Inputs) -> None:
    tf = import_tensorflow()

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: each_sample(calibration)


def _convert(graph: Graph, configure: Callable[[Any], None]) -> bytes:
    tf = import_tensorflow()
    concrete = graph.function.get_concrete_function()
    with quiet_stderr(), warnings.catch_warnings():
        # Calibration runs on the interpreter inside TensorFlow, which announces its move to LiteRT at every use.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], graph.model)
        # Built-in operators alone: Flex and custom operators would not run on a device.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        configure(converter)
        try:
            content = bytes(converter.convert())
        except Exception as e:
            raise conversion_error(str(e)) from e
    refuse_custom_tflite(content)
    return content
