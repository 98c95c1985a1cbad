"""Int8: weights and activations in 8 bits with a float interface; layers stay in float where the budget needs it."""

from __future__ import annotations

from pocketvae.export.precisions.base import Made, PixelBudget, PrecisionExport, few_samples
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize import tflite as tflite_quantize
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.searched import search_artifact
from pocketvae.export.quantize.source import Source
from pocketvae.export.quantize.tflite_relus import with_relus_as_scales
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format


class Int8Export(PrecisionExport):
    """See `PrecisionExport`."""

    pixel_budget = PixelBudget(p99_steps=4.0, mean_steps=1.0)
    has_float_means = False
    may_differ_in_generator = True
    integer_only = False

    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """See `PrecisionExport.make`."""
        recipe = source.recipes.get(spec.filename)
        searched = search_artifact(spec, source, tolerances, recipe, integer_only=self.integer_only)
        return Made(content=searched.content, notes=searched.notes, searched=searched)

    def make_plain(self, format: Format, source: Source) -> bytes:
        """See `PrecisionExport.make_plain`."""
        few = few_samples(source)
        if format is Format.TFLITE:
            content = tflite_quantize.quantize(tflite_quantize.calibrate(source.graph(), few), QuantizationPlan())
            return with_relus_as_scales(content)
        calibrated = onnx_quantize.calibrate(source.float32(Format.ONNX), few)
        return onnx_quantize.quantize_static(calibrated, QuantizationPlan())


EXPORT = Int8Export()
