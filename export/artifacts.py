"""Making of one artifact: the conversion for every precision and format, with notes on the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pocketvae.bundle.manifest import ArtifactRecord, FileRecord, RewriteRecord
from pocketvae.errors import ExportError, RuledOutError
from pocketvae.export import scorer
from pocketvae.export.budgets import LimitRules
from pocketvae.export.convert import merge, noise_onnx, noise_tflite, tflite
from pocketvae.export.convert.interfaces import show
from pocketvae.export.precisions.base import Made
from pocketvae.export.precisions.registry import export_of
from pocketvae.export.quantize.measured import error_ratio_of, error_ratio_of_outputs, kernel_spread, taken
from pocketvae.export.quantize.npu_form import npu_form
from pocketvae.export.quantize.recipe import Recipe
from pocketvae.export.quantize.source import FloatArray, Source
from pocketvae.export.rewrite_choice import Decision, decide, settle
from pocketvae.export.unusual import overflow_note
from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.formats.layers import read_layers
from pocketvae.formats.tflite.unread import without_unread
from pocketvae.numerics.ceilings import HALF_MAX
from pocketvae.numerics.latents import code_counts
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.chips import npus_of
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
    if export_of(spec.precision).rounds_to_half and rules.floor.overflow:
        raise RuledOutError(
            f"half precision ends at {HALF_MAX:.0f}: with weights rounded to it, {rules.floor.overflow} of the "
            f"original returns values that are not finite"
        )
    made = _whole(replace(spec, image_dtype=ImageDtype.FLOAT32), source, rules)
    mixes_samples = export_of(spec.precision).mixes_samples(spec.format)
    # Before the graphs of further batch sizes, which share what describes a tensor: written again they would not.
    content = without_unread(made.content) if spec.format is Format.TFLITE else made.content
    shown = show(content, spec, source.vae, batches, mixes_samples=mixes_samples)
    if spec.format is Format.TFLITE and len(batches) == 1:
        shown = replace(shown, content=without_unread(shown.content))
    with open_runner(shown.content, spec.format) as runner:
        inputs, outputs = tuple(runner.inputs.values()), tuple(runner.outputs.values())
        found = runner.run_samples(taken(source.golden_inputs, runner.inputs), source.vae.data_range)
        if spec.precision.is_float and not all(np.isfinite(values).all() for values in found.values()):
            raise ExportError("the file returns values that are not finite, which the original does not")
        overflow = overflow_note(runner, spec.component, source) if spec.precision.is_float else ""
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
        notes=(*made.notes, *shown.notes, *_magnitude_notes(spec, source), *filter(None, [overflow])),
        rewrites=_rewrites(spec, source),
        requires=oldest_runtime(spec.format, shown.content),
        portability=lint(spec.format, shown.content),
        layers=read_layers(spec.format, shown.content),
        integers=read_integer_share(spec.format, shown.content),
        search=made.searched.record if made.searched else None,
        scoring=made.scoring,
    )
    return Artifact(
        content=shown.content,
        record=record,
        error_ratio=error_ratio_of_outputs(found, source, record.tolerances),
        golden_outputs=found,
        recipe=made.searched.recipe if made.searched else None,
    )


def _magnitude_notes(spec: ArtifactSpec, source: Source) -> tuple[str, ...]:
    """Returns a note where a GPU in half precision, which runs float files, cannot hold the values inside."""
    parts = (source, *source.parts.values()) if spec.precision.is_float else ()
    return tuple(note for part in parts if (note := part.magnitude.note))


def _rewrites(spec: ArtifactSpec, source: Source) -> tuple[RewriteRecord, ...]:
    if not spec.component.is_composed:
        return decide(spec, source.behind_front_end()).records
    decoder = source.parts.get(Component.DECODER)
    return decide(replace(spec, component=Component.DECODER), decoder).records if decoder else ()


def _in_order(tensors: tuple[TensorSpec, ...], names: Iterable[str]) -> tuple[TensorSpec, ...]:
    order = {name: index for index, name in enumerate(names)}
    return tuple(sorted(tensors, key=lambda tensor: order.get(tensor.name, len(order))))


def _whole(spec: ArtifactSpec, source: Source, rules: LimitRules) -> Made:
    """Returns an artifact's content and notes; what is made of encoder and decoder uses their own files."""
    if spec.component is Component.ENCODER and source.vae.log_mel:
        return _sound_encoder(spec, source, rules)
    if not spec.component.takes_data_through:
        return _made(spec, source, rules.for_network(spec))

    def part(spec: ArtifactSpec, source: Source, rules: LimitRules) -> Made:
        return _made(spec, source, rules.for_network(spec))

    if spec.filename not in source.cache:
        source.cache[spec.filename] = scorer.compose(spec, source, rules, part)
    made: Made = source.cache[spec.filename]
    return made


def _sound_encoder(spec: ArtifactSpec, source: Source, rules: LimitRules) -> Made:
    """Returns an encoder of spectrograms, in its precision, behind the front end, which makes them of samples."""
    made = _made(spec, source.behind_front_end(), rules.for_network(spec))
    notes = (*made.notes, "the front end, samples to spectrogram, in float32")
    return replace(made, content=scorer.with_front_end(made.content, spec, source.vae), notes=notes)


def _made(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
    """Returns an artifact's content and notes, made once: a generator reuses the decoder that was made before."""
    if spec.filename not in source.cache:
        make = _compose if spec.component.is_composed else _convert
        source.cache[spec.filename] = make(spec, source, tolerances)
    made: Made = source.cache[spec.filename]
    return made


def _compose(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
    if spec.component is Component.SAMPLER:
        return _sampler(spec, source)
    latent = replace(spec, component=Component.SAMPLER, precision=Precision.FLOAT32)
    sampler = _made(latent, source.parts[Component.SAMPLER], ())
    image = replace(spec, component=Component.DECODER)
    decoder = _decoder(image, source, tolerances)
    content = merge.merge(spec.format, sampler.content, decoder.content, *source.vae.output_names(Component.SAMPLER))
    notes = (f"{latent.filename} and {image.filename} in one file", *decoder.notes)
    return Made(content=content, notes=notes)


def _decoder(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
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
    if (
        not export_of(spec.precision).may_differ_in_generator
        or error_ratio_of(spec.format, made.content, here, tolerances) <= 1
    ):
        return made
    anew = _convert(spec, here, tolerances)
    return replace(anew, notes=("quantized again for the latents of seeds", *anew.notes))


def _sampler(spec: ArtifactSpec, source: Source) -> Made:
    prior = source.parts.get(Component.PRIOR)
    latents = {latent.name: latent.shape for latent in source.vae.latents}
    outputs = {"eps": (source.vae.eps_dim,)} if prior else latents
    codes = code_counts(source.vae)
    if spec.format is Format.TFLITE:
        content = tflite.convert_float32(noise_tflite.build_noise(outputs, codes))
    else:
        content = noise_onnx.build_noise(outputs, codes)
    if prior:
        behind = _made(replace(spec, component=Component.PRIOR), prior, ())
        content = merge.merge(spec.format, content, behind.content, *outputs)
    return Made(content=content, notes=("noise bit-identical in every runtime",))


def _convert(spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
    rules, decision = export_of(spec.precision), decide(spec, source)
    rewritten = replace(source, steps=decision.steps)
    made = rules.make(spec, rewritten, tolerances)
    if _may_lose_the_gain(made, spec, source, decision):
        # The rewrites were timed with every layer in integers. Where the search keeps some in float, the conversions
        # between integers and floats can cost more than a rewrite gained.
        stock = rules.make(spec, replace(source, steps=()), tolerances)
        decision = settle(spec, source, decision, rewritten=made, stock=stock)
        made = made if decision.steps else stock
    fused = rewritten.graph().fused_shuffles if rules.has_depth_to_space else 0
    notes = (f"number of depth-to-space fused into one operator: {fused}",) if fused else ()
    made = replace(made, notes=(*notes, *made.notes, *filter(None, [decision.note()])))
    return _for_npus(made, spec, rewritten, tolerances)


def _for_npus(made: Made, spec: ArtifactSpec, source: Source, tolerances: tuple[Tolerance, ...]) -> Made:
    """Returns an integer TFLite file in the form for the NPUs that the export is for, if it is for any."""
    npus = npus_of(source.chips, spec)
    found = npu_form(made.content, spec.filename, npus, source, tolerances) if npus else None
    if found is None:
        return made
    searched = replace(made.searched, content=found.content) if made.searched else None
    return replace(made, content=found.content, searched=searched, notes=(*made.notes, found.note))


def _may_lose_the_gain(made: Made, spec: ArtifactSpec, source: Source, decision: Decision) -> bool:
    keeps_floats = made.searched is not None and bool(made.searched.recipe.float_layers)
    return keeps_floats and decision.is_measured and spec.filename not in source.recipes
