"""Making of one artifact: the conversion for every precision and format, with notes on the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pocketvae.bundle.manifest import ArtifactRecord, FileRecord, RewriteRecord
from pocketvae.export.convert import merge, noise_onnx, noise_tflite, tflite
from pocketvae.export.convert import onnx as onnx_convert
from pocketvae.export.convert.interfaces import show
from pocketvae.export.quantize.budgets import LimitRules
from pocketvae.export.quantize.dynamic import quantize_within_budget
from pocketvae.export.quantize.measured import error_ratio_of, error_ratio_of_outputs, kernel_spread
from pocketvae.export.quantize.quantizers import is_searched
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.searched import Searched, search_artifact, short_name
from pocketvae.export.quantize.source import FloatArray, Source
from pocketvae.export.rewrite_choice import Decision, decide, settle
from pocketvae.formats.layers import read_layers
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.lint import lint
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One exported file before it is written.

    Attributes:
        content: The file's bytes.
        record: What the manifest says of it.
        error_ratio: Largest ratio of an error on the goldens to its limit; above 1, verify will fail.
        golden_outputs: Its outputs `[N, ...]` for the goldens, by name.
        recipe: What makes it again, where its quantization was searched for.
    """

    content: bytes
    record: ArtifactRecord
    error_ratio: float
    golden_outputs: dict[str, FloatArray]
    recipe: Recipe | None


def make_artifact(spec: ArtifactSpec, source: Source, rules: LimitRules, batches: tuple[int, ...] = (1,)) -> Artifact:
    """Converts one component to one precision and format and measures it on the goldens.

    Args:
        spec: The artifact to make.
        source: The source to make it from.
        rules: What it is held to.
        batches: Batch sizes that it must support.

    Raises:
        ExportError: the conversion failed.
    """
    made = _made(replace(spec, image_dtype=ImageDtype.FLOAT32), source, rules.for_network(spec))
    shown = show(made.content, spec, source.vae, batches)
    with open_runner(shown.content, spec.format) as runner:
        inputs, outputs = tuple(runner.inputs.values()), tuple(runner.outputs.values())
        found = runner.run_samples(source.golden_inputs, source.vae.image_range)
    # Measured before rounding to pixels, which would turn the smallest difference into a whole step.
    spread = kernel_spread(spec.format, made.content, source) if spec.precision.is_float else {}
    record = ArtifactRecord(
        component=spec.component,
        precision=spec.precision,
        format=spec.format,
        image_dtype=spec.image_dtype,
        file=FileRecord.of(spec.filename, shown.content),
        inputs=_in_order(inputs, source.golden_inputs),
        outputs=_in_order(outputs, source.golden_outputs),
        batches=shown.batches,
        tolerances=rules.for_artifact(spec, spread),
        notes=(*made.notes, *shown.notes),
        rewrites=_rewrites(spec, source),
        requires=oldest_runtime(spec.format, shown.content),
        portability=lint(spec.format, shown.content),
        layers=read_layers(spec.format, shown.content),
        search=made.searched.record if made.searched else None,
    )
    return Artifact(
        content=shown.content,
        record=record,
        error_ratio=error_ratio_of_outputs(found, source, record.tolerances),
        golden_outputs=found,
        recipe=made.searched.recipe if made.searched else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A file with its notes and how its quantization was found."""

    content: bytes
    notes: tuple[str, ...]
    searched: Searched | None = None


def _rewrites(spec: ArtifactSpec, source: Source) -> tuple[RewriteRecord, ...]:
    if not spec.component.is_composed:
        return decide(spec, source).records
    decoder = source.parts.get(Component.DECODER)
    return decide(replace(spec, component=Component.DECODER), decoder).records if decoder else ()


def _in_order(tensors: tuple[TensorSpec, ...], names: Iterable[str]) -> tuple[TensorSpec, ...]:
    order = {name: index for index, name in enumerate(names)}
    return tuple(sorted(tensors, key=lambda tensor: order.get(tensor.name, len(order))))


def _made(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> _Made:
    """Returns an artifact's content and notes, made once: a generator reuses the decoder that was made before."""
    if spec.filename not in source.cache:
        make = _compose if spec.component.is_composed else _convert
        source.cache[spec.filename] = make(spec, source, tolerances)
    made: _Made = source.cache[spec.filename]
    return made


def _compose(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> _Made:
    if spec.component is Component.SAMPLER:
        return _sampler(spec, source)
    latent = replace(spec, component=Component.SAMPLER, precision=Precision.FLOAT32)
    sampler = _made(latent, source.parts[Component.SAMPLER], ())
    image = replace(spec, component=Component.DECODER)
    decoder = _decoder(image, source, tolerances)
    content = merge.merge(spec.format, sampler.content, decoder.content, "z")
    notes = (f"{latent.filename} and {image.filename} in one file", *decoder.notes)
    return _Made(content=content, notes=notes)


def _decoder(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> _Made:
    """Returns the decoder's file, or a better one if its search only met the budget on its own goldens."""
    decoder = source.parts[Component.DECODER]
    made = _made(spec, decoder, tolerances)
    latents = {**source.golden_inputs, **source.parts[Component.SAMPLER].golden_outputs}
    inputs = {name: latents[name] for name in decoder.golden_inputs}
    here = replace(
        decoder,
        golden_inputs=inputs,
        golden_outputs=source.golden_outputs,
        golden_strata=source.golden_strata,
        observed=None,
    )
    may_change = spec.precision in (Precision.INT8, Precision.DYNAMIC_INT8)
    if not may_change or error_ratio_of(spec.format, made.content, here, tolerances) <= 1:
        return made
    anew = _convert(spec, here, tolerances)
    return replace(anew, notes=("quantized again for the latents of seeds", *anew.notes))


def _sampler(spec: ArtifactSpec, source: Source) -> _Made:
    prior = source.parts.get(Component.PRIOR)
    output = "eps" if prior else "z"
    if spec.format is Format.TFLITE:
        content = tflite.convert_float32(noise_tflite.build_noise(source.vae.eps_dim, output))
    else:
        content = noise_onnx.build_noise(source.vae.eps_dim, output)
    if prior:
        behind = _made(replace(spec, component=Component.PRIOR), prior, ())
        content = merge.merge(spec.format, content, behind.content, output)
    return _Made(content=content, notes=("noise bit-identical in every runtime",))


def _convert(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> _Made:
    decision = decide(spec, source)
    source = replace(source, steps=decision.steps)
    graph = source.graph()
    notes = (
        [f"number of depth-to-space fused into one operator: {graph.fused_shuffles}"] if graph.fused_shuffles else []
    )
    if is_searched(spec.precision):
        searched, decision = _search(spec, source, tolerances, decision)
        notes += [*searched.notes, *filter(None, [decision.note()])]
        return _Made(content=searched.content, notes=tuple(notes), searched=searched)
    key = spec.format, spec.precision
    if key == (Format.TFLITE, Precision.FLOAT32):
        content = source.float32(Format.TFLITE)
    elif key == (Format.TFLITE, Precision.FLOAT16):
        content = tflite.convert_float16(graph)
    elif spec.precision is Precision.DYNAMIC_INT8:
        content, kept = quantize_within_budget(spec.format, source, tolerances)
        if kept:
            notes.append(
                f"weights kept in float to meet the budget: {', '.join(sorted(short_name(name) for name in kept))}"
            )
    elif key == (Format.TFLITE, Precision.INT16X8):
        # TFLite has no 16-bit depth-to-space, so this one has reshape, transpose, reshape.
        notes.clear()
        content = tflite.convert_int16x8(source.graph(fuse=False), source.calibration)
    elif key == (Format.ONNX, Precision.FLOAT32):
        content = source.float32(Format.ONNX)
    elif key == (Format.ONNX, Precision.FLOAT16):
        content = onnx_convert.convert_float16(source.float32(Format.ONNX))
        notes.append("float16 weights, float32 arithmetic")
    else:
        raise AssertionError(f"no conversion makes {spec.filename}")
    return _Made(content=content, notes=(*notes, *filter(None, [decision.note()])))


def _search(
    spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...], decision: Decision
) -> tuple[Searched, Decision]:
    """Searches for the quantization of the rewritten graph, and of the stock graph if necessary.

    The rewrites were timed with every layer in integers. If the search keeps some in float, the conversions between
    integers and floats can cost more than a rewrite gained.
    """
    recipe = source.recipes.get(spec.filename)
    searched = search_artifact(spec, source, tolerances, recipe)
    if recipe is not None or not (decision.is_measured and searched.recipe.float_layers):
        return searched, decision
    stock = search_artifact(spec, replace(source, steps=()), tolerances)
    settled = settle(spec, source, decision, rewritten=searched, stock=stock)
    return (searched if settled.steps else stock), settled
