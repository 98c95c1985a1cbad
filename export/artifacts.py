"""Making one artifact: the recipe of every precision and format, with what has to be said about the result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export import joins, noise_onnx, noise_tflite, onnx_convert, onnx_quantize, tflite
from pocketvae.export.goldens import NoiseFloor, Original
from pocketvae.export.graphs import Graph, build_graph
from pocketvae.export.rewrites.catalogue import apply_steps
from pocketvae.export.rewrites.choice import decide
from pocketvae.export.rewrites.names import NONE, RewriteChoice, Step
from pocketvae.export.search import QuantizationPlan, Trial, search_quantization, tune_ranges
from pocketvae.manifest import RewriteRecord, Tolerance
from pocketvae.metrics import measure
from pocketvae.runners import open_runner, run_samples
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, TensorSpec, VaeSpec

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]

_TUNING_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the artifacts of one component are made from.

    Attributes:
        component: Which part of the VAE.
        model: The original Keras model.
        vae: Gives the interface.
        calibration: Input name to `[N, ...]` samples that fix activation ranges.
        golden_inputs: Input name to `[N, ...]`.
        golden_outputs: Output name to `[N, ...] float32`, from the original.
        parts: The sources of the components that this one is joined from.
        floor: Of the original; None for components that are composed.
        rewrites: Which may be tried.
        steps: Which rewrites the graph has.
    """

    component: Component
    model: Any
    vae: VaeSpec
    calibration: Inputs
    golden_inputs: Inputs
    golden_outputs: dict[str, FloatArray]
    parts: Mapping[Component, Source] = field(default_factory=dict)
    floor: NoiseFloor | None = None
    rewrites: RewriteChoice = NONE
    steps: tuple[Step, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict, compare=False)

    def graph(self, *, fuse: bool = True) -> Graph:
        """Returns the component's graph, built once."""
        key = f"graph-{fuse}-{self.steps}"
        if key not in self.cache:
            stock = build_graph(self.component, self.model, self.vae, fuse=fuse)
            self.cache[key] = apply_steps(stock, self.steps).graph if self.steps else stock
        graph: Graph = self.cache[key]
        return graph

    def float32(self, format: Format, *, fuse: bool = True) -> bytes:
        """Returns the component in float32, converted once."""
        convert = onnx_convert.convert_float32 if format is Format.ONNX else tflite.convert_float32
        return self.once(f"float32-{format}-{fuse}", lambda: convert(self.graph(fuse=fuse)))

    def tuning(self) -> tuple[Inputs, dict[str, FloatArray]]:
        """Returns some calibration samples and the original's outputs for them: choices are not made on goldens."""
        if "tuning" not in self.cache:
            count = len(next(iter(self.calibration.values())))
            chosen = slice(None, None, max(1, count // _TUNING_SAMPLES))
            inputs = {name: values[chosen] for name, values in self.calibration.items()}
            original = Original(self.component, self.model, self.vae)
            self.cache["tuning"] = inputs, original.golden_outputs(inputs)
        tuning: tuple[Inputs, dict[str, FloatArray]] = self.cache["tuning"]
        return tuning

    def once(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns what `make` made of the same rewrites the first time it was asked for under `key`."""
        key = f"{key}-{self.steps}"
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
        rewrites: Those that were tried.
        excess: Largest ratio of an error on the goldens to its limit; above 1, verify will fail.
    """

    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    rewrites: tuple[RewriteRecord, ...]
    excess: float


def make_artifact(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Artifact:
    """Converts one component to one precision and format and measures it on the goldens.

    Raises:
        ExportError: the conversion failed.
    """
    content, notes = _made(spec, source, tolerances)
    with _runner(spec.format, content) as runner:
        inputs, outputs = tuple(runner.inputs.values()), tuple(runner.outputs.values())
    return Artifact(
        content=content,
        inputs=_in_order(inputs, source.golden_inputs),
        outputs=_in_order(outputs, source.golden_outputs),
        notes=notes,
        rewrites=_rewrites(spec, source),
        excess=_excess(spec.format, content, source, tolerances),
    )


def _rewrites(spec: ArtifactSpec, source: Source) -> tuple[RewriteRecord, ...]:
    if not spec.component.is_composed:
        return decide(spec, source).records
    decoder = source.parts.get(Component.DECODER)
    return decide(replace(spec, component=Component.DECODER), decoder).records if decoder else ()


def _in_order(tensors: tuple[TensorSpec, ...], names: Iterable[str]) -> tuple[TensorSpec, ...]:
    order = {name: index for index, name in enumerate(names)}
    return tuple(sorted(tensors, key=lambda tensor: order.get(tensor.name, len(order))))


def _made(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> tuple[bytes, tuple[str, ...]]:
    """Returns an artifact's content and notes, made once: a generator takes over the decoder that was made before."""
    if spec.filename not in source.cache:
        make = _compose if spec.component.is_composed else _convert
        source.cache[spec.filename] = make(spec, source, tolerances)
    made: tuple[bytes, tuple[str, ...]] = source.cache[spec.filename]
    return made


def _compose(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> tuple[bytes, tuple[str, ...]]:
    if spec.component is Component.SAMPLER:
        return _sampler(spec, source)
    latent = replace(spec, component=Component.SAMPLER, precision=Precision.FLOAT32)
    sampler, _ = _made(latent, source.parts[Component.SAMPLER], ())
    image = replace(spec, component=Component.DECODER)
    decoder, notes = _decoder(image, source, tolerances)
    content = joins.join(spec.format, sampler, decoder, "z")
    return content, (f"{latent.filename} and {image.filename} in one file", *notes, _oldest_runtime(spec, content))


def _decoder(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> tuple[bytes, tuple[str, ...]]:
    """Returns the decoder's own file, or, where its search held the budget on its own goldens alone, a better one."""
    decoder = source.parts[Component.DECODER]
    content, notes = _made(spec, decoder, tolerances)
    latents = {**source.golden_inputs, **source.parts[Component.SAMPLER].golden_outputs}
    inputs = {name: latents[name] for name in decoder.golden_inputs}
    here = replace(decoder, golden_inputs=inputs, golden_outputs=source.golden_outputs)
    if spec.precision is not Precision.INT8 or _excess(spec.format, content, here, tolerances) <= 1:
        return content, notes
    content, notes = _convert(spec, here, tolerances)
    return content, ("quantized anew for the latents of seeds", *notes)


def _sampler(spec: ArtifactSpec, source: Source) -> tuple[bytes, tuple[str, ...]]:
    prior = source.parts.get(Component.PRIOR)
    output = "eps" if prior else "z"
    if spec.format is Format.TFLITE:
        content = tflite.convert_float32(noise_tflite.build_noise(source.vae.eps_dim, output))
    else:
        content = noise_onnx.build_noise(source.vae.eps_dim, output)
    notes = ["noise bit-identical in every runtime"]
    if prior:
        behind, _ = _made(replace(spec, component=Component.PRIOR), prior, ())
        content = joins.join(spec.format, content, behind, output)
    return content, (*notes, _oldest_runtime(spec, content))


def _oldest_runtime(spec: ArtifactSpec, content: bytes) -> str:
    if spec.format is Format.ONNX:
        return f"needs operator set {noise_onnx.OPSET}: onnxruntime {noise_onnx.OLDEST_RUNTIME} or newer"
    return f"needs TensorFlow Lite {joins.oldest_tflite(content)} or newer"


def _convert(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> tuple[bytes, tuple[str, ...]]:
    decision = decide(spec, source)
    source = replace(source, steps=decision.steps)
    graph = source.graph()
    notes = [f"depth-to-space as one operator in {graph.fused_shuffles} places"] if graph.fused_shuffles else []
    key = spec.format, spec.precision
    if key == (Format.TFLITE, Precision.FLOAT32):
        content = source.float32(Format.TFLITE)
    elif key == (Format.TFLITE, Precision.FLOAT16):
        content = tflite.convert_float16(graph)
    elif key == (Format.TFLITE, Precision.DYNAMIC_INT8):
        content = tflite.convert_dynamic_int8(graph)
    elif key == (Format.TFLITE, Precision.INT16X8):
        # TFLite has no 16-bit depth-to-space, so this one keeps reshape, transpose, reshape.
        notes.clear()
        content = tflite.convert_int16x8(source.graph(fuse=False), source.calibration)
    elif key == (Format.TFLITE, Precision.INT8_IO):
        content = _search_tflite(source, tolerances, notes, integer_interface=True)
    elif key == (Format.TFLITE, Precision.INT8):
        content = _search_tflite(source, tolerances, notes)
    elif key == (Format.ONNX, Precision.FLOAT32):
        content = source.float32(Format.ONNX)
    elif key == (Format.ONNX, Precision.FLOAT16):
        content = onnx_convert.convert_float16(source.float32(Format.ONNX))
        notes.append("weights in half precision, arithmetic in float32")
    elif key == (Format.ONNX, Precision.DYNAMIC_INT8):
        content = onnx_quantize.quantize_dynamic(source.float32(Format.ONNX))
    else:
        content = _search_onnx(source, tolerances, notes)
    return content, (*notes, *filter(None, [decision.note()]))


def _calibrated(source: Source) -> bytes:
    return source.once("calibrated", lambda: tflite.calibrate(source.graph(), source.calibration))


def _search_tflite(
    source: Source, tolerances: tuple[Tolerance, ...], notes: list[str], *, integer_interface: bool = False
) -> bytes:
    calibrated = _calibrated(source)

    def attempt(plan: QuantizationPlan) -> Trial:
        content = tflite.quantize(calibrated, plan, integer_interface=integer_interface)
        return _measure(Format.TFLITE, content, plan, source, tolerances)

    # An integer interface is for devices without floats, so there every layer stays quantized.
    search = tune_ranges if integer_interface else search_quantization
    layers = tflite.weighted_layers(calibrated)
    best = search(layers, attempt)
    return _describe(best, tflite.float_layers(best.content), sum(layers.values()), notes)


def _search_onnx(source: Source, tolerances: tuple[Tolerance, ...], notes: list[str]) -> bytes:
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


def _measure(
    format: Format, content: bytes, plan: QuantizationPlan, source: Source, tolerances: tuple[Tolerance, ...]
) -> Trial:
    inputs, expected = source.tuning()
    outputs = _run(format, content, inputs)
    squares = [np.mean(np.square(outputs[name] - expected[name], dtype=np.float64)) for name in expected]
    return Trial(
        plan=plan,
        content=content,
        rmse=float(np.sqrt(np.mean(squares))),
        excess=_excess(format, content, source, tolerances),
    )


def _runner(format: Format, content: bytes) -> Any:
    with tempfile.NamedTemporaryFile(suffix=f".{format}") as file:
        file.write(content)
        file.flush()
        return open_runner(Path(file.name), format)


def _run(format: Format, content: bytes, inputs: Inputs) -> dict[str, FloatArray]:
    with _runner(format, content) as runner:
        return run_samples(runner, inputs)


def _excess(format: Format, content: bytes, source: Source, tolerances: tuple[Tolerance, ...]) -> float:
    outputs = _run(format, content, source.golden_inputs)
    ratios = [_ratio(measure(tolerance, source.golden_outputs, outputs), tolerance.limit) for tolerance in tolerances]
    # max() of a list with NaN depends on its order; a NaN must never look like a pass.
    return float("inf") if any(np.isnan(ratios)) else max(ratios)


def _ratio(value: float, limit: float) -> float:
    if limit > 0:
        return value / limit
    return 0.0 if value == 0 else float("inf")
