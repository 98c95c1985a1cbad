"""Int16x8: activations in 16 bits, weights in 8."""

from __future__ import annotations

import numpy as np

from pocketvae.export.convert import tflite
from pocketvae.export.convert.operators import refuse_wrong_int16
from pocketvae.export.original.goldens import thinned
from pocketvae.export.precisions.base import Made, PixelBudget, PrecisionExport, few_samples
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.source import Source
from pocketvae.export.quantize.tflite_biases import mean_sums, with_corrected_biases
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import ArtifactSpec, Format
from pocketvae.vae_spec import DataKind

_MEAN_SAMPLES = 256


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
        return Made(content=_corrected(content, source))

    def make_plain(self, format: Format, source: Source) -> bytes:
        """See `PrecisionExport.make_plain`."""
        if format is Format.ONNX:
            return onnx_quantize.quantize_int16x8(source.float32(Format.ONNX), few_samples(source))
        return tflite.convert_int16x8(source.graph(fuse=False), few_samples(source))


def _corrected(content: bytes, source: Source) -> bytes:
    """Returns a file of a sequence or vector whose biases take off what rounded weights add, if it is better.

    Of images, whose kernels in 16 bits are slow, these means would take longer than all the rest.
    """
    if source.vae.data in (DataKind.IMAGE, DataKind.VOLUME):
        return content
    samples = thinned(source.calibration, _MEAN_SAMPLES)
    exact = source.float32(Format.TFLITE, fuse=False)
    expected = run_content(Format.TFLITE, exact, samples)

    def error(file: bytes) -> float:
        found = run_content(Format.TFLITE, file, samples)
        return sum(float(np.mean(np.square(found[name] - values))) for name, values in expected.items())

    return min(content, with_corrected_biases(content, mean_sums(exact, samples), samples), key=error)


EXPORT = Int16x8Export()
