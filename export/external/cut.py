"""Where a model is cut: before the sampling, and behind it. Found by structure; names only break ties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.flat_graph import (
    FlatGraph,
    ancestors,
    count_of,
    inputs_of,
    is_foreign,
    is_hole,
    layer_of,
    name_of,
    size_of,
    sizes_of,
)
from pocketvae.keras.model_form import Role
from pocketvae.parsing import shortened

_RANDOM = re.compile(r"random|truncated_normal", re.IGNORECASE)
_ADDS, _MULTIPLIES = re.compile(r"^(add|__operators__\.add|math\.add|tf\.__operators__\.add)$"), re.compile(r"mul")
_MEAN_NAME = re.compile(r"mean|mu$|^mu|loc$|_mu_")
_SPREAD_NAME = re.compile(r"var|std|sigma|scale|dev")
_POSITIVE = frozenset({"softplus", "exponential", "exp", "sigmoid", "relu"})


class NeedsCodeError(ExportError):
    """A part depends on layers whose code is not loaded."""

    @classmethod
    def naming(cls, tensors: Sequence[Any]) -> NeedsCodeError:
        """Names the classes of the layers that make some tensors."""
        kinds = sorted({shortened(type(layer_of(tensor)).__name__, 60) for tensor in tensors if is_hole(tensor)})
        return cls(f"needs custom code ({', '.join(kinds[:5])})")

    def of(self, file: Path) -> NeedsCodeError:
        """Returns the same error with the name of the file."""
        return NeedsCodeError(f"{file} {self}")


def check_known(outputs: Sequence[Any], starts: Sequence[Any] = ()) -> None:
    """Checks that a part does not depend on layers whose code is not loaded.

    Args:
        outputs: What the part returns.
        starts: Where it begins.

    Raises:
        NeedsCodeError: it does.
    """
    ends = {id(tensor) for tensor in starts}
    unknown = [item for key, item in ancestors(outputs, starts).items() if is_hole(item) and key not in ends]
    if unknown:
        raise NeedsCodeError.naming(unknown)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The step of a model that draws the latent, or the tensor that stands for it where nothing is drawn.

    Attributes:
        latent: The tensor that a decoder goes on from.
        moments: The tensors that the encoder ends in: mean and spread, both in one, or the mean alone.
        roles: What they are, as far as it is not left to their names.
        layer: Name of the layer that draws; empty where nothing is drawn.
        doubt: What was assumed; empty if nothing was.
    """

    latent: Any
    moments: tuple[Any, ...]
    roles: tuple[Role, ...] | None = None
    layer: str = ""
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class WholeCut:
    """A whole VAE, cut.

    Attributes:
        sampling: Where.
        data: The model's input that the encoder takes.
        decoded: The tensor that the decoder returns.
    """

    sampling: Sampling
    data: Any
    decoded: Any


def cut_whole(graph: FlatGraph, *, latent_layer: str = "", decoder_part: str = "") -> WholeCut:
    """Finds encoder and decoder in the graph of a whole VAE.

    Args:
        graph: The graph.
        latent_layer: Layer that makes the latent, as named by the user; empty to find it.
        decoder_part: Layer or nested model that makes the decoder's output, as named by the user; empty to find it.

    Raises:
        ExportError: it is not a whole VAE, or its parts cannot be told apart; the message says what helps.
    """
    data = _main_input(graph)
    decoded = _named_output(graph, decoder_part) if decoder_part else _decoded(graph, data)
    sampling = _named_latent(graph, latent_layer) if latent_layer else _sampling_before(graph, decoded)
    behind = ancestors([decoded], [sampling.latent])
    if id(sampling.latent) not in behind:
        raise ExportError(
            f"the model's output {name_of(decoded)!r} does not depend on {name_of(sampling.latent)!r}: name the "
            f"latent with --latent-layer and the decoder with --decoder-part"
        )
    if id(data) in behind:
        raise ExportError(
            f"the decoder also reads the encoder's input {name_of(data)!r} past {name_of(sampling.latent)!r}, so the "
            f"model cannot be cut there: name another layer with --latent-layer"
        )
    return WholeCut(sampling=sampling, data=data, decoded=decoded)


def is_whole(graph: FlatGraph) -> bool:
    """Whether a model returns what it takes: an output of its main input's shape."""
    data = _main_input(graph)
    return any(_alike(tensor, data) for tensor in _peeled(graph, graph.outputs))


def cut_encoder(graph: FlatGraph) -> tuple[tuple[Any, ...], tuple[int, ...], Sampling | None]:
    """Finds what an encoder returns before its sampling.

    Args:
        graph: The encoder's graph.

    Returns:
        The tensors that it returns without custom code; the positions of those among its outputs, empty if they are
        none of them; and the sampling that they were taken from in that case.

    Raises:
        ExportError: mean and log-variance cannot be found without the custom code.
    """
    kept = tuple(index for index, tensor in enumerate(graph.outputs) if not _unknown_behind([tensor]))
    sampled = len(kept) < len(graph.outputs) and kept != ()
    if kept and (len(kept) > 1 or not sampled or _is_joined(graph, graph.outputs[kept[0]])):
        return tuple(graph.outputs[index] for index in kept), kept, None
    sampling = next(_samplings(graph), None)
    if sampling is None:
        raise NeedsCodeError.naming(_unknown_behind(graph.outputs))
    return sampling.moments, (), sampling


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
            waiting += [source for source in inputs_of(tensor) if not _is_among(source, graph.inputs)]
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
    drawn = next((item for item in _samplings(graph) if item.latent is latent), None)
    if drawn is not None:
        return drawn
    if is_hole(latent):
        return _of_hole(latent)
    return Sampling(latent=latent, moments=(latent,))


def _sampling_before(graph: FlatGraph, decoded: Any) -> Sampling:
    """Returns the sampling that the decoded output comes from, or the border between two nested models."""
    behind = ancestors([decoded], [])
    drawn = [item for item in _samplings(graph) if id(item.latent) in behind]
    if len(drawn) > 1:
        names = ", ".join(f"{item.layer!r}" for item in drawn)
        raise ExportError(
            f"the model draws noise in several layers ({names}), but a file is cut at one latent: give a model of "
            f"several latents as two files with --encoder and --decoder, or name the latent with --latent-layer"
        )
    if drawn:
        return drawn[0]
    border = _border(graph, decoded)
    if border is not None:
        return border
    data = _main_input(graph)
    narrow = narrowest_layer(graph, data, decoded)
    hint = f" {narrow} (its narrowest)" if narrow else " NAME"
    raise ExportError(
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
        if id(source) not in inside and not _is_among(source, graph.inputs)
    }
    if len(entering) != 1:
        return None
    (latent,) = entering.values()
    encoder = graph.called.get((graph.path(latent) or ("",))[0], ())
    moments = tuple(tensor for tensor in encoder if not _unknown_behind([tensor]))
    if _is_among(latent, moments):
        return Sampling(latent=latent, moments=moments)
    return Sampling(latent=latent, moments=(latent,))


def _samplings(graph: FlatGraph) -> Iterator[Sampling]:
    """Yields the steps that draw, first to last; their inputs do not depend on code that is not loaded."""
    for tensor in graph.tensors():
        sources = inputs_of(tensor)
        if not (is_foreign(tensor) or _draws(tensor)) or not sources or _unknown_behind(sources):
            continue
        shifted = _shifted(graph, tensor)
        if shifted is not None:
            yield shifted
        elif is_foreign(tensor) and (len(sources) > 1 or _is_twice(sources[0], tensor)):
            yield _of_hole(tensor)


def _of_hole(tensor: Any) -> Sampling:
    sources = inputs_of(tensor)
    layer = name_of(tensor)
    if len(sources) == 1:
        return Sampling(latent=tensor, moments=(sources[0],), layer=layer)
    alike = [source for source in sources if size_of(source) == size_of(tensor)] or sources
    spreads = [source for source in alike[:3] if _SPREAD_NAME.search(name_of(source).lower())]
    means = [source for source in alike[:3] if not _is_among(source, spreads)]
    if len(spreads) == 1 and means:
        return Sampling(latent=tensor, moments=(_best_mean(means), spreads[0]), layer=layer)
    mean, spread = alike[0], alike[1] if len(alike) > 1 else sources[1]
    return Sampling(latent=tensor, moments=(mean, spread), layer=layer)


def _is_among(tensor: Any, tensors: Sequence[Any]) -> bool:
    # Tensors of Keras 3 compare element by element.
    return any(tensor is item for item in tensors)


def _best_mean(means: Sequence[Any]) -> Any:
    return next((tensor for tensor in means if _MEAN_NAME.search(name_of(tensor).lower())), means[0])


def _shifted(graph: FlatGraph, noise: Any) -> Sampling | None:
    """Returns the sampling of a noise that is multiplied by a scale and added to a mean by layers that are known."""
    for product in graph.consumers(noise):
        if not _MULTIPLIES.search(_operator(product)):
            continue
        scales = [source for source in inputs_of(product) if source is not noise]
        for total in graph.consumers(product):
            means = [source for source in inputs_of(total) if source is not product]
            if _ADDS.search(_operator(total)) and len(scales) == len(means) == 1:
                spread, role = _peeled_scale(scales[0])
                return Sampling(latent=total, moments=(means[0], spread), roles=(Role.MEAN, role), layer=name_of(noise))
    return None


def _peeled_scale(scale: Any) -> tuple[Any, Role]:
    """Returns the log-variance or the logarithm that a scale is the exponential of, else the scale."""
    if _operator(scale) not in ("exp", "math.exp", "exponential") and _activation(scale) != "exponential":
        return scale, Role.STD
    (inner, *_) = inputs_of(scale)
    if _MULTIPLIES.search(_operator(inner)) or "div" in _operator(inner):
        return inputs_of(inner)[0], Role.LOG_VAR
    return inner, Role.LOG_STD


def _operator(tensor: Any) -> str:
    """Returns what a layer or an operation does, in lower case."""
    layer = layer_of(tensor)
    symbol = getattr(layer, "symbol", None)  # what a TFOpLambda of Keras 2 calls
    return str(symbol or type(layer).__name__).lower()


def _activation(tensor: Any) -> str:
    return str(getattr(getattr(layer_of(tensor), "activation", None), "__name__", ""))


def _draws(tensor: Any) -> bool:
    return bool(_RANDOM.search(str(getattr(layer_of(tensor), "symbol", ""))))


def _unknown_behind(tensors: Sequence[Any]) -> list[Any]:
    return [tensor for tensor in ancestors(tensors, []).values() if is_hole(tensor) or _draws(tensor)]


def _is_twice(source: Any, made: Any) -> bool:
    wide, narrow = (size_of(source) or (None,))[-1], (size_of(made) or (None,))[-1]
    return wide is not None and narrow is not None and wide == 2 * narrow


def _is_joined(graph: FlatGraph, tensor: Any) -> bool:
    return any(_is_twice(tensor, other) for other in graph.outputs if other is not tensor)


def with_roles(sampling: Sampling) -> Sampling:
    """Returns a sampling with the roles of its moments where neither layers nor names say them.

    By far most sampling layers take the mean first and the log-variance second.
    """
    if sampling.roles is not None or len(sampling.moments) != 2:
        return sampling
    mean, spread = sampling.moments
    if _MEAN_NAME.search(name_of(mean).lower()) or _SPREAD_NAME.search(name_of(spread).lower()):
        return sampling
    if _activation(spread) in _POSITIVE:
        return sampling
    doubt = (
        f"{name_of(mean)!r} and {name_of(spread)!r}, which {sampling.layer!r} draws from, were assumed to be the mean "
        f"and the log-variance; state this with --encoder-outputs (for example mean,log_var or mean,std)"
    )
    return replace(sampling, roles=(Role.MEAN, Role.LOG_VAR), doubt=doubt)
