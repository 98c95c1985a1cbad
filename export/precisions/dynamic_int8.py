"""Dynamic int8: weights in 8 bits, activations in float that are quantized while the network runs."""

from __future__ import annotations

from pocketvae.export.convert import tflite
from pocketvae.export.precisions.base import Made, PixelBudget, PrecisionExport
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize.dynamic import quantize_within_budget
from pocketvae.export.quantize.source import Source
from pocketvae.layer_precision import short_layer_name
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format


class DynamicInt8Export(PrecisionExport):
    """See `PrecisionExport`."""

    pixel_budget = PixelBudget(p99_steps=4.0, mean_steps=1.0)
    may_differ_in_generator = True

    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """See `PrecisionExport.make`."""
        content, kept = quantize_within_budget(spec.format, source, tolerances)
        names = ", ".join(sorted(short_layer_name(name) for name in kept))
        return Made(content=content, notes=(f"weights kept in float to meet the budget: {names}",) if kept else ())

    def make_plain(self, format: Format, source: Source) -> bytes:
        """See `PrecisionExport.make_plain`."""
        if format is Format.TFLITE:
            return tflite.convert_dynamic_int8(source.graph())
        return onnx_quantize.quantize_dynamic(source.float32(Format.ONNX))

    def mixes_samples(self, format: Format) -> bool:
        """See `PrecisionExport.mixes_samples`: ONNX determines the range of activations over all samples of a call."""
        return format is Format.ONNX


EXPORT = DynamicInt8Export()
