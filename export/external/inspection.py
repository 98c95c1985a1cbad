"""Inspects user-supplied models before anything is converted: what they take, what they return, what it means.

Run as `python -m pocketvae.export.external.inspection`: loading a model may crash or run code, so it runs in a
separate process.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.external.conditions import decoder_conditions, with_codes
from pocketvae.export.external.encoder_roles import shapes_of
from pocketvae.export.external.graph import TracedGraph
from pocketvae.export.external.image_scale import for_pixels
from pocketvae.export.external.inputs import InputRoles, decoder_inputs, encoder_inputs
from pocketvae.export.external.joined import HINT, joined_doubt, rejoined, with_halves
from pocketvae.export.external.latents import decoder_latents
from pocketvae.export.external.layers import has_steps
from pocketvae.export.external.messages import INSPECT, ExternalModels, Inspection
from pocketvae.export.external.not_finite import refuse_not_finite
from pocketvae.export.external.open_sizes import fixed_sizes, with_data_shape, with_latent_shape
from pocketvae.export.external.outputs import (
    MoreOutputs,
    Observed,
    data_position,
    found_line,
    more_outputs,
)
from pocketvae.export.external.posteriors import PosteriorRoles, encoded_roles
from pocketvae.export.external.roles import (
    OutputMeaning,
    classifier_doubt,
    data_kind_of,
    image_shape_of,
    listed,
    output_meaning,
    with_image_range,
)
from pocketvae.export.external.trials import (
    called,
    check_batch,
    check_float,
    data_sizes,
    drawn_latents,
    observe,
    refuse_random,
    spread_out,
)
from pocketvae.keras.external import adapt, model_inputs
from pocketvae.keras.heads import image_head
from pocketvae.keras.loading import OpenModel, Tensor, open_model
from pocketvae.keras.model_form import JOINED, SPREADS, Flavour, ModelForm, Port, Role
from pocketvae.kinds.registry import kind_of
from pocketvae.processes.rpc import handler, serve
from pocketvae.spec import Component
from pocketvae.system.files import sha256_path, size_bytes
from pocketvae.vae_spec import (
    DATA_OUTPUTS,
    RESERVED,
    Condition,
    DataKind,
    Latent,
    PosteriorKind,
    PriorKind,
    VaeSpec,
)

FloatArray = npt.NDArray[np.float32]

_JOINED_DOUBT = (
    "the encoder's only output was assumed to be the mean followed by the log-variance; "
    "state this with --encoder-outputs (mean+log_var or log_var+mean)"
)
_DIAGONAL_DOUBT = (
    "the encoder's posterior has a full covariance; the variances on its diagonal are exported, so samples "
    "lose their correlation"
)
_NO_POSTERIOR = (
    "the encoder returns one latent and no log-variance: it is exported as deterministic, without a posterior, and its "
    "artifacts return z_mean alone"
)
_LACKING = (
    "the encoder does not take the decoder's {0}: its artifacts encode without, q(z|x); if it was trained with it, "
    "export one that takes it"
)
_FLAVOURS = {
    Flavour.KERAS2: "Keras 2",
    Flavour.KERAS3: "Keras 3",
    Flavour.SAVED_MODEL: "SavedModel",
    Flavour.ONNX: "ONNX",
}


def inspect_models(models: ExternalModels, *, seed: int = 0) -> Inspection:
    """Inspects the decoder, then the encoder with the decoder's images.

    Raises:
        ExportError: a model cannot be loaded or exported; the message says why and what to do.
        TargetError: TensorFlow or Keras is not installed.
    """
    rng = np.random.default_rng([seed, 2])
    encoder = None
    if models.encoder is not None:
        encoder = open_model(models.encoder, models.code, models.encoder_signature)
    decoder = _inspect_decoder(models, rng, encoder)
    forms, facts = {Component.DECODER: decoder.form}, _facts(Component.DECODER, models.decoder, decoder.opened)
    facts["decoder output"] = decoder.meaning.reason
    if any(port.is_scaled for port in decoder.form.inputs):
        facts["latent"] = f"the original's minus {models.shift:g}, times {models.scale:g}"
    vae = decoder.vae
    doubts = decoder.doubts
    found: tuple[str, ...] = (decoder.found,) if decoder.found else ()
    facts |= dict.fromkeys(["decoder outputs"] if found else [], decoder.found)
    if models.encoder is not None and encoder is not None:
        form, flat, vae, guessed, change = _inspect_encoder(models, encoder, decoder)
        doubts = (*doubts, *guessed)
        form = replace(form, signature=models.encoder_signature)
        lacking = [repr(condition.name) for condition in vae.conditions if not condition.encoded]
        if lacking:
            doubts = (*doubts, _LACKING.format(" and ".join(lacking)))
        if models.encoder_outputs is None and any(port.role in JOINED for port in form.outputs):
            doubts = (*doubts, _JOINED_DOUBT)
        if any(port.role in (Role.COV, Role.TRIL) for port in form.outputs):
            doubts = (*doubts, _DIAGONAL_DOUBT)
        if vae.is_discrete:
            vae = replace(vae, posterior=PosteriorKind.NONE)
            facts["posterior"] = "none: the encoder returns integer codes"
        elif not {*SPREADS, *JOINED} & {port.role for port in form.outputs}:
            vae, doubts = replace(vae, posterior=PosteriorKind.NONE), (*doubts, _NO_POSTERIOR)
            facts["posterior"] = "none: the encoder is deterministic and returns a latent alone"
        vae = replace(vae, flat=((Component.ENCODER,) if flat else ()) + vae.flat)
        forms[Component.ENCODER] = form
        facts |= _facts(Component.ENCODER, models.encoder, encoder)
        facts |= dict.fromkeys(["encoder input"] if change else [], change)
        found += (f"{models.encoder.name}: {change}",) if change else ()
        facts["encoder outputs"] = ", ".join(f"{port.name} = {port.role}" for port in form.outputs)
    return Inspection(vae=vae, forms=forms, facts=facts, doubts=doubts, found=found)


@dataclass(frozen=True, kw_only=True)
class _Decoder:
    opened: OpenModel
    form: ModelForm
    meaning: OutputMeaning
    vae: VaeSpec
    doubts: tuple[str, ...]
    images: FloatArray
    conditions: Mapping[str, npt.NDArray[Any]]
    found: str


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A decoder that ran on samples of what it takes; `joined` is the output that `opened` returns in two halves."""

    opened: OpenModel
    joined: Tensor | None
    inputs: InputRoles
    taken: tuple[Port, ...]
    latents: tuple[Latent, ...]
    conditions: tuple[Condition, ...]
    given: Mapping[str, npt.NDArray[Any]]
    seen: Observed


def _tried_decoder(models: ExternalModels, rng: np.random.Generator, encoder: OpenModel | None) -> _Trial:
    opened = open_model(models.decoder, models.code, models.decoder_signature)
    opened = with_latent_shape(opened, models.latent_shape)
    joined = opened.outputs[0] if models.joined_outputs else None
    opened = with_halves(opened, models.joined_outputs)
    inputs = decoder_inputs(
        opened.inputs,
        stated=models.decoder_inputs,
        label_count=models.only_label_count,
        latent_dim=models.latent_dim,
        is_range_stated=models.condition_range is not None,
        encoded=[tensor.shape[1:] for tensor in encoder.outputs] if encoder else [],
    )
    inputs = with_codes(opened, inputs)
    check_batch(Component.DECODER, opened)
    conditions = decoder_conditions(models, opened, inputs)
    latents = decoder_latents(models, opened, inputs)
    z = drawn_latents(opened, latents, rng, size_bytes(models.decoder))
    given = spread_out(conditions, len(z[0]), rng)
    taken = tuple(_scaled(port, models) for port in _taken_as(opened, inputs))
    if (models.scale, models.shift) != (1.0, 0.0) and not any(port.is_scaled for port in taken):
        raise ExportError("--latent-scale and --latent-shift need a decoder that takes a latent of real numbers")
    values, graph = observe(Component.DECODER, opened, model_inputs(taken, [*z, *given.values()]))
    return _Trial(
        opened=opened,
        joined=joined,
        inputs=inputs,
        taken=taken,
        latents=latents,
        conditions=conditions,
        given=given,
        seen=Observed(opened=opened, values=values, graph=graph),
    )


def _chosen_output(models: ExternalModels, seen: Observed) -> tuple[int, str]:
    """Returns the position of the output that holds the data, which can be exported, and a doubt about it."""
    chosen, doubt = data_position(seen, models.decoder_output_name, models.more_outputs, models.decoder)
    raw = seen.values[chosen]
    check_float(Component.DECODER, seen.outputs[chosen], raw)
    refuse_random(Component.DECODER, seen.graph, chosen, "output")
    if seen.graph.shapes[chosen] != (1, *raw.shape[1:]):
        raise ExportError(f"the decoder's output must have one fixed size, got {seen.graph.shapes[chosen]}")
    return chosen, doubt


def _inspect_decoder(models: ExternalModels, rng: np.random.Generator, encoder: OpenModel | None) -> _Decoder:
    tried = _tried_decoder(models, rng, encoder)
    opened, latents, seen = tried.opened, tried.latents, tried.seen
    chosen, output_doubt = _chosen_output(models, seen)
    others = {*RESERVED, *DATA_OUTPUTS, *(x.name for x in latents), *(x.name for x in tried.conditions)}
    more = more_outputs(seen, chosen, models.more_outputs, sorted(others), models.decoder)
    raw, last, bounds = seen.values[chosen], seen.graph.last_operator(chosen), seen.graph.bounds(chosen)
    meaning = output_meaning(models.decoder_output, last, float(raw.min()), float(raw.max()), bounds)
    shape: tuple[int, ...] = raw.shape[1:]
    data, doubt = data_kind_of(
        shape,
        models.data_kind,
        named=models.image_shape,
        taken=data_sizes(encoder),
        is_bounded=meaning.is_strict,
        has_steps=has_steps(opened),
    )
    is_image = data is DataKind.IMAGE
    meaning = with_image_range(meaning, models.image_range, (float(raw.min()), float(raw.max())), is_image=is_image)
    is_plane = is_image and len(shape) == DataKind.SEQUENCE.rank
    sums = raw.reshape(len(raw), -1).sum(axis=1) if raw.min() >= 0 else np.zeros(1)
    misused = classifier_doubt(shape, latents[0].shape, sums.tolist())
    doubled = joined_doubt(models.joined_outputs, data, shape, meaning.is_strict)
    doubted = meaning.doubt if is_image else ""
    doubts = (*tried.inputs.doubts, output_doubt, doubt, misused, doubled, doubted, *more.doubts)
    vae = VaeSpec(
        data=data,
        data_shape=image_shape_of((*shape, 1) if is_plane else shape, models.image_shape) if is_image else shape,
        latents=latents,
        likelihood=meaning.likelihood,
        prior=PriorKind.UNIFORM if all(latent.codes for latent in latents) else PriorKind.STANDARD,
        conditions=tried.conditions,
        data_range=meaning.data_range,
        range_is_strict=meaning.is_strict,
        flat=(Component.DECODER,) if is_image and len(shape) == 1 else (),
        more_outputs=tuple(more.outputs.values()),
    )
    return _Decoder(
        opened=opened,
        form=_decoder_form(models, tried, chosen, Role.PLANE_OUT if is_plane else Role.IMAGE, more),
        meaning=meaning,
        vae=vae,
        doubts=tuple(filter(None, doubts)),
        images=np.asarray(image_head(meaning.likelihood, raw)),
        conditions=tried.given,
        found=found_line(models.decoder, seen, chosen, vae.output, more),
    )


def _decoder_form(models: ExternalModels, tried: _Trial, data: int, role: Role, more: MoreOutputs) -> ModelForm:
    roles = [Role.OTHER] * len(tried.seen.values)
    roles[data] = role
    for index in more.outputs:
        roles[index] = Role.MORE
    form = _form(tried.opened, tried.inputs, roles, tried.seen.values)
    # The place of a further output is its place behind the data.
    places = {index: (place + 1,) for place, index in enumerate(more.outputs)}
    outputs = tuple(replace(port, sources=places.get(index, ())) for index, port in enumerate(form.outputs))
    form = replace(form, inputs=tried.taken, outputs=outputs, signature=models.decoder_signature)
    return rejoined(form, tried.joined, models.joined_outputs)


def _inspect_encoder(
    models: ExternalModels, opened: OpenModel, decoder: _Decoder
) -> tuple[ModelForm, bool, VaeSpec, tuple[str, ...], str]:
    """Returns its form, whether it takes flat images, the interface with its conditions, doubts, and a change."""
    opened = with_data_shape(opened, decoder.vae.data_shape)
    inputs = encoder_inputs(opened.inputs, decoder.vae)
    conditions = [replace(item, encoded=item.name not in inputs.lacking) for item in decoder.vae.conditions]
    vae = replace(decoder.vae, conditions=tuple(conditions))
    check_batch(Component.ENCODER, opened)
    (main,) = inputs.of(Role.X, Role.X_LABEL)
    expected, found = decoder.vae.data_shape, fixed_sizes(Component.ENCODER, opened.inputs[main])
    if inputs.roles[main] is Role.X_LABEL:
        found = (*found[:-1], found[-1] - vae.encoder_conditions[inputs.sources[main][1] - 1].count)
    if found == expected[:-1] and expected[-1] == 1 and len(found) > 1:
        inputs = replace(inputs, roles=tuple(Role.PLANE_IN if i == main else r for i, r in enumerate(inputs.roles)))
        found = expected
    if found not in (expected, (math.prod(expected),)):
        plural = kind_of(decoder.vae.data).plural
        hint = f": {HINT}" if (*found[:-1], 2 * found[-1]) == expected else ""
        raise ExportError(f"the encoder must take the decoder's {plural} of {expected}, flat or not, got {found}{hint}")
    images = decoder.images.reshape(-1, *found)
    given = [images, *(decoder.conditions[item.name] for item in vae.encoder_conditions)]
    taken = _taken_as(opened, inputs)
    values, graph = observe(Component.ENCODER, opened, model_inputs(taken, given))
    change = ""
    if vae.data is DataKind.IMAGE:
        port, change = for_pixels(taken[main], graph, main, vae.data_range)
        taken = (*taken[:main], port, *taken[main + 1 :])
    feed = model_inputs(taken, given)
    values = called(opened, feed) if change else values
    roles = _posterior_roles(opened, feed, values, graph, models, decoder.vae.latents)
    form = replace(_form(opened, inputs, roles.roles, values), inputs=taken)
    form = replace(form, outputs=tuple(_scaled(port, models) for port in form.outputs))
    if len(decoder.vae.latents) > 1:
        placed = zip(form.outputs, roles.places, strict=True)
        form = replace(form, outputs=tuple(replace(port, sources=(place,)) for port, place in placed))
    adapted = adapt(opened, form)(given if len(given) > 1 else images)
    refuse_not_finite(Component.ENCODER, opened, [np.asarray(value) for value in adapted])
    return form, found != expected, vae, inputs.doubts, change


def _posterior_roles(
    opened: OpenModel,
    feed: list[Any],
    values: list[npt.NDArray[Any]],
    graph: TracedGraph,
    models: ExternalModels,
    latents: tuple[Latent, ...],
) -> PosteriorRoles:
    """Returns what each output of an encoder is, whose values are these."""
    random = {index for index in range(len(values)) if graph.random_operators(index)}
    again = called(opened, feed)
    random |= {index for index, value in enumerate(values) if not np.array_equal(value, np.asarray(again[index]))}
    lasts = [graph.nonlinearity(index) for index in range(len(values))]
    found = encoded_roles(opened.outputs, values, random, models.encoder_outputs, lasts, latents)
    for value, role, place in zip(values, found.roles, found.places, strict=True):
        latent = latents[place].shape
        shapes = shapes_of(role, latent)
        if shapes and value.shape[1:] not in shapes:
            raise ExportError(
                f"the encoder's {role} must be [N, {listed(shapes[0])}] to fit the decoder's latent "
                f"[N, {listed(latent)}], got [N, {listed(value.shape[1:])}]"
            )
    return found


def _form(opened: OpenModel, inputs: InputRoles, outputs: Sequence[Role], values: Sequence[FloatArray]) -> ModelForm:
    returned = zip(opened.outputs, outputs, values, strict=True)
    return ModelForm(
        flavour=opened.flavour,
        custom_code=opened.custom_code,
        inputs=_taken_as(opened, inputs),
        outputs=tuple(_port(tensor, role, value.shape[1:]) for tensor, role, value in returned),
    )


def _taken_as(opened: OpenModel, inputs: InputRoles) -> tuple[Port, ...]:
    taken = zip(opened.inputs, inputs.roles, inputs.sources, strict=True)
    return tuple(
        replace(_port(tensor, role, tuple(size or 1 for size in tensor.shape[1:])), sources=sources)
        for tensor, role, sources in taken
    )


def _scaled(port: Port, models: ExternalModels) -> Port:
    """Returns a latent's input, or an output of its posterior, with the stated scale; another as it is."""
    if port.role not in (Role.Z, Role.Z_LABEL, Role.MEAN, *SPREADS, *JOINED):
        return port
    return replace(port, scale=models.scale, shift=models.shift)


def _port(tensor: Tensor, role: Role, shape: tuple[int, ...]) -> Port:
    return Port(name=tensor.name, role=role, dtype=tensor.dtype, shape=shape)


def _facts(component: Component, path: Path, opened: OpenModel) -> dict[str, str]:
    written = f", written by Keras {opened.keras_version}" if opened.keras_version else ""
    custom = ", with custom code" if opened.custom_code else ""
    return {
        f"{component} source": path.name,
        f"{component} source sha256": sha256_path(path),
        f"{component} loaded as": f"{_FLAVOURS[opened.flavour]}{written}{custom}",
    }


def main() -> int:
    """Serves on the process's own pipes."""
    serve({INSPECT: handler(ExternalModels, inspect_models)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
