"""The operators that LiteRT's GPU delegate supports, by the rules of its compatibility check.

Facts from model_builder.cc and gpu_compatibility.cc of the delegate, see SOURCE. The rules are necessary: a GPU driver
may refuse more. The delegate itself cannot be used here, because it needs a GPU to be loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.formats.tflite.operators import Operator, Tensor
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally

SOURCE = "table of google-ai-edge/LiteRT, tflite/delegates/gpu, commit f67457790c9c of 2026-08-21"

# The newest supported version of an operator, if there is a limit.
_NEWEST = {
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 6,
    "CUMSUM": 1,
    "DENSIFY": 1,
    "DEPTHWISE_CONV_2D": 6,
    "DEQUANTIZE": 3,
    "FULLY_CONNECTED": 9,
    "GATHER": 1,
    "LSTM": 4,
    "MAX_POOL_2D": 2,
    "ONE_HOT": 1,
    "PAD": 2,
    "PADV2": 2,
    "PRELU": 1,
    "QUANTIZE": 2,
    "RELU": 2,
    "RELU6": 2,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "SELECT_V2": 1,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPACE_TO_DEPTH": 2,
    "STRIDED_SLICE": 4,
    "TRANSPOSE": 4,
    "TRANSPOSE_CONV": 3,
}
# Elementwise operators share one limit, multiplication has its own.
_ELEMENTWISE = """
ABS ADD ADD_N COS DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD GELU GREATER GREATER_EQUAL HARD_SWISH LESS LESS_EQUAL
LOG LOGICAL_AND LOGISTIC MAXIMUM MINIMUM MUL NEG NOT_EQUAL POW RSQRT SIGN SIN SQRT SQUARE SQUARED_DIFFERENCE SUB TANH
"""
_NEWEST_ELEMENTWISE, _NEWEST_MUL = 2, 3
_WITHOUT_LIMIT = """
BATCH_MATMUL CAST DEPTH_TO_SPACE LEAKY_RELU MEAN MIRROR_PAD PACK REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU_0_TO_1
RELU_N1_TO_1 SELECT SPLIT SPLIT_V SUM TILE UNPACK
"""
_LOGICAL = frozenset({"EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND"})
_BASE = frozenset({"float32", "float16", "int8", "uint8"})
_MORE_INPUTS = {
    "CAST": frozenset({"bool", "int32"}),
    "ONE_HOT": frozenset({"int32"}),
    "SELECT": frozenset({"bool"}),
    "SELECT_V2": frozenset({"bool"}),
    "LOGICAL_AND": frozenset({"bool"}),
    "GATHER": frozenset({"int32"}),
}
_LARGEST_RANK = 4


def check_gpu(operators: Sequence[Operator]) -> Portability:
    """Returns which operators of a main subgraph the delegate supports."""
    left = [(operator.name, reason) for operator in operators if (reason := _refusal(operator))]
    return tally(Backend.LITERT_GPU, len(operators), left, SOURCE)


def _refusal(operator: Operator) -> str:
    name = operator.name
    newest = _newest_version(name)
    if newest is None and name not in _WITHOUT_LIMIT.split():
        return "no kernel for it"
    if newest is not None and operator.version > newest:
        return f"version {operator.version}, at most {newest} is supported"
    outputs = {"CAST": {"bool", "int32"}}.get(name, {"bool"} if name in _LOGICAL else set())
    return (
        _tensor_refusal(operator.inputs, _BASE | _MORE_INPUTS.get(name, frozenset()))
        or _tensor_refusal(operator.outputs, _BASE | outputs)
        or _special_refusal(operator)
    )


def _newest_version(name: str) -> int | None:
    if name == "MUL":
        return _NEWEST_MUL
    return _NEWEST_ELEMENTWISE if name in _ELEMENTWISE.split() else _NEWEST.get(name)


def _tensor_refusal(tensors: Sequence[Tensor], types: frozenset[str]) -> str:
    for tensor in tensors:
        if len(tensor.shape) > _LARGEST_RANK:
            return f"{len(tensor.shape)} dimensions, at most {_LARGEST_RANK} are supported"
        if not tensor.is_constant and tensor.dtype not in types:
            return tensor.dtype
    return ""


def _special_refusal(operator: Operator) -> str:
    """Returns why an operator of a known kind, version and type is refused all the same."""
    rank = len(operator.inputs[0].shape) if operator.inputs else 0
    if operator.name in ("SLICE", "STRIDED_SLICE") and rank not in (3, 4):
        return f"{rank} dimensions, 3 or 4 are supported"
    pads = [tensor.shape for tensor in operator.inputs[1:2]]
    if operator.name in ("PAD", "PADV2", "MIRROR_PAD") and pads not in ([(3, 2)], [(4, 2)]):
        return f"{rank} dimensions, 3 or 4 are supported"
    if operator.name == "DEQUANTIZE" and [tensor.dtype for tensor in operator.inputs] == ["int16"]:
        return "int16"
    return ""
