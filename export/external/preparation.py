"""Preparation of user-supplied models: each becomes one part, in float32, without the layers that are never exported.

Run as `python -m pocketvae.export.external.preparation`: loading a model may crash, so it runs in a separate process.
What it writes are ordinary files of Keras, which are inspected and exported like any others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.cut import (
    EncoderCut,
    NeedsCodeError,
    NoLatentError,
    WholeCut,
    check_known,
    cut_encoder,
    cut_whole,
    is_whole,
)
from pocketvae.export.external.flat_graph import FlatGraph, count_of, flatten, layer_of, name_of, part, sizes_of
from pocketvae.export.external.messages import PREPARE, ExternalModels, Preparation, PreparationRequest
from pocketvae.export.external.moments import LOST_PRIOR
from pocketvae.export.external.onnx_preparation import prepare_onnx
from pocketvae.export.external.parts import Source, open_sources, open_with_code
from pocketvae.export.external.pixels import Adaptation, encoder_adaptation, float_output, turned_output
from pocketvae.export.external.samplings import Sampling
from pocketvae.export.external.saved_encoder import without_sampling
from pocketvae.export.external.saved_whole import prepare_saved
from pocketvae.export.external.weights import built_model
from pocketvae.keras.checkpoints import checkpoint_prefix
from pocketvae.keras.custom_code import CustomCode, custom_hint
from pocketvae.keras.files import ModelKind, model_kind
from pocketvae.keras.holes import make_reproducible
from pocketvae.keras.loading import output_names, returns_dict
from pocketvae.keras.model_form import Flavour, Role
from pocketvae.keras.saved_model import may_draw
from pocketvae.processes.rpc import handler, serve
from pocketvae.spec import Component
from pocketvae.system.files import sha256_path


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part that was found: a path to a file, which is the user's own if nothing had to be changed."""

    path: Path
    facts: Mapping[str, str]
    roles: tuple[Role, ...] | None = None
    found: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def prepare_models(request: PreparationRequest) -> Preparation:
    """Prepares the models of a request, and leaves those alone that need nothing.

    Raises:
        ExportError: a file cannot be loaded or cut; the message says why and what helps.
        TargetError: TensorFlow or Keras is not installed.
    """
    built = {Component.DECODER: request.models.decoder_code, Component.ENCODER: request.models.encoder_code}
    kinds = {
        path: model_kind(path)
        for component, path in request.models.paths.items()
        # A checkpoint is no file of its own.
        if not (built.get(component) and checkpoint_prefix(path))
    }
    if ModelKind.ONNX in kinds.values():
        if len(set(kinds.values())) > 1:
            raise ExportError(
                "encoder and decoder must both be ONNX files, or neither: export both with torch.onnx.export"
            )
        return prepare_onnx(request)
    if request.models.data_format is not None:
        raise ExportError("--data-format is for ONNX files: the layers of Keras say where their channels are")
    if _is_saved_whole(request.models, kinds):
        return prepare_saved(request.models, Path(request.folder))
    try:
        return _prepare(request.models, Path(request.folder), open_sources)
    except NeedsCodeError as e:
        if not request.models.code.allowed:
            raise ExportError(f"{e}: {custom_hint(e.kinds)}") from e
        return _prepare(request.models, Path(request.folder), open_with_code)


def _is_saved_whole(models: ExternalModels, kinds: Mapping[Path, ModelKind]) -> bool:
    named = models.decoder_signature and models.encoder_signature
    return models.encoder == models.decoder and kinds.get(models.decoder) is ModelKind.SAVED_MODEL and not named


def _prepare(models: ExternalModels, folder: Path, opened: Callable[[Path, CustomCode], list[Source]]) -> Preparation:
    same = models.encoder == models.decoder
    decoder_sources = _opened(models.decoder, models.decoder_code, models.code, opened)
    if same:
        _check_whole(models, decoder_sources)
    decoder, decoder_graph = _decoder(models, decoder_sources, folder)
    parts = {Component.DECODER: decoder}
    if models.encoder is not None:
        encoder_code = models.encoder_code
        sources = decoder_sources if same else _opened(models.encoder, encoder_code, models.code, opened)
        parts[Component.ENCODER] = _encoder(models, models.encoder, sources, decoder_graph, folder)
    encoder = parts.get(Component.ENCODER)
    prepared = replace(
        models,
        decoder=decoder.path,
        encoder=encoder.path if encoder else None,
        encoder_outputs=encoder.roles if encoder else None,
        # A part that was written has one signature.
        encoder_signature=models.encoder_signature if encoder and encoder.path == models.encoder else "",
        latent_layer="",
        decoder_part="",
        decoder_code="",
        encoder_code="",
    )
    return Preparation(
        models=prepared,
        facts={key: value for item in parts.values() for key, value in item.facts.items()},
        found=tuple(dict.fromkeys(line for item in reversed(parts.values()) for line in item.found)),
        doubts=tuple(dict.fromkeys(line for item in parts.values() for line in item.doubts)),
    )


def _opened(
    path: Path, builder: str, code: CustomCode, opened: Callable[[Path, CustomCode], list[Source]]
) -> list[Source]:
    if not builder:
        return opened(path, code)
    model, flavour = built_model(path, builder)
    changes = (f"weights, in the model of {Path(builder).name}",)
    return [Source(path=path, name="", graph=flatten(model, flavour), model=model, changes=changes)]


def _decoder(models: ExternalModels, sources: Sequence[Source], folder: Path) -> tuple[_Part, FlatGraph | None]:
    source = _chosen(sources, Component.DECODER, models.decoder_part)
    if source.graph is None:
        return _Part(path=source.path, facts={}), None
    graph, changes = source.graph, list(source.changes)
    found: tuple[str, ...] = ()
    starts: list[tuple[Any, str]] = []
    cut = _whole(models, graph)
    if cut is not None:
        outputs = [float_output(tensor) for tensor in (cut.decoded, *cut.beside)]
        starts = [(step.latent, name) for name, step in cut.latents.items()]
        changes.append("the decoder in it")
        found = (_picture(models.decoder, cut),)
    else:
        outputs = [float_output(tensor) for tensor in graph.outputs]
    _check(models.decoder, outputs, [tensor for tensor, _ in starts])
    if graph.turned:
        outputs = [turned_output(graph, tensor) for tensor in outputs]
        changes.append("with the channels of images last")
    if not changes and all(new is old for new, old in zip(outputs, graph.outputs, strict=True)):
        return _Part(path=source.path, facts={}), graph
    keys = output_names(source.model) if cut is None and returns_dict(source.model) else ()
    model = part(graph, outputs, "decoder", starts=starts, keys=keys)
    path = _save(model, graph.flavour, folder / "decoder.keras")
    facts = _facts(Component.DECODER, models.decoder, changes)
    return _Part(path=path, facts=facts, found=found or _changes_found(models.decoder, changes)), flatten(
        model, graph.flavour
    )


def _check_whole(models: ExternalModels, sources: Sequence[Source]) -> None:
    """Refuses a file that cannot be a whole VAE.

    Raises:
        ExportError: it returns nothing like what it takes.
    """
    file = models.decoder
    if len(sources) > 1 or models.latent_layer or models.decoder_part:
        return
    graph = sources[0].graph
    if graph is not None and not is_whole(graph):
        given, made = ({count_of(tensor) for tensor in tensors} for tensors in (graph.inputs, graph.outputs))
        if not given & made:
            shapes = (", ".join(map(sizes_of, tensors)) for tensors in (graph.inputs, graph.outputs))
            raise ExportError(
                f"{file} is not a whole VAE: it makes {' of '.join(reversed(list(shapes)))}; pass a decoder with "
                f"--decoder and an encoder with --encoder"
            )


def _whole(models: ExternalModels, graph: FlatGraph) -> WholeCut | None:
    """Returns how the decoder is cut out of a whole VAE; None if the graph is that of a decoder."""
    named = bool(models.decoder_part or models.latent_layer)
    is_decoder = models.decoder_inputs is not None and models.encoder != models.decoder
    if not named and (is_decoder or not is_whole(graph)):
        return None
    try:
        return cut_whole(graph, latent_layer=models.latent_layer, decoder_part=models.decoder_part)
    except NoLatentError:
        # Of a decoder with several inputs one may be as large as its output.
        if len(graph.inputs) > 1 and models.encoder != models.decoder:
            return None
        raise


def _encoder(
    models: ExternalModels, file: Path, sources: Sequence[Source], decoder: FlatGraph | None, folder: Path
) -> _Part:
    source = _chosen(sources, Component.ENCODER, "")
    if source.graph is None:
        return _saved_encoder(models, source.path, folder)
    graph, changes = source.graph, list(source.changes)
    names = output_names(source.model)
    found: tuple[str, ...] = ()
    if is_whole(graph) or (models.latent_layer and models.encoder == models.decoder):
        whole = cut_whole(graph, latent_layer=models.latent_layer, decoder_part=models.decoder_part)
        cut = whole.encoder
        changes.append("the encoder in it")
        found = (_picture(file, whole),)
    else:
        cut = _encoder_cut(file, graph, decoder)
        if len(cut.kept) < len(graph.outputs) or cut.replaced:
            changes.append("without its sampling")
    outputs = cut.moments.outputs
    _check(file, outputs, [], cut.replaced)
    roles, doubts = _roles_of(models.encoder_outputs, graph, cut)
    adaptation = encoder_adaptation(graph, outputs, decoder, models.decoder_output)
    changes += adaptation.changes
    if not changes:
        return _Part(path=source.path, facts={}, roles=models.encoder_outputs)
    model = _encoder_part(graph, cut, names, adaptation)
    path = _save(model, graph.flavour, folder / "encoder.keras")
    facts = _facts(Component.ENCODER, file, changes)
    return _Part(
        path=path,
        facts={**facts, **({"posterior": cut.notes[0]} if cut.notes else {})},
        roles=roles,
        found=(*(found or _changes_found(file, changes)), *(f"{file.name}: {note}" for note in cut.notes)),
        doubts=(*doubts, *adaptation.doubts, *_prior_doubts(cut, decoder)),
    )


def _saved_encoder(models: ExternalModels, file: Path, folder: Path) -> _Part:
    stated = models.encoder_outputs
    found = without_sampling(file, models.code, models.encoder_signature, stated, folder) if may_draw(file) else None
    if found is None:
        return _Part(path=file, facts={}, roles=stated)
    changes = ["without its sampling"]
    path, roles = found
    facts = _facts(Component.ENCODER, file, changes)
    return _Part(path=path, facts=facts, roles=roles, found=_changes_found(file, changes))


def _prior_doubts(cut: EncoderCut, decoder: FlatGraph | None) -> Iterator[str]:
    if cut.notes and decoder is not None and len(decoder.inputs) > 1:
        yield LOST_PRIOR


def _roles_of(
    stated: tuple[Role, ...] | None, graph: FlatGraph, cut: EncoderCut
) -> tuple[tuple[Role, ...] | None, tuple[str, ...]]:
    """Returns the roles of an encoder's outputs, the user's own if there are some, and what was assumed."""
    if cut.kept:
        fits = stated is not None and len(stated) == len(graph.outputs)
        return (tuple(stated[index] for index in cut.kept) if stated and fits else stated), ()
    if stated is None or len(stated) != len(cut.moments.outputs):
        return cut.moments.roles, cut.moments.doubts
    return stated, ()


def _encoder_cut(file: Path, graph: FlatGraph, decoder: FlatGraph | None) -> EncoderCut:
    try:
        return cut_encoder(graph, decoder)
    except NeedsCodeError as e:
        raise e.of(file) from e


def _check(
    file: Path, outputs: Sequence[Any], starts: Sequence[Any], replaced: Mapping[int, Any] | None = None
) -> None:
    try:
        check_known(outputs, starts, replaced)
    except NeedsCodeError as e:
        raise e.of(file) from e


def _encoder_part(graph: FlatGraph, cut: EncoderCut, names: Sequence[str], adaptation: Adaptation) -> Any:
    """Returns the encoder; outputs that a dict named keep their names."""
    outputs, kept = cut.moments.outputs, [names[index] for index in cut.kept]
    is_dict = bool(kept) and kept != [name_of(tensor) for tensor in outputs]
    return part(
        graph,
        outputs,
        "encoder",
        keys=cut.moments.keys or (kept if is_dict else ()),
        shapes=adaptation.shapes,
        entering=adaptation.entering,
        skipped=adaptation.skipped,
        replaced=cut.replaced,
    )


def _chosen(sources: Sequence[Source], component: Component, named: str) -> Source:
    """Returns the part of a file that holds a component; most files hold one model."""
    if len(sources) == 1:
        return sources[0]
    if named:
        chosen = [source for source in sources if source.name == named]
        if not chosen:
            names = ", ".join(source.name for source in sources)
            raise ExportError(f"--decoder-part must name a part of the model, got {named!r}: it has {names}")
        return chosen[0]
    ranked = sorted(sources, key=lambda source: _likeness(source, component), reverse=True)
    return ranked[0]


def _likeness(source: Source, component: Component) -> tuple[float, bool]:
    """Returns how much a part looks like a component: a decoder returns more values than it takes."""
    graph = source.graph
    if graph is None:
        return 0.0, component in source.name.lower()
    taken = max(count_of(tensor) for tensor in graph.inputs)
    returned = max(count_of(tensor) for tensor in graph.outputs)
    growth = returned / max(1, taken)
    return (growth if component is Component.DECODER else 1 / growth), component in source.name.lower()


def _save(model: Any, flavour: Flavour, path: Path) -> Path:
    if flavour is Flavour.KERAS2:
        # tf_keras 2.21 takes "keras" for HDF5 in a thread that did not import it, from the second file on.
        model.save(str(path), save_format="keras_v3")
    else:
        model.save(str(path))
    make_reproducible(path)
    return path


def _facts(component: Component, file: Path, changes: Sequence[str]) -> dict[str, str]:
    return {
        f"{component} source": file.name,
        f"{component} source sha256": sha256_path(file if file.exists() else file.with_name(f"{file.name}.index")),
        f"{component} taken from it": ", ".join(dict.fromkeys(changes)),
    }


def _changes_found(file: Path, changes: Sequence[str]) -> tuple[str, ...]:
    return (f"{file.name}: {', '.join(dict.fromkeys(changes))}",)


def _picture(file: Path, cut: WholeCut) -> str:
    encoded = "; ".join(
        f"{', '.join(f'{name_of(item)} {sizes_of(item)}' for item in step.moments)} -> {_left_out(step)} "
        f"-> {name} {sizes_of(step.latent)}"
        for name, step in cut.latents.items()
    )
    return (
        f"{file.name}: {name_of(cut.data)} {sizes_of(cut.data)} -> [encoder] -> {encoded} "
        f"-> [decoder] -> {', '.join(f'{name_of(item)} {sizes_of(item)}' for item in (cut.decoded, *cut.beside))}"
    )


def _left_out(step: Sampling) -> str:
    return f"{step.layer} ({type(layer_of(step.latent)).__name__}, left out)" if step.layer else "no sampling"


def main() -> int:
    """Serves on the process's own pipes."""
    serve({PREPARE: handler(PreparationRequest, prepare_models)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
