"""The positive control: a float32 file with 4-bit weights, which the tests must distinguish from the original."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.formats.onnx.model import array, load_model, replace_array
from pocketvae.formats.tflite.model import constant, dtype_name, read_model, write_model
from pocketvae.spec import Format

_LEVELS = 7
_FEWEST_WEIGHTS = 64


def four_bit(content: bytes, format: Format) -> bytes:
    """Returns the file with every float32 weight tensor on 15 levels, symmetric about 0, with one scale per tensor.

    Raises:
        TargetError: a package that is needed to edit the file is not installed.
    """
    return _four_bit_tflite(content) if format is Format.TFLITE else _four_bit_onnx(content)


def _rounded(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # Some are empty, such as the region of an ONNX resize.
    step = float(np.abs(weights).max()) / _LEVELS if weights.size >= _FEWEST_WEIGHTS else 0.0
    if step == 0:
        return weights
    return (np.round(weights / np.float32(step)) * np.float32(step)).astype(np.float32)


def _four_bit_tflite(content: bytes) -> bytes:
    model = read_model(content)
    for tensor in model.subgraphs[0].tensors:
        data = constant(model, tensor)
        if dtype_name(tensor) == "float32" and data is not None:
            model.buffers[tensor.buffer].data = _rounded(data.view(np.float32)).view(np.uint8)
    return write_model(model)


def _four_bit_onnx(content: bytes) -> bytes:
    model = load_model(content)
    for tensor in model.graph.initializer:
        values = array(tensor)
        if values.dtype == np.float32:
            replace_array(tensor, _rounded(values))
    return bytes(model.SerializeToString())
