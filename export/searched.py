"""Artifacts whose quantization is searched for: int8 with calibrated ranges, in both formats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pocketvae.export import onnx_quantize, tflite
from pocketvae.export.measured import excess_of, run_content
from pocketvae.export.search import QuantizationPlan, Trial, search_quantization, tune_ranges
from pocketvae.export.source import Source
from pocketvae.manifest import Tolerance
from pocketvae.spec import Format


def search_tflite(
    source: Source, tolerances: tuple[Tolerance, ...], notes: list[str], *, integer_interface: bool = False
) -> bytes:
    """Returns the int8 file, and adds to `notes` what was found."""
    calibrated = _calibrated(source)

    def attempt(plan: QuantizationPlan) -> Trial:
        content = tflite.quantize(calibrated, plan, integer_interface=integer_interface)
        return _measure(Format.TFLITE, content, plan, source, tolerances)

    # An integer interface is for devices without floats, so there every layer stays quantized.
    search = tune_ranges if integer_interface else search_quantization
    layers = tflite.weighted_layers(calibrated)
    best = search(layers, attempt)
    return _describe(best, tflite.float_layers(best.content), sum(layers.values()), notes)


def search_onnx(source: Source, tolerances: tuple[Tolerance, ...], notes: list[str]) -> bytes:
    """Returns the int8 file, and adds to `notes` what was found."""
    float32 = source.float32(Format.ONNX)
    ranges = onnx_quantize.activation_ranges(float32, source.calibration)

    def attempt(plan: QuantizationPlan) -> Trial:
        content = onnx_quantize.quantize_static(float32, source.calibration, ranges, plan)
        return _measure(Format.ONNX, content, plan, source, tolerances)

    layers = onnx_quantize.weighted_layers(float32)
    best = search_quantization(layers, attempt)
    kept = {name: layers[name] for name in best.plan.float_layers}
    return _describe(best, kept, sum(layers.values()), notes)


def _describe(best: Trial, kept: Mapping[str, int], weights: int, notes: list[str]) -> bytes:
    plan = best.plan
    if kept:
        share = sum(kept.values()) / weights
        names = ", ".join(sorted(_short(name) for name in kept))
        notes.append(f"kept in float to hold the budget: {names} ({share:.1%} of the weights)")
    else:
        notes.append("all layers with weights are quantized")
    if plan.range_scales:
        scales = ", ".join(f"{_short(name)} {scale:.0%}" for name, scale in sorted(plan.range_scales.items()))
        notes.append(f"integers cover part of the calibrated range: {scales}")
    return best.content


def _short(layer: str) -> str:
    # The converters name a fused layer by all its parts; the first two tell which layer it is.
    return "/".join(layer.split(";")[0].split("/")[:2])


def _calibrated(source: Source) -> bytes:
    return source.once("calibrated", lambda: tflite.calibrate(source.graph(), source.calibration))


def _measure(
    format: Format, content: bytes, plan: QuantizationPlan, source: Source, tolerances: tuple[Tolerance, ...]
) -> Trial:
    inputs, expected = source.tuning()
    outputs = run_content(format, content, inputs)
    squares = [np.mean(np.square(outputs[name] - expected[name], dtype=np.float64)) for name in expected]
    return Trial(
        plan=plan,
        content=content,
        rmse=float(np.sqrt(np.mean(squares))),
        excess=excess_of(format, content, source, tolerances),
    )
