"""The oldest runtime that runs a file right, from the versions of its operators and what releases were seen to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pocketvae.errors import ManifestError
from pocketvae.formats.onnx.metadata import GRAPH, IR_VERSION, OPSET_IMPORT, fields
from pocketvae.formats.onnx.plain_graph import PlainGraph, PlainNode, read_graph
from pocketvae.formats.tflite.editing import minimum_version
from pocketvae.formats.tflite.layers import layers_of
from pocketvae.formats.tflite.model import view_model
from pocketvae.formats.tflite.operators import Operator, operators_of
from pocketvae.layer_precision import Granularity, LayerPrecision
from pocketvae.portability.records import Requirement
from pocketvae.spec import Format

TFLITE, ONNXRUNTIME = "TensorFlow Lite", "onnxruntime"
# onnxruntime.ai/docs/reference/compatibility.html and onnx/onnx docs/Versioning.md, read in 2026: the first release of
# onnxruntime for an operator set of ai.onnx, and for a version of the file format.
_BY_OPSET = {
    7: "1.0",
    8: "1.0",
    9: "1.0",
    10: "1.0",
    11: "1.1",
    12: "1.3",
    13: "1.6",
    14: "1.8",
    15: "1.9",
    16: "1.11",
    17: "1.12",
    18: "1.14",
    19: "1.15",
    20: "1.17",
    21: "1.18",
    22: "1.20",
    23: "1.22",
}
# The first release with a kernel for int16, which the operator's version does not tell.
_INT16_KERNELS = {"CONV_2D": "2.3.0", "TRANSPOSE": "2.5.0"}
# The same for weights of 4 bits with activations of 8: ai-edge-litert 1.4.0 is the first that was seen to run dense
# layers of them (1.0.1 refuses), tflite-runtime 2.13.0 convolutions (2.11.0 refuses).
_INT4_KERNELS = {"CONV_2D": "2.13.0", "FULLY_CONNECTED": "2.20.0"}
# Up to 1.26.0, onnxruntime leaves out the two conversions around a Resize where both have one scale and zero point; in
# integers a linear one then rounds down (a value in two is a step lower) and a cubic one raises an error.
_QUANTIZED_RESIZE = "1.27"
_BY_IR_VERSION = {3: "1.0", 4: "1.0", 5: "1.0", 6: "1.1", 7: "1.3", 8: "1.9", 9: "1.15", 10: "1.18", 11: "1.22"}


def oldest_runtime(format: Format, content: bytes) -> Requirement:
    """Returns the oldest runtime that runs a file right.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed, for a TFLite file.
    """
    return _oldest_tflite(content) if format is Format.TFLITE else _oldest_onnxruntime(content)


def newest(versions: list[str]) -> str:
    """Returns the highest of versions such as `2.9.0` and `2.13.0`."""
    return max(versions, key=lambda version: tuple(int(part) for part in version.split(".")))


def _oldest_tflite(content: bytes) -> Requirement:
    model = view_model(content)
    operators = [operator for graph in operators_of(model) for operator in graph]
    used = sorted({(operator.name, operator.version) for operator in operators})
    table = _tflite_table()
    unknown = [f"{name} version {version}" for name, version in used if (name, version) not in table]
    needed = {f"{name} version {version}": table[name, version] for name, version in used if (name, version) in table}
    needed |= _late_tflite_kernels(operators, layers_of(model))
    note = _noted_version(model)
    if unknown:
        # A later table may list them; the converter's note, if there is one, covers them.
        reason = f"noted by the converter; pocketvae's table does not contain {', '.join(unknown)}"
        return Requirement(runtime=TFLITE, version=note, reason=reason if note else f"unknown: {', '.join(unknown)}")
    version = newest(list(needed.values())) if needed else note
    reason = ", ".join(name for name, oldest in needed.items() if oldest == version) or "it has no operators"
    if note and newest([note, version]) != version:
        return Requirement(runtime=TFLITE, version=note, reason="noted by the converter")
    return Requirement(runtime=TFLITE, version=version, reason=reason)


def _late_tflite_kernels(operators: Sequence[Operator], layers: Sequence[LayerPrecision]) -> dict[str, str]:
    """Returns what older releases load, by the versions of its operators, and do not compute right.

    Seen with TensorFlow 1.15 to 2.6 and tflite-runtime 2.7.0 to 2.14.0: studies/old_runtimes.py.
    """
    in_16_bits = {item.name for item in operators if item.inputs and item.inputs[0].dtype == "int16"}
    found = {f"{name} of int16": _INT16_KERNELS[name] for name in sorted(in_16_bits & _INT16_KERNELS.keys())}
    for layer in layers:
        in_integers = layer.weights == "int8" and layer.activations in ("int8", "int16")
        if in_integers and layer.operator == "FULLY_CONNECTED" and layer.granularity is Granularity.PER_CHANNEL:
            found["FULLY_CONNECTED with a scale for each channel"] = "2.10.0"
        if layer.weights == "int4" and layer.operator in _INT4_KERNELS:
            found[f"{layer.operator} with weights of 4 bits"] = _INT4_KERNELS[layer.operator]
    return found


def _noted_version(model: Any) -> str:
    """Returns the oldest runtime as noted by the converter; may be empty."""
    text = minimum_version(model)
    return text if all(part.isdigit() for part in text.split(".")) else ""


def _oldest_onnxruntime(content: bytes) -> Requirement:
    ir_version, opset = 0, 0
    late: dict[str, str] = {}
    for field in fields(content):
        if field.number == GRAPH:
            late = _late_onnx_kernels(read_graph(field.value))
        if field.number == IR_VERSION:
            ir_version = field.integer
        if field.number == OPSET_IMPORT:
            parts = {part.number: part for part in fields(field.value)}
            if 1 not in parts or parts[1].value in (b"", b"ai.onnx"):
                opset = parts[2].integer if 2 in parts else 1
    if not ir_version or not opset:
        raise ManifestError("the file is not an ONNX file: it does not name a file format and an operator set")
    reason = f"operator set {opset}, file format {ir_version}"
    if opset > max(_BY_OPSET) or ir_version > max(_BY_IR_VERSION):
        return Requirement(runtime=ONNXRUNTIME, version="", reason=f"{reason}: newer than pocketvae's table")
    # Below the tables' first rows there was no release to distinguish.
    versions = [_BY_OPSET.get(opset, "1.0"), _BY_IR_VERSION.get(ir_version, "1.0")]
    needed = newest([*versions, *late.values()])
    if needed != newest(versions):
        reason = ", ".join(name for name, version in sorted(late.items()) if version == needed)
    return Requirement(runtime=ONNXRUNTIME, version=needed, reason=reason)


def _late_onnx_kernels(graph: PlainGraph) -> dict[str, str]:
    """Returns what older releases do not load or do not compute right, and the first release that does."""
    is_late = any(_is_quantized_resize(graph, node) for node in graph.nodes)
    return {"a quantized Resize that interpolates": _QUANTIZED_RESIZE} if is_late else {}


def _is_quantized_resize(graph: PlainGraph, node: PlainNode) -> bool:
    if node.operator != "Resize" or node.texts.get("mode", "nearest") == "nearest":
        return False
    before = [one for one in graph.nodes if one.operator == "DequantizeLinear" and node.inputs[0] in one.outputs]
    after = [one for one in graph.nodes if one.operator == "QuantizeLinear" and one.inputs[0] in node.outputs]
    return any(graph.values(one.inputs[1:]) == graph.values(two.inputs[1:]) for one in before for two in after)


@cache
def _tflite_table() -> dict[tuple[str, int], str]:
    text = (files("pocketvae.portability") / "tflite_runtimes.txt").read_text("utf-8")
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {
        (name, number): version
        for name, *versions in rows
        for number, version in enumerate(versions, start=1)
        if version != "-"
    }
