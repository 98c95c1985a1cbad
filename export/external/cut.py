"""Where a model is cut: before the sampling, and behind it. Found by structure; names only break ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.flat_graph import (
    FlatGraph,
    ancestors,
    count_of,
    inputs_of,
    is_hole,
    layer_of,
    name_of,
    size_of,
    sizes_of,
)
from pocketvae.export.external.moments import Moments, latent_names, moments_of, notes_of
from pocketvae.export.external.samplings import (
    Sampling,
    given_samples,
    is_among,
    is_said,
    is_twice,
    of_layer,
    samplings,
    stand_ins,
    unknown_behind,
)
from pocketvae.parsing import shortened


class NeedsCodeError(ExportError):
    """A part depends on layers whose code is not loaded.

    Attributes:
        kinds: The classes of these layers.
    """

    def __init__(self, message: str, kinds: Sequence[str] = ()) -> None:
        """Keeps the classes beside the message."""
        super().__init__(message)
        self.kinds = tuple(kinds)

    @classmethod
    def naming(cls, tensors: Sequence[Any]) -> NeedsCodeError:
        """Names the classes of the layers that make some tensors."""
        kinds = sorted({shortened(type(layer_of(tensor)).__name__, 60) for tensor in tensors if is_hole(tensor)})
        return cls(f"needs custom code ({', '.join(kinds[:5])})", kinds)

    def of(self, file: Path) -> NeedsCodeError:
        """Returns the same error with the name of the file."""
        return NeedsCodeError(f"{file} {self}", self.kinds)


def check_known(outputs: Sequence[Any], starts: Sequence[Any] = (), replaced: Mapping[int, Any] | None = None) -> None:
    """Checks that a part does not depend on layers whose code is not loaded.

    Args:
        outputs: What the part returns.
        starts: Where it begins.
        replaced: What stands for a tensor, by the identity of that tensor.

    Raises:
        NeedsCodeError: it does.
    """
    ends = {id(tensor) for tensor in starts} | set(replaced or ())
    unknown = [item for key, item in ancestors(outputs, starts, replaced).items() if is_hole(item) and key not in ends]
    if unknown:
        raise NeedsCodeError.naming(unknown)


class NoLatentError(ExportError):
    """Nothing in a model shows where its latent is."""


@dataclass(frozen=True, kw_only=True)
class EncoderCut:
    """What an encoder returns without its sampling.

    Attributes:
        moments: Its outputs, their names and roles.
        kept: The positions of the outputs among the graph's own; empty if they are none of them.
        replaced: The means that stand for samples that later latents depend on, by the sample's identity.
        notes: What is to be known about the latents, in words.
    """

    moments: Moments
    kept: tuple[int, ...] = ()
    replaced: Mapping[int, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WholeCut:
    """A whole VAE, cut.

    Attributes:
        latents: Where: the steps that draw what the decoder takes, by the latents' names.
        data: The model's input that the encoder takes.
        decoded: The tensor that the decoder returns.
        encoder: What the encoder returns.
        beside: Other tensors that are made of the latents alone, which the decoder returns too.
    """

    latents: Mapping[str, Sampling]
    data: Any
    decoded: Any
    encoder: EncoderCut
    beside: tuple[Any, ...] = ()


def cut_whole(graph: FlatGraph, *, latent_layer: str = "", decoder_part: str = "") -> WholeCut:
    """Finds encoder and decoder in the graph of a whole VAE.

    Args:
        graph: The graph.
        latent_layer: Layers that make the latents, as named by the user, with commas between them; empty to find them.
        decoder_part: Layer or nested model that makes the decoder's output, as named by the user; empty to find it.

    Raises:
        ExportError: it is not a whole VAE, or its parts cannot be told apart; the message says what helps.
    """
    data = _main_input(graph)
    decoded = _named_output(graph, decoder_part) if decoder_part else _decoded(graph, data)
    named = [_named_latent(graph, name) for name in latent_layer.split(",") if name]
    steps = named or _samplings_before(graph, decoded)
    behind = ancestors([decoded], [step.latent for step in steps])
    lost = [step for step in steps if id(step.latent) not in behind]
    if lost:
        raise ExportError(
            f"the model's output {name_of(decoded)!r} does not depend on {name_of(lost[0].latent)!r}: name the "
            f"latent with --latent-layer and the decoder with --decoder-part"
        )
    if id(data) in behind:
        listed = " and ".join(repr(name_of(step.latent)) for step in steps)
        raise ExportError(
            f"the decoder also reads the encoder's input {name_of(data)!r} past {listed}, so the "
            f"model cannot be cut there: name another layer with --latent-layer"
        )
    names = latent_names([step.latent for step in steps])
    latents = dict(zip(names, steps, strict=True))
    beside = _beside(graph, decoded, data, [step.latent for step in steps])
    return WholeCut(latents=latents, data=data, decoded=decoded, encoder=_encoder_of(graph, latents), beside=beside)


def _beside(graph: FlatGraph, decoded: Any, data: Any, latents: Sequence[Any]) -> tuple[Any, ...]:
    """Returns what else is returned by the model, or by the nested one that decodes, and made of the latents alone."""
    nested = graph.called.get((graph.path(decoded) or ("",))[0], ())
    starts = {id(tensor) for tensor in latents}
    found: dict[int, Any] = {}
    for tensor in (*graph.outputs, *nested):
        behind = ancestors([tensor], latents)
        is_decoded = id(tensor) not in starts and starts & set(behind) and id(data) not in behind
        is_known = not any(is_hole(item) for key, item in behind.items() if key not in starts)
        if is_decoded and is_known and tensor is not decoded:
            found[id(tensor)] = tensor
    return tuple(found.values())


def _encoder_of(graph: FlatGraph, latents: Mapping[str, Sampling]) -> EncoderCut:
    moments = moments_of(latents)
    drawn = [step for step in samplings(graph) if is_said(step)]
    between = _between(moments.outputs, drawn)
    own = {id(step.latent): name for name, step in latents.items()}
    notes = notes_of([own.get(id(step.latent), name_of(step.latent)) for step in between])
    return EncoderCut(moments=moments, replaced=stand_ins(between), notes=notes)


def _between(outputs: Sequence[Any], drawn: Sequence[Sampling]) -> list[Sampling]:
    """Returns the steps that draw what an encoder's outputs depend on."""
    behind = ancestors(outputs, [])
    return [step for step in drawn if id(step.latent) in behind]


def is_whole(graph: FlatGraph) -> bool:
    """Whether a model returns what it takes: an output of its main input's shape.

    A layer whose code is not loaded is taken to return the shape that it takes, which says nothing of an output.
    """
    data = _main_input(graph)
    return any(_alike(tensor, data) and not is_hole(tensor) for tensor in _peeled(graph, graph.outputs))


def cut_encoder(graph: FlatGraph, decoder: FlatGraph | None = None) -> EncoderCut:
    """Finds what an encoder returns before its sampling.

    Its own outputs are kept where they suffice; of several latents, those that depend on the sample of another one are
    computed from the mean of that, and so are those that take it as an input.

    Args:
        graph: The encoder's graph.
        decoder: That of its decoder, whose inputs say which inputs of the encoder are latents.

    Raises:
        ExportError: mean and log-variance cannot be found without the custom code, or there is no mean of a latent
            that the encoder takes.
    """
    drawn = [*given_samples(graph, decoder), *(step for step in samplings(graph) if is_said(step))]
    returned = [tensor for tensor in graph.outputs if not is_hole(tensor)]
    returned = [tensor for tensor in returned if not is_among(tensor, [step.latent for step in drawn])]
    between = _between([*returned, *(tensor for step in drawn for tensor in step.moments)], drawn)
    replaced = stand_ins(between)
    samples = [step.latent for step in between]
    kept = tuple(
        index
        for index, tensor in enumerate(graph.outputs)
        if not is_among(tensor, samples) and not unknown_behind([tensor], replaced)
    )
    sampled = len(kept) < len(graph.outputs) and kept != ()
    notes = notes_of([name_of(step.latent) for step in between])
    if kept and (len(kept) > 1 or not sampled or _is_joined(graph, graph.outputs[kept[0]])):
        outputs = Moments(outputs=tuple(graph.outputs[index] for index in kept))
        return EncoderCut(moments=outputs, kept=kept, replaced=replaced, notes=notes)
    steps = drawn if between else samplings(graph)[:1]
    if not steps:
        raise NeedsCodeError.naming(unknown_behind(graph.outputs))
    names = latent_names([step.latent for step in steps])
    return EncoderCut(moments=moments_of(dict(zip(names, steps, strict=True))), replaced=replaced, notes=notes)


def _is_joined(graph: FlatGraph, tensor: Any) -> bool:
    return any(is_twice(tensor, other) for other in graph.outputs if other is not tensor)


def narrowest_layer(graph: FlatGraph, data: Any, decoded: Any) -> str:
    """Returns the layer whose output is the smallest that everything between input and output passes through."""
    behind = ancestors([decoded], [])
    candidates = [
        (count_of(tensor), name_of(tensor))
        for tensor in graph.tensors()
        if tensor is not data
        and tensor is not decoded
        and id(tensor) in behind
        and id(data) not in ancestors([decoded], [tensor])
        and id(data) in ancestors([tensor], [])
    ]
    return min(candidates)[1] if candidates else ""


def _main_input(graph: FlatGraph) -> Any:
    return max(graph.inputs, key=lambda tensor: (len(tensor.shape), count_of(tensor)))


def _alike(tensor: Any, data: Any) -> bool:
    return len(tensor.shape) == len(data.shape) and size_of(tensor) == size_of(data) and tensor is not data


def _peeled(graph: FlatGraph, outputs: Sequence[Any]) -> list[Any]:
    """Returns outputs, those of layers at the end whose code is not loaded replaced by what these take."""
    made: list[Any] = []
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop(0)
        made.append(tensor)
        if is_hole(tensor) and not graph.consumers(tensor):
            waiting += [source for source in inputs_of(tensor) if not is_among(source, graph.inputs)]
    return made


def _decoded(graph: FlatGraph, data: Any) -> Any:
    found = _peeled(graph, graph.outputs)
    alike = [tensor for tensor in found if _alike(tensor, data) and not is_hole(tensor)] or [
        tensor for tensor in found if _alike(tensor, data)
    ]
    if alike:
        return alike[0]
    largest = max(found, key=count_of)
    if count_of(largest) < count_of(data) // 4 or (len(graph.outputs) > 1 and count_of(largest) != count_of(data)):
        shapes = ", ".join(f"{name_of(tensor)!r} {sizes_of(tensor)}" for tensor in graph.outputs)
        raise ExportError(
            f"a whole VAE must return data like its input {sizes_of(data)}, got {shapes}: give the encoder with "
            f"--encoder and the decoder with --decoder, or name the decoder's last layer with --decoder-part"
        )
    return largest


def _named_output(graph: FlatGraph, name: str) -> Any:
    if graph.called.get(name):
        return max(graph.called[name], key=count_of)
    return _named(graph, name, "--decoder-part")


def _named(graph: FlatGraph, name: str, option: str) -> Any:
    *folders, layer = name.split("/")
    found = [
        tensor
        for tensor in graph.tensors()
        if name_of(tensor) == layer and (not folders or graph.path(tensor) == tuple(folders))
    ]
    if not found:
        names = list(dict.fromkeys(name_of(tensor) for tensor in graph.tensors()))
        raise ExportError(f"{option} must name a layer of the model, got {name!r}: it has {', '.join(names[-20:])}")
    return found[0]


def _named_latent(graph: FlatGraph, name: str) -> Sampling:
    if graph.called.get(name) and len(graph.called[name]) == 1:
        latent = graph.called[name][0]
    else:
        latent = _named(graph, name, "--latent-layer")
    drawn = next((item for item in samplings(graph) if item.latent is latent), None)
    if drawn is not None:
        return drawn
    if is_hole(latent):
        return of_layer(latent)
    return Sampling(latent=latent, moments=(latent,))


def _samplings_before(graph: FlatGraph, decoded: Any) -> list[Sampling]:
    """Returns the samplings that the decoded output comes from directly, or the border between two nested models."""
    found = samplings(graph)
    behind = ancestors([decoded], [item.latent for item in found])
    drawn = [item for item in found if id(item.latent) in behind]
    if len(drawn) > 1 and not all(is_said(item) for item in drawn):
        names = ",".join(item.layer for item in drawn)
        raise ExportError(
            f"several layers may draw noise ({names}), and it is not known which do: name the latent, or all of them, "
            f"with --latent-layer {names}"
        )
    if drawn:
        return drawn
    border = _border(graph, decoded)
    if border is not None:
        return [border]
    data = _main_input(graph)
    narrow = narrowest_layer(graph, data, decoded)
    hint = f" {narrow} (its narrowest)" if narrow else " NAME"
    raise NoLatentError(
        f"the model does not draw noise and has no nested decoder, so its latent is not known: name the layer that "
        f"makes it with --latent-layer{hint}"
    )


def _border(graph: FlatGraph, decoded: Any) -> Sampling | None:
    """Returns the tensor that goes from one nested model to the one that makes the output."""
    last = graph.path(decoded)[:1]
    if not last:
        return None
    inside = {key: tensor for key, tensor in ancestors([decoded], []).items() if graph.path(tensor)[:1] == last}
    entering = {
        id(source): source
        for tensor in inside.values()
        for source in inputs_of(tensor)
        if id(source) not in inside and not is_among(source, graph.inputs)
    }
    if len(entering) != 1:
        return None
    (latent,) = entering.values()
    encoder = graph.called.get((graph.path(latent) or ("",))[0], ())
    moments = tuple(tensor for tensor in encoder if not unknown_behind([tensor]))
    if is_among(latent, moments):
        return Sampling(latent=latent, moments=moments)
    return Sampling(latent=latent, moments=(latent,))
