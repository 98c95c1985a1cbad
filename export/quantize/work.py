"""Estimates of the work of a quantization, in seconds of one core of an ordinary machine, from sizes alone."""

from __future__ import annotations

from pocketvae.spec import Format

# To convert a network; to make a file of it, and for each of its weights; to call it.
_CONVERTED_S = 4.0
_FILE_S = {Format.TFLITE: 0.3, Format.ONNX: 0.8}
_WEIGHT_S = 2e-7
_RUN_S = 5e-4
# For each multiply-add of a file and of TensorFlow's graph, whose threads wait for one another.
_MULTIPLY_ADD_S = {Format.TFLITE: 1e-11, Format.ONNX: 2e-11}
_GRAPH_MULTIPLY_ADD_S = 7e-11
# Calibration looks at every tensor, in multiples of a call.
_CALIBRATED_WORK = 4
# Rounding one layer's weights to 4 bits by what the layer is given, in multiples of the work for all weights.
_LEARNED_WORK = 10


def calls_s(format: Format, multiply_adds: int, count: float) -> float:
    """Returns the work of calling a file.

    Args:
        format: The file's.
        multiply_adds: Of one call.
        count: Number of calls.
    """
    return count * (_RUN_S + multiply_adds * _MULTIPLY_ADD_S[format])


def graph_calls_s(multiply_adds: int, count: int) -> float:
    """Returns the same of TensorFlow's graph."""
    return count * (_RUN_S + multiply_adds * _GRAPH_MULTIPLY_ADD_S)


def calibration_s(format: Format, multiply_adds: int, samples: int) -> float:
    """Returns the work of converting a network and finding the ranges of its values."""
    return _CONVERTED_S + calls_s(format, multiply_adds, _CALIBRATED_WORK * samples)


def file_s(format: Format, weights: int, four_bits: int) -> float:
    """Returns the work of quantizing a network.

    Args:
        format: The file's.
        weights: How many the network has.
        four_bits: How many of its layers have weights in 4 bits.
    """
    return _FILE_S[format] + weights * _WEIGHT_S * (1 + _LEARNED_WORK * four_bits)
