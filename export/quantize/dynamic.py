"""Dynamic int8 within its error budget: if 8 bits for all weights are too few, some layers keep float weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pocketvae.export.convert import tflite
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize.measured import error_ratio_of_errors, errors_of, run_content
from pocketvae.export.quantize.search import QuantizationPlan, Search, Trial
from pocketvae.export.quantize.source import Source
from pocketvae.formats.tflite.model import constant, dtype_name, read_model, tensor_name, tensor_type, write_model
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Format


def quantize_within_budget(
    format: Format, source: Source, tolerances: tuple[Tolerance, ...]
) -> tuple[bytes, tuple[str, ...]]:
    """Quantizes all weights or, if that exceeds the budget, the largest layers that stay within it.

    Returns:
        The file, and the names of the layers that kept their weights in float.
    """
    if not tolerances:
        return _quantize(format, source, QuantizationPlan()), ()
    layers, few = _layers(format, source), source.with_few_goldens()
    best = Search(layers, partial(_attempt, format, few, tolerances)).run_without_ranges()
    if few is not source and best.within_budget:
        best = _attempt(format, source, tolerances, best.plan)
        if not best.within_budget:
            best = Search(layers, partial(_attempt, format, source, tolerances)).run_without_ranges()
    return best.content, best.plan.float_layers


def _attempt(format: Format, source: Source, tolerances: tuple[Tolerance, ...], plan: QuantizationPlan) -> Trial:
    content = _quantize(format, source, plan)
    errors = errors_of(run_content(format, content, source.golden_inputs), source, tolerances)
    ratio = error_ratio_of_errors(errors, tolerances)
    return Trial(plan=plan, content=content, rmse=ratio, error_ratio=ratio, errors=errors)


def _layers(format: Format, source: Source) -> Mapping[str, int]:
    if format is Format.ONNX:
        return onnx_quantize.weighted_layers(source.float32(Format.ONNX))
    return _integer_layers(_whole_tflite(source))


def _quantize(format: Format, source: Source, plan: QuantizationPlan) -> bytes:
    if format is Format.ONNX:
        return onnx_quantize.quantize_dynamic(source.float32(Format.ONNX), plan.float_layers)
    whole = _whole_tflite(source)
    return _with_float_weights(whole, source.float32(Format.TFLITE), plan.float_layers) if plan.float_layers else whole


def _whole_tflite(source: Source) -> bytes:
    return source.once("dynamic int8", lambda: tflite.convert_dynamic_int8(source.graph()))


def _integer_layers(content: bytes) -> dict[str, int]:
    """Returns the number of integer weights of each layer, by the name of its output."""
    model = read_model(content)
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        for index in operator.inputs[1:]:
            tensor = graph.tensors[index]
            data = constant(model, tensor)
            if index >= 0 and dtype_name(tensor) == "int8" and data is not None:
                found[tensor_name(graph.tensors[operator.outputs[0]])] = len(data)
    return found


def _with_float_weights(quantized: bytes, float32: bytes, layers: tuple[str, ...]) -> bytes:
    """Puts float weights back: an operator with float weights and float activations computes in float.

    The quantizer for this precision cannot exclude layers. Both files come from one graph, so a layer has the same
    name and the same inputs in both.
    """
    model = read_model(quantized)
    original = read_model(float32)
    graph, source = model.subgraphs[0], original.subgraphs[0]
    producers = {source.tensors[item.outputs[0]].name: item for item in source.operators}
    for operator in graph.operators:
        name = graph.tensors[operator.outputs[0]].name
        if name.decode() not in layers:
            continue
        for position, index in enumerate(operator.inputs):
            tensor = graph.tensors[index]
            if index < 0 or dtype_name(tensor) != "int8":
                continue
            weights = source.tensors[producers[name].inputs[position]]
            model.buffers[tensor.buffer].data = constant(original, weights)
            tensor.type, tensor.quantization = tensor_type("float32"), None
    return write_model(model)
