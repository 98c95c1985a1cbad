"""Making one artifact: the recipe of every precision and format, with what has to be said about the result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export import onnx_convert, onnx_quantize, tflite
from pocketvae.export.graphs import Graph, build_graph
from pocketvae.export.search import Trial, search_float_layers
from pocketvae.manifest import Tolerance
from pocketvae.metrics import measure
from pocketvae.runners import open_runner, run_samples
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, TensorSpec, VaeSpec

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the artifacts of one component are made from.

    Attributes:
        component: Which part of the VAE.
        model: The original Keras model.
        vae: Gives the interface.
        calibration: `[N, ...] float32` samples that fix activation ranges.
        golden_inputs: `[N, ...] float32`.
        golden_outputs: Output name to `[N, ...] float32`, from the original.
    """

    component: Component
    model: Any
    vae: VaeSpec
    calibration: FloatArray
    golden_inputs: FloatArray
    golden_outputs: dict[str, FloatArray]
    cache: dict[str, Any] = field(default_factory=dict, compare=False)

    def graph(self, *, fuse: bool = True) -> Graph:
        """Returns the component's graph, built once."""
        key = f"graph-{fuse}"
        if key not in self.cache:
            self.cache[key] = build_graph(self.component, self.model, self.vae, fuse=fuse)
        graph: Graph = self.cache[key]
        return graph

    def once(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns what `make` made the first time it was asked for under `key`."""
        if key not in self.cache:
            self.cache[key] = make()
        content: bytes = self.cache[key]
        return content


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One exported file before it is written.

    Attributes:
        content: The file's bytes.
        inputs: As a caller sees them.
        outputs: As a caller sees them.
        notes: What is special about it, in words.
        excess: Largest ratio of an error on the goldens to its limit; above 1, verify will fail.
    """

    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    excess: float


def make_artifact(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Artifact:
    """Converts one component to one precision and format and measures it on the goldens.

    Raises:
        ExportError: the conversion failed.
    """
    content, notes = _convert(spec, source, tolerances)
    with _runner(spec.format, content) as runner:
        inputs, outputs = tuple(runner.inputs.values()), tuple(runner.outputs.values())
    order = {name: index for index, name in enumerate(source.golden_outputs)}
    return Artifact(
        content=content,
        inputs=inputs,
        outputs=tuple(sorted(outputs, key=lambda output: order.get(output.name, len(order)))),
        notes=notes,
        excess=_excess(spec.format, content, source, tolerances),
    )


def _convert(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> tuple[bytes, tuple[str, ...]]:
    graph = source.graph()
    notes = [f"depth-to-space as one operator in {graph.fused_shuffles} places"] if graph.fused_shuffles else []
    key = spec.format, spec.precision
    if key == (Format.TFLITE, Precision.FLOAT32):
        content = tflite.convert_float32(graph)
    elif key == (Format.TFLITE, Precision.FLOAT16):
        content = tflite.convert_float16(graph)
    elif key == (Format.TFLITE, Precision.DYNAMIC_INT8):
        content = tflite.convert_dynamic_int8(graph)
    elif key == (Format.TFLITE, Precision.INT16X8):
        # TFLite has no 16-bit depth-to-space, so this one keeps reshape, transpose, reshape.
        notes.clear()
        content = tflite.convert_int16x8(source.graph(fuse=False), source.calibration)
    elif key == (Format.TFLITE, Precision.INT8_IO):
        content = tflite.quantize(_calibrated(source), integer_interface=True)
    elif key == (Format.TFLITE, Precision.INT8):
        content = _search_tflite(source, tolerances, notes)
    elif key == (Format.ONNX, Precision.FLOAT32):
        content = _onnx_float32(source)
    elif key == (Format.ONNX, Precision.FLOAT16):
        content = onnx_convert.convert_float16(_onnx_float32(source))
        notes.append("weights in half precision, arithmetic in float32")
    elif key == (Format.ONNX, Precision.DYNAMIC_INT8):
        content = onnx_quantize.quantize_dynamic(_onnx_float32(source))
    else:
        content = _search_onnx(source, tolerances, notes)
    return content, tuple(notes)


def _calibrated(source: Source) -> bytes:
    return source.once("calibrated", lambda: tflite.calibrate(source.graph(), source.calibration))


def _onnx_float32(source: Source) -> bytes:
    return source.once("onnx", lambda: onnx_convert.convert_float32(source.graph()))


def _search_tflite(source: Source, tolerances: tuple[Tolerance, ...], notes: list[str]) -> bytes:
    calibrated = _calibrated(source)

    def attempt(float_layers: tuple[str, ...]) -> Trial[bytes]:
        content = tflite.quantize(calibrated, float_layers=float_layers)
        excess = _excess(Format.TFLITE, content, source, tolerances)
        return Trial(float_layers=float_layers, artifact=content, excess=excess)

    return _search(tflite.weighted_layers(calibrated), attempt, notes)


def _search_onnx(source: Source, tolerances: tuple[Tolerance, ...], notes: list[str]) -> bytes:
    float32, name = _onnx_float32(source), source.graph().input_name

    def attempt(float_layers: tuple[str, ...]) -> Trial[bytes]:
        content = onnx_quantize.quantize_static(float32, name, source.calibration, float_layers=float_layers)
        excess = _excess(Format.ONNX, content, source, tolerances)
        return Trial(float_layers=float_layers, artifact=content, excess=excess)

    return _search(onnx_quantize.weighted_layers(float32), attempt, notes)


def _search(
    layers: Mapping[str, int], attempt: Callable[[tuple[str, ...]], Trial[bytes]], notes: list[str]
) -> bytes:
    best = search_float_layers(layers, attempt)
    if best.float_layers:
        # The converters name a fused layer by all its parts; the first two tell which layer it is.
        short = sorted({"/".join(name.split(";")[0].split("/")[:2]) for name in best.float_layers})
        share = sum(layers[name] for name in best.float_layers) / sum(layers.values())
        notes.append(f"kept in float to hold the budget: {', '.join(short)} ({share:.1%} of the weights)")
    else:
        notes.append("all layers with weights are quantized")
    return best.artifact


def _runner(format: Format, content: bytes) -> Any:
    with tempfile.NamedTemporaryFile(suffix=f".{format}") as file:
        file.write(content)
        file.flush()
        return open_runner(Path(file.name), format)


def _excess(format: Format, content: bytes, source: Source, tolerances: tuple[Tolerance, ...]) -> float:
    with _runner(format, content) as runner:
        outputs = run_samples(runner, {source.graph().input_name: source.golden_inputs})
    ratios = [measure(tolerance, source.golden_outputs, outputs) / tolerance.limit for tolerance in tolerances]
    # max() of a list with NaN depends on its order; a NaN must never look like a pass.
    return float("inf") if any(np.isnan(ratios)) else max(ratios)
