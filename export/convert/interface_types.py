"""Types of the inputs and outputs of a TFLite file of integers: real numbers around it, or integers again."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.formats.tflite.editing import add_tensor, new_operator, place_of, redirect, signature_entry
from pocketvae.formats.tflite.model import (
    builtin_code,
    dtype_name,
    main_signature,
    operator_name,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    write_model,
)
from pocketvae.spec import Quantization


def with_floats(content: bytes, *, inputs: bool = True, outputs: bool = True) -> bytes:
    """Returns a file of one subgraph with its quantized inputs or outputs as float32, converted inside."""
    model = read_model(content)
    graph, signature = model.subgraphs[0], main_signature(model)
    for entry in signature.inputs if inputs else ():
        if _is_quantized(graph, entry.tensorIndex):
            real = _like(graph, entry.tensorIndex, "real")
            graph.operators.insert(0, new_operator(model, "QUANTIZE", "QuantizeOptions", [real], entry.tensorIndex))
            _replace(graph.inputs, entry, real)
    for entry in signature.outputs if outputs else ():
        if _is_quantized(graph, entry.tensorIndex):
            real = _like(graph, entry.tensorIndex, "real")
            # Version 2 takes int8.
            found = new_operator(model, "DEQUANTIZE", "DequantizeOptions", [entry.tensorIndex], real, version=2)
            graph.operators.append(found)
            _replace(graph.outputs, entry, real)
    return write_model(model)


def with_integer_input(content: bytes, name: str, quantization: Quantization) -> bytes:
    """Returns a file of one subgraph that takes a float32 input as int8 instead, converted inside."""
    model = read_model(content)
    graph, signature = model.subgraphs[0], main_signature(model)
    entry = signature_entry(signature.inputs, name)
    integers = _like(graph, entry.tensorIndex, "integers", "int8")
    parameters = schema().QuantizationParametersT()
    parameters.scale = np.array([quantization.scale], np.float32)
    parameters.zeroPoint = np.array([quantization.zero_point], np.int64)
    graph.tensors[integers].quantization = parameters
    found = new_operator(model, "DEQUANTIZE", "DequantizeOptions", [integers], entry.tensorIndex, version=2)
    graph.operators.insert(0, found)
    _replace(graph.inputs, entry, integers)
    return write_model(model)


# Their kernels compute in 32 bits and round to any scale.
_ROUNDING = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "ADD", "MUL")


def with_one_rounding(content: bytes) -> bytes:
    """Returns a file of one subgraph in which integers that become integers again of finer steps have these at once.

    What is cut off by their smaller range would be cut a moment later. Only 8 bits are changed.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    maker = {int(output): item for item in graph.operators for output in item.outputs}
    for item in graph.operators:
        target = graph.tensors[int(item.outputs[0])]
        if operator_name(model, item) != "QUANTIZE" or dtype_name(target) != "int8":
            continue
        source = int(item.inputs[0])
        before = maker.get(source)
        if before is not None and operator_name(model, before) == "DEQUANTIZE":
            source = int(before.inputs[0])
        tensor, maker_of_it = graph.tensors[source], maker.get(source)
        is_rounded = maker_of_it is not None and operator_name(model, maker_of_it) in _ROUNDING
        if is_rounded and dtype_name(tensor) == "int8" and _step(target) < _step(tensor):
            tensor.quantization = target.quantization
    return write_model(model)


def _step(tensor: Any) -> float:
    return float(tensor.quantization.scale[0])


def _same_steps(first: Any, second: Any) -> bool:
    one, other = ((_step(tensor), int(tensor.quantization.zeroPoint[0])) for tensor in (first, second))
    return one == other and dtype_name(first) == dtype_name(second)


def without_detours(content: bytes) -> bytes:
    """Returns a file of one subgraph in which no integers become real numbers only to become integers again.

    One operator changes their scale instead, which an accelerator of integers computes too; none where they keep it.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    kinds = {id(item): builtin_code(model.operatorCodes[item.opcodeIndex]) for item in graph.operators}
    names = schema().BuiltinOperator
    real_of = {int(item.outputs[0]): item for item in graph.operators if kinds[id(item)] == names.DEQUANTIZE}
    for item in [item for item in graph.operators if kinds[id(item)] == names.QUANTIZE]:
        source = real_of.get(int(item.inputs[0]))
        given, taken = int((item if source is None else source).inputs[0]), int(item.outputs[0])
        if _is_quantized(graph, given) and _same_steps(graph.tensors[given], graph.tensors[taken]):
            redirect(graph, {taken: given})
            graph.operators = [other for other in graph.operators if other is not item]
            continue
        if source is None:
            continue
        found = new_operator(model, "QUANTIZE", "QuantizeOptions", [given], taken, version=2)
        graph.operators[place_of(graph, item)] = found
    needed = {int(index) for item in graph.operators for index in item.inputs} | {int(index) for index in graph.outputs}
    unused = [item for output, item in real_of.items() if output not in needed]
    graph.operators = [item for item in graph.operators if not any(item is other for other in unused)]
    return write_model(model)


def input_quantization(content: bytes, name: str) -> Quantization:
    """Returns the quantization of a file's input."""
    model = read_model(content)
    entry = signature_entry(main_signature(model).inputs, name)
    found = model.subgraphs[0].tensors[entry.tensorIndex].quantization
    return Quantization(scale=float(found.scale[0]), zero_point=int(found.zeroPoint[0]))


def _is_quantized(graph: Any, index: int) -> bool:
    tensor = graph.tensors[index]
    return dtype_name(tensor) in ("int8", "int16") and getattr(tensor.quantization, "scale", None) is not None


def _like(graph: Any, index: int, suffix: str, dtype: str = "float32") -> int:
    source = graph.tensors[index]
    return add_tensor(graph, f"{tensor_name(source)}/{suffix}", tensor_shape(source), dtype)


def _replace(tensors: Any, entry: Any, index: int) -> None:
    tensors[[int(item) for item in tensors].index(entry.tensorIndex)] = index
    entry.tensorIndex = index
