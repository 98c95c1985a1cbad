"""Inspects user-supplied models before anything is converted: what they take, what they return, what it means.

Run as `python -m pocketvae.export.external.inspection`: loading a model may crash or run code, so it runs in a
separate process.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.external.graph import TracedGraph, trace
from pocketvae.export.external.messages import INSPECT, ExternalModels, Inspection
from pocketvae.export.external.roles import (
    OutputMeaning,
    data_kind_of,
    encoder_roles,
    image_shape_of,
    label_position,
    listed,
    output_index,
    output_meaning,
    shapes_of,
)
from pocketvae.export.original import samples
from pocketvae.keras.external import adapt
from pocketvae.keras.heads import image_head
from pocketvae.keras.loading import OpenModel, Tensor, open_model
from pocketvae.keras.model_form import JOINED, Flavour, ModelForm, Port, Role
from pocketvae.kinds.registry import kind_of
from pocketvae.processes.rpc import handler, serve
from pocketvae.spec import Component
from pocketvae.system.files import sha256_path
from pocketvae.vae_spec import DataKind, Latent, VaeSpec

FloatArray = npt.NDArray[np.float32]

_JOINED_DOUBT = (
    "the encoder's only output was assumed to be the mean followed by the log-variance; "
    "state this with --encoder-outputs (mean+log_var or log_var+mean)"
)
_DIAGONAL_DOUBT = (
    "the encoder's posterior has a full covariance; the variances on its diagonal are exported, so samples "
    "lose their correlation"
)
_PRIOR_COUNT, _TAIL_COUNT = 48, 16
_FLAVOURS = {Flavour.KERAS2: "Keras 2", Flavour.KERAS3: "Keras 3", Flavour.SAVED_MODEL: "SavedModel"}


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """The main input and the label; None if there is no label."""

    main: int
    label: int | None

    def feed(self, values: npt.NDArray[Any], labels: npt.NDArray[np.int32], tensors: Sequence[Tensor]) -> list[Any]:
        made = [values] if self.label is None else [values, values]
        if self.label is not None:
            tensor = tensors[self.label]
            if tensor.dtype == "float32":
                made[self.label] = np.eye(tensor.shape[1] or 1, dtype=np.float32)[labels]
            else:
                shape = (len(labels), *(size or 1 for size in tensor.shape[1:]))
                made[self.label] = labels.reshape(shape).astype(tensor.dtype)
        return made


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
    decoder = _inspect_decoder(models, rng, _taken(encoder))
    forms, facts = {Component.DECODER: decoder.form}, _facts(Component.DECODER, models.decoder, decoder.opened)
    facts["decoder output"] = decoder.meaning.reason
    vae = decoder.vae
    doubts = decoder.doubts
    if models.encoder is not None and encoder is not None:
        form, flat = _inspect_encoder(models, encoder, decoder)
        form = replace(form, signature=models.encoder_signature)
        if models.encoder_outputs is None and any(port.role in JOINED for port in form.outputs):
            doubts = (*doubts, _JOINED_DOUBT)
        if any(port.role in (Role.COV, Role.TRIL) for port in form.outputs):
            doubts = (*doubts, _DIAGONAL_DOUBT)
        vae = replace(vae, flat=((Component.ENCODER,) if flat else ()) + vae.flat)
        forms[Component.ENCODER] = form
        facts |= _facts(Component.ENCODER, models.encoder, encoder)
        facts["encoder outputs"] = ", ".join(f"{port.name} = {port.role}" for port in form.outputs)
    return Inspection(vae=vae, forms=forms, facts=facts, doubts=doubts)


@dataclass(frozen=True, kw_only=True)
class _Decoder:
    opened: OpenModel
    form: ModelForm
    meaning: OutputMeaning
    vae: VaeSpec
    doubts: tuple[str, ...]
    images: FloatArray
    labels: npt.NDArray[np.int32]


def _taken(encoder: OpenModel | None) -> tuple[int, ...] | None:
    """Returns the sizes of the data that an encoder takes: of its float input with the most dimensions."""
    tensors = [tensor for tensor in encoder.inputs if tensor.dtype == "float32"] if encoder else []
    largest = max(tensors, key=lambda tensor: len(tensor.shape), default=None)
    sizes = largest.shape[1:] if largest else (None,)
    return None if None in sizes else tuple(size or 0 for size in sizes)


def _inspect_decoder(models: ExternalModels, rng: np.random.Generator, taken: tuple[int, ...] | None) -> _Decoder:
    opened = open_model(models.decoder, models.code, models.decoder_signature)
    inputs = _find_inputs(Component.DECODER, opened, (2, 3, 4, 5), models.label_count)
    chosen = output_index(opened.outputs, models.decoder_output_name, models.decoder)
    label_count = _label_count(models, opened, inputs)
    latent = Latent(shape=_fixed(Component.DECODER, opened.inputs[inputs.main]))
    noise = [samples.normal_noise(_PRIOR_COUNT, latent.size, rng), samples.tail_noise(_TAIL_COUNT, latent.size, rng)]
    z = np.concatenate(noise).reshape(-1, *latent.shape)
    labels = (np.arange(len(z)) % max(1, label_count)).astype(np.int32)
    values, graph = _observe(Component.DECODER, opened, inputs.feed(z, labels, opened.inputs))
    raw = values[chosen]
    _refuse_random(Component.DECODER, graph, chosen, "output")
    if graph.shapes[chosen] != (1, *raw.shape[1:]):
        raise ExportError(f"the decoder's output must have one fixed size, got {graph.shapes[chosen]}")
    low, high = float(raw.min()), float(raw.max())
    meaning = output_meaning(models.decoder_output, graph.last_operator(chosen), low, high, graph.bounds(chosen))
    shape: tuple[int, ...] = raw.shape[1:]
    data, doubt = data_kind_of(
        shape, models.data_kind, named=models.image_shape, taken=taken, is_bounded=meaning.is_strict
    )
    doubts = (doubt, meaning.doubt if data is DataKind.IMAGE else "")
    vae = VaeSpec(
        data=data,
        data_shape=image_shape_of(shape, models.image_shape) if data is DataKind.IMAGE else shape,
        latents=(latent,),
        likelihood=meaning.likelihood,
        label_count=label_count,
        data_range=meaning.data_range,
        range_is_strict=meaning.is_strict,
        flat=(Component.DECODER,) if data is DataKind.IMAGE and len(shape) == 1 else (),
    )
    roles = [Role.IMAGE if index == chosen else Role.OTHER for index in range(len(values))]
    form = replace(_form(opened, inputs, Role.Z, roles, values), signature=models.decoder_signature)
    images = np.asarray(image_head(meaning.likelihood, raw))
    return _Decoder(
        opened=opened,
        form=form,
        meaning=meaning,
        vae=vae,
        doubts=tuple(filter(None, doubts)),
        images=images,
        labels=labels,
    )


def _inspect_encoder(models: ExternalModels, opened: OpenModel, decoder: _Decoder) -> tuple[ModelForm, bool]:
    """Returns the encoder's form and whether it takes flat images."""
    inputs = _find_inputs(Component.ENCODER, opened, (2, 3, 4, 5), decoder.vae.label_count or None)
    if (inputs.label is not None) != bool(decoder.vae.label_count):
        raise ExportError("encoder and decoder must both take a label, or neither")
    expected, found = decoder.vae.data_shape, _fixed(Component.ENCODER, opened.inputs[inputs.main])
    if found not in (expected, (math.prod(expected),)):
        plural = kind_of(decoder.vae.data).plural
        raise ExportError(f"the encoder must take the decoder's {plural} of {expected}, flat or not, got {found}")
    feed = inputs.feed(decoder.images.reshape(-1, *found), decoder.labels, opened.inputs)
    values, graph = _observe(Component.ENCODER, opened, feed)
    random = {index for index in range(len(values)) if graph.random_operators(index)}
    again = opened.call(feed)
    random |= {index for index, value in enumerate(values) if not np.array_equal(value, np.asarray(again[index]))}
    lasts = [graph.last_operator(index) for index in range(len(values))]
    latent = decoder.vae.latent_shape
    roles = encoder_roles(opened.outputs, random, models.encoder_outputs, lasts, latent)
    for value, role in zip(values, roles, strict=True):
        shapes = shapes_of(role, latent)
        if shapes and value.shape[1:] not in shapes:
            raise ExportError(
                f"the encoder's {role} must be [N, {listed(shapes[0])}] to fit the decoder's latent "
                f"[N, {listed(latent)}], got [N, {listed(value.shape[1:])}]"
            )
    form = _form(opened, inputs, Role.X, roles, values)
    _refuse_not_finite(Component.ENCODER, [np.asarray(value) for value in adapt(opened, form)(_standard(inputs, feed))])
    return form, found != expected


def _standard(inputs: _Inputs, feed: list[Any]) -> Any:
    if inputs.label is None:
        return feed[0]
    label = feed[inputs.label]
    number = label.argmax(axis=1) if label.dtype == np.float32 else label.reshape(-1)
    return [feed[inputs.main], number.astype(np.int32)]


def _observe(component: Component, opened: OpenModel, feed: list[Any]) -> tuple[list[FloatArray], TracedGraph]:
    """Runs and traces a model; refuses it if it does not run or returns values that are not finite or not float32."""
    try:
        values = [np.asarray(value) for value in opened.call(feed)]
    except Exception as e:  # A model may raise anything.
        lines = [line for line in str(e).splitlines() if line.strip()]
        raise ExportError(f"the {component} does not run on its own inputs: {lines[0][:200] if lines else e!r}") from e
    for tensor, value in zip(opened.outputs, values, strict=True):
        if value.dtype != np.float32:
            raise ExportError(f"the {component}'s output {tensor.name!r} must be float32, got {value.dtype}")
    _refuse_not_finite(component, values)
    return values, trace(opened.call, opened.inputs)


def _refuse_not_finite(component: Component, values: Sequence[FloatArray]) -> None:
    for value in values:
        if not np.isfinite(value).all():
            bad = int(np.count_nonzero(~np.isfinite(value)))
            raise ExportError(f"the {component} must return finite values, got {bad} of {value.size} NaN or infinite")


def _refuse_random(component: Component, graph: TracedGraph, output: int, name: str) -> None:
    operators = graph.random_operators(output)
    if operators:
        layers = "".join(f" in {layer!r}" for layer in graph.random_layers(output)[:1])
        raise ExportError(
            f"the {component}'s {name} depends on random operators ({', '.join(operators)}){layers}: "
            f"save the model in inference mode and without sampling"
        )


def _find_inputs(component: Component, opened: OpenModel, ranks: tuple[int, ...], label_count: int | None) -> _Inputs:
    """Distinguishes the main input from the label, an integer or one-hot."""
    tensors = opened.inputs
    integers = [index for index, tensor in enumerate(tensors) if tensor.dtype in ("int32", "int64")]
    floats = [index for index, tensor in enumerate(tensors) if tensor.dtype == "float32"]
    found = ", ".join(f"{tensor.name} [{listed(tensor.shape)}] {tensor.dtype}" for tensor in tensors)
    main = (
        "latent [N, D] or [N, h, w, c]"
        if component is Component.DECODER
        else "image [N, H, W, C], vector [N, F] or sequence [N, T, C]"
    )
    if len(floats) == len(tensors) == 2:
        one_hot = label_position(tensors, label_count)
        integers, floats = [one_hot], [1 - one_hot]
    if len(floats) != 1 or len(integers) > 1 or len(floats) + len(integers) != len(tensors):
        raise ExportError(
            f"a {component} must take one float32 {main}, and optionally a label, integers [N] or one-hot [N, K], "
            f"got {found}"
        )
    if len(tensors[floats[0]].shape) not in ranks:
        raise ExportError(f"a {component} must take a float32 {main}, got {found}")
    for tensor in tensors:
        if tensor.shape[0] is not None:
            raise ExportError(f"the {component}'s batch size must be left open (None), got {found}")
    label = integers[0] if integers else None
    if label is None or tensors[label].dtype == "float32":
        return _Inputs(main=floats[0], label=label)
    if tensors[label].shape[1:] not in ((), (1,)):
        raise ExportError(f"a {component}'s label must be an integer [N] or [N, 1], got {found}")
    return _Inputs(main=floats[0], label=label)


def _fixed(component: Component, tensor: Tensor) -> tuple[int, ...]:
    sizes = tuple(size for size in tensor.shape[1:] if size is not None)
    if len(sizes) != len(tensor.shape) - 1:
        raise ExportError(f"the {component}'s input must have fixed sizes, got {tensor.name} [{listed(tensor.shape)}]")
    return sizes


def _label_count(models: ExternalModels, opened: OpenModel, inputs: _Inputs) -> int:
    """Returns the number of classes: as stated, or from the model's only embedding; 0 without a label."""
    if inputs.label is None:
        if models.label_count is not None:
            raise ExportError("--label-count needs a decoder that takes a label")
        return 0
    label = opened.inputs[inputs.label]
    if label.dtype == "float32":
        (classes,) = _fixed(Component.DECODER, label)
        if models.label_count not in (None, classes):
            raise ExportError(f"--label-count must be the one-hot label's width {classes}, got {models.label_count}")
        return classes
    sizes = {int(layer.input_dim) for layer in getattr(opened.model, "layers", []) if hasattr(layer, "input_dim")}
    if models.label_count is not None:
        return models.label_count
    if len(sizes) != 1:
        raise ExportError("the number of classes is unknown, because the decoder does not show it: pass --label-count")
    return sizes.pop()


def _form(
    opened: OpenModel, inputs: _Inputs, main: Role, outputs: Sequence[Role], values: Sequence[FloatArray]
) -> ModelForm:
    return ModelForm(
        flavour=opened.flavour,
        custom_code=opened.custom_code,
        inputs=tuple(
            _port(tensor, Role.LABEL if index == inputs.label else main, tuple(size or 1 for size in tensor.shape[1:]))
            for index, tensor in enumerate(opened.inputs)
        ),
        outputs=tuple(
            _port(tensor, role, value.shape[1:])
            for tensor, role, value in zip(opened.outputs, outputs, values, strict=True)
        ),
    )


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
