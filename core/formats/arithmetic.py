"""How much of a file computes in integers, read from the file itself."""

from __future__ import annotations

from pocketvae.integer_share import IntegerShare
from pocketvae.spec import Format


def read_integer_share(format: Format, content: bytes) -> IntegerShare:
    """Returns how much of a TFLite or ONNX file computes in integers, for one sample.

    Raises:
        ManifestError: the file is damaged.
        TargetError: the package that reads the format is missing.
    """
    if format is Format.TFLITE:
        from pocketvae.formats.tflite.arithmetic import read_tflite_computations

        return IntegerShare.of(read_tflite_computations(content))
    from pocketvae.formats.onnx.arithmetic import read_onnx_computations

    return IntegerShare.of(read_onnx_computations(content))
