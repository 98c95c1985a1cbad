"""Refusal of non-standard operators, which would not run on a device, by name."""

from __future__ import annotations

import re
from typing import Any

from pocketvae.errors import ExportError, RuledOutError
from pocketvae.formats.tflite.model import code_name, dtype_name, is_custom, operator_name, view_model

STANDARD_DOMAINS = ("", "ai.onnx")

# How the TFLite converter lists missing operators: those of TensorFlow itself (Flex), and unknown ones.
_LISTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)
_SINGLE = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_NO_INT16 = re.compile(r"Quantization to 16x8-bit not yet supported for op: '(\w+)'")


def conversion_error(message: str) -> ExportError:
    """Builds the error for a message of the TFLite converter, with the operators that TFLite does not have."""
    names = {name.strip() for listed in _LISTED.findall(message) for name in listed.split(",")}
    names |= set(_SINGLE.findall(message))
    if names:
        return ExportError(f"TFLite has no built-in operator for {', '.join(sorted(names))}: {_HINT}")
    if wide := sorted(set(_NO_INT16.findall(message))):
        return RuledOutError(f"TFLite has no {' and no '.join(wide)} in 16 bits: use int8")
    lines = [line for line in message.splitlines() if line.strip()]
    return ExportError(f"the TFLite converter failed: {lines[0][:300] if lines else 'no reason given'}")


def refuse_custom_tflite(content: bytes) -> None:
    """Checks that all operators of a TFLite file are built into the runtime.

    Raises:
        ExportError: some are not; the message names them.
    """
    names = {_custom_name(code) for code in view_model(content).operatorCodes if is_custom(code)}
    if names:
        raise ExportError(f"TFLite has no built-in operator for {', '.join(sorted(names))}: {_HINT}")


def refuse_foreign_onnx(model: Any, opset: int) -> None:
    """Checks that all operators of an ONNX model are standard, since other files cannot be loaded.

    Args:
        model: The ONNX model.
        opset: Version of the standard's operator set.

    Raises:
        ExportError: some are not; the message names them.
    """
    names = {_full_name(node) for node in model.graph.node if not _is_standard(node, opset)}
    if names:
        raise ExportError(f"ONNX has no operator for {', '.join(sorted(names))}: {_HINT}")


# int16 kernels of LiteRT that return wrong values without an error. Measured with ai-edge-litert 2.3.0 on x86-64, LOG
# and RSQRT by findings/litert_int16_log_rsqrt.sh; EXP, MEAN, GELU, tanh, sigmoid, softmax and products are right.
WRONG_INT16 = {
    "LOG": "is off by a tenth of its range near 0",
    "RSQRT": "is off by a seventh of its range near 0",
    "SUM": "saturates",
}
WRONG_INT16_SEEN_WITH = "2.3.0"


def refuse_wrong_int16(content: bytes) -> None:
    """Checks that a TFLite file has no operator in 16 bits that LiteRT computes wrongly.

    Raises:
        RuledOutError: it has some; the message names them.
    """
    model = view_model(content)
    found = {
        name
        for graph in model.subgraphs
        for operator in graph.operators
        if (name := operator_name(model, operator)) in WRONG_INT16
        and any(index >= 0 and dtype_name(graph.tensors[index]) == "int16" for index in operator.inputs)
    }
    if found:
        reasons = "; ".join(f"{name} {WRONG_INT16[name]}" for name in sorted(found))
        raise RuledOutError(f"LiteRT {WRONG_INT16_SEEN_WITH} computes these wrongly in 16 bits: {reasons}. Use int8")


_HINT = "build the model from other operators, because device runtimes do not contain Flex and custom operators"


def _custom_name(code: Any) -> str:
    return (code_name(code) or "an operator without a name").removeprefix("Flex")


def _full_name(node: Any) -> str:
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def _is_standard(node: Any, opset: int) -> bool:
    from onnx import defs

    if node.domain not in STANDARD_DOMAINS:
        return False
    try:
        defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        return False
    return True
