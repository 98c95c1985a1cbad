"""The operators that TensorFlow Lite for microcontrollers supports, and with which types.

Operator names from python_ops_resolver.cc of tensorflow/tflite-micro, commit 03e16b2931c7; the rules for types were
tried with the PyPI package tflite-micro 0.dev20261023.
"""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.formats.tflite.operators import Operator
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally

SOURCE = "table of tensorflow/tflite-micro, python_ops_resolver.cc, commit 03e16b2931c7; types tried with 0.dev20261023"

_KNOWN = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE
CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS
FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION
L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAX_POOL_2D MAXIMUM
MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_MAX RELU RELU6 RESHAPE
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH
SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_LARGEST_TRANSPOSE = 5


def check_microcontroller(operators: Sequence[Operator]) -> Portability:
    """Returns which operators TFLM runs, of the main subgraph and those that it runs; nothing else runs the rest."""
    left = [(operator.name, reason) for operator in operators if (reason := _refusal(operator))]
    return tally(Backend.TFLM, len(operators), left, SOURCE)


def _refusal(operator: Operator) -> str:
    if operator.name not in _KNOWN.split():
        return "no kernel for it"
    types = {tensor.dtype for tensor in (*operator.inputs, *operator.outputs)}
    if "float16" in types:
        return "float16"
    if operator.name == "DEQUANTIZE" and any(tensor.scales > 1 for tensor in operator.inputs):
        return "a scale for each channel, of which it takes the first for all"
    rank = len(operator.inputs[0].shape) if operator.inputs else 0
    if operator.name == "TRANSPOSE" and rank > _LARGEST_TRANSPOSE:
        return f"more than {_LARGEST_TRANSPOSE} dimensions"
    if operator.name in _WEIGHTED:
        values = next((tensor.dtype for tensor in operator.inputs if not tensor.is_constant), "")
        weights = {tensor.dtype for tensor in operator.inputs if tensor.is_constant and len(tensor.shape) > 1}
        if values == "float32" and weights & {"int8", "int4"}:
            return "int8 weights with float activations"
    return ""
