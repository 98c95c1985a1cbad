"""Float16: weights in half precision; the arithmetic is the runtime's, float32 on CPUs."""

from __future__ import annotations

from pocketvae.export.convert import onnx, tflite
from pocketvae.export.precisions.base import Made, PrecisionExport
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format, Precision


class Float16Export(PrecisionExport):
    """See `PrecisionExport`."""

    rounds_to_half = True
    timed_as = Precision.FLOAT32

    def make(self, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
        """See `PrecisionExport.make`."""
        if spec.format is Format.TFLITE:
            return Made(content=tflite.convert_float16(source.graph()))
        content = onnx.convert_float16(source.float32(Format.ONNX))
        return Made(content=content, notes=("float16 weights, float32 arithmetic",))


EXPORT = Float16Export()
