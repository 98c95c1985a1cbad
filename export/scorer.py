"""Reconstructors and scorers: encoder, decoder and the float part of a score in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, ExportError
from pocketvae.export.budgets import LimitRules
from pocketvae.export.convert import merge, onnx, tflite
from pocketvae.export.convert.fine_latents import with_fine_latents
from pocketvae.export.convert.graphs import Graph
from pocketvae.export.convert.interface_types import (
    input_quantization,
    with_floats,
    with_integer_input,
    with_one_rounding,
    without_detours,
)
from pocketvae.export.convert.scoring import SPECTROGRAM, front_end_graph, normalization_graph, score_graph
from pocketvae.export.original.goldens import Original
from pocketvae.export.original.held_out import in_both_units
from pocketvae.export.precisions.base import Made
from pocketvae.export.precisions.registry import export_of
from pocketvae.export.quantize.measured import error_ratio_of, run_content
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.conformal import conformal_threshold
from pocketvae.numerics.ranking import changed_decisions
from pocketvae.numerics.scoring import Scoring
from pocketvae.numerics.spectrogram import model_items
from pocketvae.spec import ArtifactSpec, Component, Format, Precision, Quantization
from pocketvae.vae_spec import SCORE, DataKind, VaeSpec

Array = npt.NDArray[Any]
# Makes the file of a part, by its spec, its source and what it is held to.
MakePart = Callable[[ArtifactSpec, Source, LimitRules], Made]
# Of the budgets of encoder and decoder, as far as it takes until at most so many decisions change.
_SHARES = (1.0, 0.5, 0.25)
_FEW_CHANGED = 0.01
# A way that keeps so much in float that the file grows beyond this is no int8 file any more.
_MOST_GROWTH = 1.25


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How the parts of a reconstructor or scorer are made.

    Attributes:
        encoder: Precision of the encoder.
        decoder: Precision of the decoder.
        own_decoder: Whether a scorer's decoder is not the decoder's own file. Where integers are chosen for what the
            prior makes, they cut off latents beyond, those of unusual normal items first, whose scores are near the
            threshold; a wider range makes the steps of all latents coarser.
        fine_latents: Whether the decoder is given latents in finer steps than 8 bits have.
        share: Of the budgets of encoder and decoder; less keeps more layers in float.
    """

    encoder: Precision
    decoder: Precision
    own_decoder: bool = True
    fine_latents: bool = False
    share: float = 1.0

    def of(self, component: Component) -> Precision:
        """Returns the precision of a part."""
        return self.encoder if component is Component.ENCODER else self.decoder


def _ways(spec: ArtifactSpec, vae: VaeSpec) -> tuple[_Way, ...]:
    """Returns the ways to make a scorer that are tried in turn until one decides as the original does.

    Of images only the first: kernels in 16 bits are slow, and a search takes long.
    """
    plain, wide, own = _Way(encoder=spec.precision, decoder=spec.precision), Precision.INT16X8, (False, True)
    ways: tuple[_Way, ...] = (plain,)
    if spec.precision is Precision.INT8 and spec.format is Format.ONNX:
        ways = tuple(replace(plain, share=share) for share in _SHARES)
    elif spec.precision is Precision.INT8:
        ways = (plain, replace(plain, decoder=wide), replace(plain, encoder=wide, decoder=wide))
    elif spec.precision is Precision.INT8_IO:
        narrow = [replace(plain, own_decoder=each, fine_latents=fine) for each in own for fine in (False, True)]
        ways = (*narrow, replace(plain, encoder=wide, decoder=wide))
    return ways[:1] if vae.data in (DataKind.IMAGE, DataKind.VOLUME) else ways


def compose(spec: ArtifactSpec, source: Source, rules: LimitRules, make_part: MakePart) -> Made:
    """Makes a reconstructor or a scorer of the files of encoder and decoder.

    Args:
        spec: The artifact.
        source: Of the component, with the sources of its parts.
        rules: What the component is held to.
        make_part: Makes the files of encoder and decoder, or returns those that were made before.

    Raises:
        ExportError: a part cannot be made, or the files cannot be merged.
    """
    if spec.component is Component.RECONSTRUCTOR:
        return _reconstructor_of(spec, source, rules, make_part)
    ways = _ways(spec, source.vae)
    best, x = _scorer(spec, source, rules, make_part, ways[0])
    fewest = _changed_decisions(spec, source, best.content) if len(ways) > 1 else 0.0
    most_bytes = _MOST_GROWTH * len(best.content)
    for way in ways[1:]:
        if fewest <= _FEW_CHANGED:
            break
        try:
            made, _ = _scorer(spec, source, rules, make_part, way, x)
        except ExportError:  # not every network can be made in 16 bits
            continue
        if way.share < 1 and len(made.content) > most_bytes:
            continue
        changed = _changed_decisions(spec, source, made.content)
        if changed < fewest:
            best, fewest = made, changed
    return best


def _reconstructor_of(spec: ArtifactSpec, source: Source, rules: LimitRules, make_part: MakePart) -> Made:
    """Returns a reconstructor, whose encoder is in float where integers would put it over its budget.

    What encoder and decoder may each be off by adds up.

    Raises:
        ExportError: see `compose`.
    """
    ways = [_Way(encoder=spec.precision, decoder=spec.precision)]
    if spec.precision.is_calibrated and export_of(spec.precision).keeps_floats:
        ways.append(replace(ways[0], encoder=Precision.FLOAT32))
    for way in ways:
        parts = _parts(spec, source, rules, make_part, way)
        content = _reconstructor(spec, source.vae, {component: made.content for component, made in parts.items()})
        content = with_front_end(content, spec, source.vae)
        if way is ways[-1] or error_ratio_of(spec.format, content, source, rules.for_network(spec)) <= 1:
            break
    return Made(content=content, notes=_notes(spec, parts, way))


def _scorer(
    spec: ArtifactSpec,
    source: Source,
    rules: LimitRules,
    make_part: MakePart,
    way: _Way,
    x: Quantization | None = None,
) -> tuple[Made, Quantization | None]:
    """Returns a scorer that is made in one way, and the integers that it takes, which are those of `x` if it has some.

    Raises:
        ExportError: see `compose`.
    """
    parts = _parts(spec, source, rules, make_part, way)
    contents = {component: made.content for component, made in parts.items()}
    if spec.precision is Precision.INT8_IO and x is None:
        x = input_quantization(contents[Component.ENCODER], "x")
    content, scoring = _Scorer(spec, source, contents, way, x).make()
    return Made(content=content, notes=_notes(spec, parts, way), scoring=scoring), x


def _parts(
    spec: ArtifactSpec, source: Source, rules: LimitRules, make_part: MakePart, way: _Way
) -> dict[Component, Made]:
    return {
        component: make_part(
            replace(spec, component=component, precision=way.of(component)),
            _part(spec, source, component, way),
            replace(rules_of_part(rules, part), share=way.share),
        )
        for component, part in source.parts.items()
    }


def _notes(spec: ArtifactSpec, parts: Mapping[Component, Made], way: _Way) -> tuple[str, ...]:
    names = " and ".join(replace(spec, component=part, precision=way.of(part)).filename for part in parts)
    if _has_own_parts(spec):
        decoder = "a decoder" if way.own_decoder else replace(spec, component=Component.DECODER).filename
        names = f"{decoder} and an encoder, whose integers reach to anomalies,"
    found = [f"{names} in one file{', the score in floats' if spec.component is Component.SCORER else ''}"]
    changes = [f"{part} in {way.of(part)}" for part in parts if way.of(part) is not spec.precision]
    changes += [f"{way.share:g} of the parts' budgets"] if way.share < 1 else []
    changes += ["latents in finer steps than 8 bits have"] if way.fine_latents else []
    if changes:
        is_scorer = spec.component is Component.SCORER
        found.append(f"{', '.join(changes)}{', with which fewer decisions change' if is_scorer else ' for the budget'}")
    return (*found, *(note for made in parts.values() for note in made.notes))


def _changed_decisions(spec: ArtifactSpec, source: Source, content: bytes) -> float:
    """Returns how many decisions of a file differ from the original's, of held-out items and of made anomalies."""
    vae, key = source.vae, "decisions"
    if key not in source.cache:
        strange = in_both_units(source.calibration, vae)
        inputs = _joined({name: source.held_out[name] for name in strange}, strange)
        taken = {tensor.name: inputs[tensor.name] for tensor in vae.inputs(Component.SCORER)}
        original = Original(Component.SCORER, source.model, vae, one_by_one=source.one_by_one)
        count = len(next(iter(source.held_out.values())))
        anomalous = np.arange(len(next(iter(inputs.values())))) >= count
        source.cache[key] = inputs, original.golden_outputs(taken)[SCORE], anomalous
    inputs, exact, anomalous = source.cache[key]
    return changed_decisions(exact, run_content(spec.format, content, inputs)[SCORE], anomalous)


def with_front_end(content: bytes, spec: ArtifactSpec, vae: VaeSpec) -> bytes:
    """Returns a file that takes samples in place of the spectrogram `x`; the same of a VAE without a front end.

    The front end is in float32 in every precision: 8 bits of a sample are what a loud sound leaves of a quiet one, and
    the powers of a spectrum span more than integers do. Behind it, `x` is quantized like any other input.
    """
    if vae.log_mel is None:
        return content
    if spec.precision is Precision.INT8_IO:
        content = with_floats(content, outputs=False)
    front = _converted(spec.format, front_end_graph(vae, spec.component))
    return merge.merge(spec.format, front, content, (SPECTROGRAM, "x"), prefix="front_end/")


def _has_own_parts(spec: ArtifactSpec) -> bool:
    """Whether a scorer's encoder is not the encoder's own file.

    Integers end where the range of what they were calibrated with does. An encoder that was calibrated with normal
    items sees an anomaly as something more normal, and the decoder makes of it what the original does not.
    """
    return spec.component is Component.SCORER and spec.precision.is_calibrated


def _part(spec: ArtifactSpec, source: Source, component: Component, way: _Way) -> Source:
    """Returns the source of a part; those of a scorer of integers are calibrated with anomalies too."""
    part = source.parts[component].behind_front_end()
    is_own = _has_own_parts(spec) and (component is Component.ENCODER or way.own_decoder)
    if is_own:
        part = _calibrated_with_anomalies(spec, source, component, part)
    key = f"{spec.filename}, {component}, {is_own}, {way.share}"
    if way.share < 1 and key not in source.cache:
        kept = {name: value for name, value in part.cache.items() if not name.startswith(f"{component}.")}
        source.cache[key] = replace(part, recipes={}, cache=kept)
    made: Source = source.cache[key] if way.share < 1 else part
    return replace(made, effort=source.effort)


def _calibrated_with_anomalies(spec: ArtifactSpec, source: Source, component: Component, part: Source) -> Source:
    key = f"{component} with anomalies"
    if key not in source.cache:  # kept, because quantizers know their samples by identity
        if component is Component.ENCODER:
            more = {name: source.calibration[name] for name in part.calibration}
            more["x"] = model_items(more["x"], source.vae)
        else:
            encoder = _part(spec, source, Component.ENCODER, _ways(spec, source.vae)[0])
            more = _latents_of(encoder, part, source.calibration)
        source.cache[key] = replace(
            part,
            calibration=_joined(part.calibration, more),
            other_calibrations=tuple(_joined(other, more) for other in part.other_calibrations),
            recipes={},
            cache={},
        )
    made: Source = source.cache[key]
    return made


def _latents_of(encoder: Source, decoder: Source, anomalies: Mapping[str, Array]) -> dict[str, Array]:
    """Returns what the original decoder is given of all that the encoder is calibrated with, the anomalies last."""
    inputs, vae = encoder.calibration, encoder.vae
    original = Original(Component.ENCODER, encoder.model, vae, one_by_one=encoder.one_by_one)
    found = original.golden_outputs(inputs)
    means = {latent.name: found[latent.encoded(vae.posterior)[0]] for latent in vae.latents}
    given = {**inputs, **means}
    for name in decoder.calibration.keys() - given.keys():
        # A label that only the decoder takes: its first samples are latents of the same items.
        own, strange = decoder.calibration[name], anomalies[name]
        normal = np.resize(own, (len(inputs["x"]) - len(strange), *own.shape[1:]))
        given[name] = np.concatenate([normal, strange])
    return {name: given[name] for name in decoder.calibration}


def _joined(first: Mapping[str, Array], second: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([values, second[name]]) for name, values in first.items()}


def rules_of_part(rules: LimitRules, part: Source) -> LimitRules:
    """Returns what a part's own file is held to: whichever is made first, it is the same.

    Raises:
        ExportError: its noise floor is not known.
    """
    if part.floor is None:
        raise ExportError(f"the {part.component} must be prepared before it becomes a part")
    return replace(rules, floor=part.floor, observed_values=int(np.prod(part.vae.data_shape)) if part.observed else 0)


def _reconstructor(spec: ArtifactSpec, vae: VaeSpec, parts: Mapping[Component, bytes]) -> bytes:
    encoder, decoder = parts[Component.ENCODER], parts[Component.DECODER]
    if spec.precision is Precision.INT8_IO:
        # The integers of a latent do not stand for the same numbers on both sides.
        encoder, decoder = with_floats(encoder, inputs=False), with_floats(decoder, outputs=False)
    content = merge.merge(spec.format, encoder, decoder, *_joints(vae), prefix="encoder/")
    return without_detours(content) if spec.precision is Precision.INT8_IO else content


def _joints(vae: VaeSpec) -> list[tuple[str, str]]:
    """Returns which of the encoder's outputs become which of the decoder's inputs."""
    return [(latent.encoded(vae.posterior)[0], latent.name) for latent in vae.latents]


class _Scorer:
    """The making of one scorer."""

    def __init__(
        self, spec: ArtifactSpec, source: Source, parts: Mapping[Component, bytes], way: _Way, x: Quantization | None
    ) -> None:
        if source.scoring is None:
            raise ExportError("a scorer needs scores of normal items")
        self._spec, self._source, self._parts, self._vae = spec, source, parts, source.vae
        self._way, self._x = way, x
        self._first: Scoring = source.scoring

    def make(self) -> tuple[bytes, Scoring]:
        """Returns the file, with the threshold that its own scores of normal items give."""
        draft = self._file(self._first)
        scores = run_content(self._spec.format, draft, self._source.held_out)[SCORE]
        try:
            threshold = conformal_threshold(scores.astype(np.float64), self._first.false_positive_rate)
        except DataError as e:
            raise ExportError(str(e)) from e
        if not np.isfinite(threshold):
            raise ExportError("the scores of normal items must be finite, but the threshold among them is not")
        scoring = replace(self._first, threshold=float(np.float32(threshold)))
        return self._file(scoring), scoring

    def _file(self, scoring: Scoring) -> bytes:
        spec, vae = self._spec, self._vae.behind_front_end
        encoder, decoder = self._parts[Component.ENCODER], self._parts[Component.DECODER]
        if spec.precision is Precision.INT8_IO:
            encoder, decoder = with_floats(encoder), with_floats(decoder)
        kept = [name for latent in vae.latents for name in latent.encoded(vae.posterior)] if vae.has_posterior else []
        network = merge.merge(spec.format, encoder, decoder, *_joints(vae), keep=kept, prefix="encoder/")
        if spec.format is Format.TFLITE and spec.precision.is_calibrated:
            # The encoder's integers reach to anomalies, the decoder's to what the prior makes.
            network = with_one_rounding(network)
            network = with_fine_latents(without_detours(network)) if self._way.fine_latents else network
        tail = _converted(spec.format, score_graph(vae, scoring))
        content = merge.merge(spec.format, network, tail, vae.output, *kept, prefix="network/")
        if self._vae.log_mel:
            return with_front_end(content, replace(spec, precision=Precision.INT8), self._vae)
        if self._x is not None:
            return without_detours(with_integer_input(content, "x", self._x))
        if vae.channels:
            front = _converted(spec.format, normalization_graph(vae))
            content = merge.merge(spec.format, front, content, "x", prefix="unit/")
        return content


def _converted(format: Format, graph: Graph) -> bytes:
    return tflite.convert_float32(graph) if format is Format.TFLITE else onnx.convert_float32(graph)
