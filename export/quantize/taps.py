"""Taps inside files: the values of chosen tensors, and the range of a quantized input."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.samples import each_sample

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]
Range = tuple[float, float]

_MOVERS = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")


def tflite_tensors(content: bytes, inputs: Inputs, names: Iterable[str]) -> dict[str, Array]:
    """Runs a TFLite file and returns tensors of it, `[N, ...]` in their own types; with the built-in kernels.

    Args:
        content: The file.
        inputs: Input name to `[N, ...]` real numbers or labels.
        names: Names of tensors; those that the file does not have are left out.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that keeping all tensors is for debugging is why it is done here
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    feeds = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list()))).get_input_details()
    indices = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    wanted = {name: indices[name] for name in names if name in indices}
    found: dict[str, list[Array]] = {name: [] for name in wanted}
    for sample in each_sample(inputs):
        for name, values in sample.items():
            interpreter.set_tensor(feeds[name]["index"], _as_stored(values, feeds[name]))
        interpreter.invoke()
        for name, index in wanted.items():
            found[name].append(interpreter.get_tensor(index))
    return {name: np.concatenate(values) for name, values in found.items()}


def _as_stored(values: Array, details: Mapping[str, Any]) -> Array:
    scale, zero_point = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    info = np.iinfo(details["dtype"])
    stored: Array = np.clip(np.round(values / scale) + zero_point, info.min, info.max).astype(details["dtype"])
    return stored


def onnx_tensors(content: bytes, inputs: Inputs, names: Iterable[str]) -> dict[str, Array]:
    """Runs an ONNX file and returns tensors of it, `[N, ...]` in their own types; without graph optimizations."""
    import onnx
    import onnxruntime as ort

    model = onnx.load_from_string(content)
    present = {output for node in model.graph.node for output in node.output}
    wanted = [name for name in dict.fromkeys(names) if name in present]
    existing = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in existing)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rows = [session.run(wanted, sample) for sample in each_sample(inputs)] if wanted else []
    return {name: np.concatenate([row[index] for row in rows]) for index, name in enumerate(wanted)}


def tflite_input_ranges(content: bytes) -> dict[str, Range]:
    """Returns the real numbers that quantized inputs hold: name in the signature to smallest and largest."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    ranges = {}
    for entry in model.signatureDefs[0].inputs:
        tensors = [graph.tensors[entry.tensorIndex]]
        tensors += [
            graph.tensors[operator.outputs[0]]
            for operator in graph.operators
            if entry.tensorIndex in operator.inputs
            and flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) == "QUANTIZE"
        ]
        for tensor in tensors:
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
                ranges[entry.name.decode()] = (scale * (-128 - zero), scale * (127 - zero))
    return ranges


def onnx_input_ranges(content: bytes) -> dict[str, Range]:
    """Returns the same of an ONNX file whose inputs are quantized first."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    origin = {item.name: item.name for item in graph.input}
    ranges = {}
    for node in graph.node:
        if node.op_type in _MOVERS and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        if node.op_type == "QuantizeLinear" and node.input[0] in origin:
            scale = float(numpy_helper.to_array(constants[node.input[1]]).reshape(-1)[0])
            zero = numpy_helper.to_array(constants[node.input[2]]).reshape(-1)[0]
            info = np.iinfo(zero.dtype)
            ranges[origin[node.input[0]]] = (scale * (info.min - int(zero)), scale * (info.max - int(zero)))
    return ranges
