"""Int16x8: activations in 16 bits, weights in 8."""

from __future__ import annotations

from pocketvae.export.convert import tflite
from pocketvae.export.convert.operators import refuse_wrong_int16
from pocketvae.export.precisions.base import Made, PixelBudget, PrecisionExport, few_samples
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format


class Int16x8Export(PrecisionExport):
    """See `PrecisionExport`."""

    pixel_budget = PixelBudget(p99_steps=4.0, mean_steps=1.0)
    # TFLite has no 16-bit depth-to-space, so a file has reshape, transpose, reshape.
    has_depth_to_space = False
    has_float_means = False
    keeps_floats = False

    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """See `PrecisionExport.make`."""
        if spec.format is Format.ONNX:
            return Made(content=onnx_quantize.quantize_int16x8(source.float32(Format.ONNX), source.calibration))
        content = tflite.convert_int16x8(source.graph(fuse=False), source.calibration)
        refuse_wrong_int16(content)
        return Made(content=content)

    def make_plain(self, format: Format, source: Source) -> bytes:
        """See `PrecisionExport.make_plain`."""
        if format is Format.ONNX:
            return onnx_quantize.quantize_int16x8(source.float32(Format.ONNX), few_samples(source))
        return tflite.convert_int16x8(source.graph(fuse=False), few_samples(source))


EXPORT = Int16x8Export()
