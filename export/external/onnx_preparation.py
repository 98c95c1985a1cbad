"""Preparation of ONNX files of other frameworks: one form, one opset, float32, any batch, the channels last.

What it writes are ordinary ONNX files, which are inspected and exported like any others.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError, ParityError
from pocketvae.export.convert.batches_onnx import open_batch
from pocketvae.export.convert.onnx import serialize
from pocketvae.export.external.messages import ExternalModels, Preparation, PreparationRequest
from pocketvae.export.external.moments import LOST_PRIOR, notes_of
from pocketvae.export.external.not_finite import onnx_origin
from pocketvae.export.from_onnx.folding import fix_batch, fold, is_random, shapes_of, training_operators
from pocketvae.export.from_onnx.layout import to_last, turn_input, turn_output
from pocketvae.export.from_onnx.lowering import lower, pixels_as_floats, raised, to_float32
from pocketvae.export.from_onnx.orders import arranged
from pocketvae.export.from_onnx.reading import blaming_invalid, read
from pocketvae.export.from_onnx.sampling import (
    Sampling,
    behind,
    cut,
    data_of,
    drawn_between,
    drawn_for,
    find_samplings,
    random_outputs,
    redirect,
    returns_what_it_takes,
)
from pocketvae.export.from_onnx.shuffles import reorder_filters
from pocketvae.keras.model_form import Role
from pocketvae.keras.onnx.graph import unknown_operators
from pocketvae.parsing import sentences
from pocketvae.runtimes.onnxruntime import open_session
from pocketvae.spec import Component
from pocketvae.system.files import sha256_path, write_bytes
from pocketvae.vae_spec import DataKind

_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64, 9: np.bool_}
# Of an output's largest value: what float16 weights in float16 arithmetic differ by, and what other orders of sums do.
_SAME_IN_HALF, _SAME = 5e-2, 1e-3
_TRIALS = 2
_SIZES_HINT = "state them with --latent-shape, in the file's own order, or "


@dataclass(kw_only=True)
class _File:
    """A file in the one form.

    Attributes:
        path: Of the user's file.
        model: As a `ModelProto` of a fixed batch size.
        original: The same before anything was changed but the batch size.
        changes: What was changed, in words.
    """

    path: Path
    model: Any
    original: Any
    changes: list[str]


def _refuse_options(models: ExternalModels) -> None:
    """Refuses what only a Keras model or a SavedModel has."""
    given = {
        "--code": models.decoder_code,
        "--encoder-code": models.encoder_code,
        "--decoder-signature": models.decoder_signature,
        "--encoder-signature": models.encoder_signature,
        "--decoder-part": models.decoder_part,
        "--latent-layer": models.latent_layer,
        "--joined-outputs": models.joined_outputs,
    }
    for option, value in given.items():
        if value:
            raise ExportError(f"{option} is for Keras models and SavedModels, but {models.decoder} is an ONNX file")


def prepare_onnx(request: PreparationRequest) -> Preparation:
    """Prepares the ONNX files of a request.

    Raises:
        ExportError: a file cannot be read or brought into the one form; the message says why and what helps.
        TargetError: onnx or onnxruntime is not installed.
    """
    _refuse_options(request.models)
    with blaming_invalid(request.models.paths.values()):
        return _prepared(request.models, Path(request.folder))


def _prepared(models: ExternalModels, folder: Path) -> Preparation:
    is_whole = models.encoder == models.decoder
    decoder_file = _opened(
        models.decoder, () if is_whole else models.latent_shape or (), "" if is_whole else _SIZES_HINT
    )
    data_sizes = _sizes_of_data(decoder_file)
    latents = _latents_of(decoder_file) if is_whole or returns_what_it_takes(decoder_file.model) else {}
    lines = [_picture(decoder_file, latents)] if latents else []
    decoder = _decoder(decoder_file, latents)
    facts: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    parts = {Component.DECODER: decoder}
    roles = models.encoder_outputs
    if models.encoder is not None:
        own = _opened(models.encoder, data_sizes)
        encoder, roles, notes = _encoder(models, own, latents if is_whole else {})
        facts |= dict.fromkeys(["posterior"] if notes else [], "".join(notes))
        parts = {Component.ENCODER: encoder, **parts}
    is_image = models.data_kind in (None, DataKind.IMAGE)
    second, doubts = arranged(parts, models.data_format, is_image=is_image, image_shape=models.image_shape)
    paths = {component: folder / f"{component}.onnx" for component in parts}
    for component, part in parts.items():
        _turn(part, second[component])
        _write(component, part, paths[component])
        facts |= _facts(component, part)
        lines.append(f"{part.path.name}: {component}, {', '.join(part.changes)}")
    lines += [f"{models.decoder.name}: {note}" for note in notes]
    doubts += (LOST_PRIOR,) if notes and len(latents or decoder.model.graph.input) > 1 else ()
    prepared = replace(
        models,
        decoder=paths[Component.DECODER],
        encoder=paths.get(Component.ENCODER),
        encoder_outputs=roles,
        latent_shape=None,
        latent_layer="",
        decoder_part="",
    )
    return Preparation(models=prepared, facts=facts, found=tuple(lines), doubts=doubts)


def _sizes_of_data(decoder: _File) -> Sequence[int | None]:
    """Returns the sizes of what a decoder returns, without the batch, in its own order."""
    return shapes_of(decoder.model).get(decoder.model.graph.output[0].name, [])[1:]


def _opened(path: Path, known: Sequence[int | None] = (), hint: str = "") -> _File:
    model = read(path)
    changes = [
        " ".join(filter(None, ["ONNX", model.producer_name and f"of {model.producer_name}", model.producer_version]))
    ]
    if pixels_as_floats(model):
        changes.append("pixels of 8 bits as float32")
    model = raised(model)
    if not fix_batch(path, model, known, hint):
        changes.append("its batch size made open")
    original = copy.deepcopy(model)
    fold(model)
    training = training_operators(model.graph)
    if training:
        raise ExportError(
            f"{path} was exported in training mode ({', '.join(training)}): call model.eval() before torch.onnx.export"
        )
    types = to_float32(model)
    if types:
        changes.append(f"{' and '.join(types)} as float32")
    lower(model)
    fold(model)
    reorder_filters(model.graph)
    unknown = unknown_operators(model.graph)
    if unknown:
        raise ExportError(
            f"{path} has operators that pocketvae does not support: {', '.join(unknown[:5])}; build the model from "
            f"others, or leave them out of what is exported"
        )
    return _File(path=path, model=model, original=original, changes=changes)


def _latents_of(file: _File) -> dict[str, Sampling]:
    """Returns the samplings that the decoder in a whole VAE goes on from, by the names of its inputs."""
    found, _ = drawn_for(file.model.graph, find_samplings(file.model.graph))
    if not found:
        raise ExportError(
            f"{file.path} does not draw its latent as mean + noise * scale, so it cannot be cut: export decoder and "
            f"encoder alone, as in torch.onnx.export(vae.decoder.eval(), (z,), 'decoder.onnx'), and pass --decoder and "
            f"--encoder"
        )
    if len(found) == 1:
        return {found[0].latent: found[0]}
    return {f"z{place + 1}": item for place, item in enumerate(found)}


def _picture(file: _File, latents: Mapping[str, Sampling]) -> str:
    shapes, (data, beside) = shapes_of(file.model), data_of(file.model, list(latents.values()))

    def sizes(name: str) -> str:
        return f"{name} {shapes.get(name, [])[1:]}"

    encoded = "; ".join(
        f"{sizes(item.mean)}, {sizes(item.spread)} -> sampling (left out) -> {sizes(item.latent)}"
        for item in latents.values()
    )
    decoded = ", ".join([encoded, *map(sizes, beside)])
    return f"{file.path.name}: {sizes(data)} -> [encoder] -> {decoded} -> [decoder]"


def _decoder(file: _File, latents: Mapping[str, Sampling]) -> _File:
    if latents:
        _, outputs = drawn_for(file.model.graph, find_samplings(file.model.graph))
        data, beside = data_of(file.model, list(latents.values()))
        if data in beside:
            raise ExportError(f"{file.path} cannot be cut: its decoder reads the data {data!r}, not the latent alone")
        for graph in (file.model.graph, file.original.graph):
            renamed = {item.latent: name for name, item in latents.items()}
            redirect(graph, renamed)
            for node in graph.node:
                node.output[:] = [renamed.get(name, name) for name in node.output]
        _extract(file, [*latents, *beside], outputs)
        file.changes.append("the decoder in it")
    return file


def _encoder(
    models: ExternalModels, file: _File, latents: Mapping[str, Sampling]
) -> tuple[_File, tuple[Role, ...] | None, tuple[str, ...]]:
    """Returns the encoder, the roles of its outputs, and what is to be said of it."""
    graph, roles = file.model.graph, models.encoder_outputs
    drawn = find_samplings(graph)
    between = drawn_between(graph, drawn) if not latents else _needed(graph, drawn, latents)
    for one in (graph, file.original.graph):
        redirect(one, {item.latent: item.mean for item in between})
    own = {item.latent: name for name, item in latents.items()} if len(latents) > 1 else {}
    notes = notes_of([own.get(item.latent, item.latent) for item in between])
    names = [output.name for output in graph.output]
    random = random_outputs(graph)
    steps = list(latents.values())
    if not steps and random and len(random) == len(names):
        steps = find_samplings(graph)
        if not steps:
            raise ExportError(
                f"every output of {file.path} depends on random numbers: export an encoder that returns its mean and "
                f"its log-variance, as in `return mu, logvar`"
            )
    if steps:
        ends = [name for item in steps for name in (item.mean, item.spread)]
        needed = {name for end in ends for name in behind(graph, end)}
        _extract(file, [given.name for given in graph.input if not latents or given.name in needed], ends)
        file.changes.append("without its sampling")
        return file, tuple(role for item in steps for role in (Role.MEAN, item.role)), notes
    if random:
        kept = [place for place in range(len(names)) if place not in random]
        if roles is not None and len(roles) == len(names):
            roles = tuple(roles[place] for place in kept)
        _extract(file, [given.name for given in graph.input], [names[place] for place in kept])
        file.changes.append("without its sampling")
    return file, roles, notes


def _needed(graph: Any, drawn: Sequence[Sampling], latents: Mapping[str, Sampling]) -> list[Sampling]:
    """Returns the samplings that draw what the moments of a whole VAE's latents depend on."""
    ends = [name for item in latents.values() for name in (item.mean, item.spread)]
    needed = {name for end in ends for name in behind(graph, end)}
    return [item for item in drawn if item.latent in needed]


def _extract(file: _File, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Cuts a file to what leads from some tensors to others."""
    shapes = shapes_of(file.model)
    unknown = [name for name in inputs if name not in shapes]
    if unknown:
        raise ExportError(
            f"the sizes of {unknown[0]!r} in {file.path} do not follow from its inputs: export the model with an "
            f"example input of the final size"
        )
    for model in (file.model, file.original):
        cut(model, inputs, outputs, shapes)


def _turn(file: _File, second: Mapping[str, bool]) -> None:
    """Gives inputs and outputs whose channels are second their channels last."""
    shapes, graph, turned = shapes_of(file.model), file.model.graph, []
    for place, given in enumerate(list(graph.input)):
        if second[given.name]:
            turned.append(given.name)
            turn_input(graph, place)
    for place, output in enumerate(list(graph.output)):
        if second[output.name]:
            turned.append(output.name)
            turn_output(graph, place, len(shapes[output.name]))
    for name in turned:
        axes = {3: ("[N, C, T]", "[N, T, C]"), 4: ("[N, C, H, W]", "[N, H, W, C]")}
        old, new = axes.get(len(shapes[name]), ("[N, C, ...]", "[N, ..., C]"))
        file.changes.append(f"{name} {old} is {new} in every artifact")


def _write(component: Component, part: _File, path: Path) -> None:
    random = sorted({node.op_type for node in part.model.graph.node if is_random(node)})
    if random:
        raise ExportError(
            f"the {component} in {part.path} depends on random numbers ({', '.join(random)}): export one without its "
            f"sampling, in evaluation mode (model.eval())"
        )
    inferred = shapes_of(part.model)
    for output in part.model.graph.output:
        sizes = inferred.get(output.name)
        if sizes is None or None in sizes:
            raise ExportError(
                f"the sizes of {output.name!r} in {part.path} do not follow from its inputs: export the model with an "
                f"example input of the final size"
            )
        _set_sizes(output, sizes)
    fixed = serialize(part.model)
    try:
        content = open_batch(fixed)
    except ExportError as e:
        raise ExportError(f"the {component} in {part.path} must treat every sample alone: {e}") from e
    _check_same(part, content)
    write_bytes(path, content)


def _set_sizes(output: Any, sizes: Sequence[int | None]) -> None:
    shape = output.type.tensor_type.shape
    del shape.dim[:]
    for size in sizes:
        shape.dim.add().dim_value = size or 0


def _check_same(part: _File, content: bytes) -> None:
    """Compares what was prepared with the user's file on samples, both on onnxruntime."""
    before, after = part.original.graph, part.model.graph
    rng = np.random.default_rng(0)
    for _ in range(_TRIALS):
        old, new = {}, {}
        for given, other in zip(before.input, after.input, strict=True):
            values = _sample(given, rng)
            old[given.name] = values
            is_turned = list(values.shape) != [dim.dim_value for dim in other.type.tensor_type.shape.dim] or any(
                node.input[0] == other.name and node.name.endswith("/turned") for node in after.node
            )
            changed = values.transpose(to_last(values.ndim)) if is_turned else values
            new[other.name] = changed.astype(np.float32) if changed.dtype.kind == "f" else changed
        expected = _run(part, part.original.SerializeToString(), old)
        found = _run(part, content, new)
        for name, first, second in zip([output.name for output in after.output], expected, found, strict=True):
            first = first.astype(np.float32)
            first = (
                first.transpose(to_last(first.ndim))
                if first.shape != second.shape or _ends_turned(after, name)
                else first
            )
            if not np.isfinite(first).all():
                raise ExportError(
                    f"{part.path} returns values that are not finite in {name!r}: {onnx_origin(part.original, old)}"
                )
            limit = _SAME_IN_HALF if any("float16" in change for change in part.changes) else _SAME
            difference = float(np.max(np.abs(first - second), initial=0.0))
            if not difference <= limit * max(1.0, float(np.max(np.abs(first), initial=0.0))):
                raise ExportError(
                    f"{part.path} returns other values once it is prepared (up to {difference:.3g} in {name!r}): "
                    f"pocketvae does not support one of its operators correctly; please report it"
                )


def _ends_turned(graph: Any, name: str) -> bool:
    return any(node.output[0] == name and node.name.endswith("/turned") for node in graph.node)


def _sample(given: Any, rng: np.random.Generator) -> npt.NDArray[Any]:
    kind = given.type.tensor_type
    dtype = _TYPES.get(kind.elem_type)
    if dtype is None:
        raise ExportError(
            f"the input {given.name!r} must be of float16, float32, float64 or of integers: export the model in float32"
        )
    shape = [dim.dim_value for dim in kind.shape.dim]
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _run(part: _File, content: bytes, feed: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    try:
        return list(open_session(content, num_threads=1, name=str(part.path)).run(None, feed))
    except Exception as e:  # onnxruntime raises many unrelated types
        if any("bfloat16" in change for change in part.changes):
            raise ExportError(
                f"{part.path} computes in bfloat16, which onnxruntime does not on a CPU: export the model in float32, "
                f"as by model.float()"
            ) from e
        if isinstance(e, ParityError):
            raise ExportError(str(e)) from e
        raise ExportError(f"{part.path} does not run on onnxruntime: {sentences(e)}") from e


def _facts(component: Component, part: _File) -> dict[str, str]:
    return {
        f"{component} source": part.path.name,
        f"{component} source sha256": sha256_path(part.path),
        f"{component} taken from it": ", ".join(part.changes),
    }
