"""The positive control: a float32 file with 4-bit weights, which the tests must distinguish from the original."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import missing_package
from pocketvae.spec import Format

_LEVELS = 7
_FEWEST_WEIGHTS = 64
_FLOAT32 = 0


def four_bit(content: bytes, format: Format) -> bytes:
    """Returns the file with every float32 weight tensor on 15 levels, symmetric about 0, with one scale per tensor.

    Raises:
        TargetError: a package that is needed to edit the file is not installed.
    """
    return _four_bit_tflite(content) if format is Format.TFLITE else _four_bit_onnx(content)


def _rounded(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    step = float(np.abs(weights).max()) / _LEVELS
    if step == 0 or weights.size < _FEWEST_WEIGHTS:
        return weights
    return (np.round(weights / np.float32(step)) * np.float32(step)).astype(np.float32)


def _four_bit_tflite(content: bytes) -> bytes:
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type == _FLOAT32 and data is not None:
            weights = np.asarray(data, np.uint8).view(np.float32)
            model.buffers[tensor.buffer].data = _rounded(weights).view(np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _four_bit_onnx(content: bytes) -> bytes:
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as e:
        raise missing_package("onnx", "export") from e
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            weights = _rounded(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return bytes(model.SerializeToString())
