"""The steps of a model that draw latents. Found by structure; names only break ties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.export.external.encoder_roles import named_role
from pocketvae.export.external.flat_graph import (
    FlatGraph,
    ancestors,
    inputs_of,
    is_foreign,
    is_hole,
    layer_of,
    name_of,
    operands_of,
    size_of,
)
from pocketvae.export.external.inputs import role_by_name
from pocketvae.keras.model_form import Role

_RANDOM = re.compile(r"random|truncated_normal", re.IGNORECASE)
_ADDS, _MULTIPLIES = re.compile(r"^(add|__operators__\.add|math\.add|tf\.__operators__\.add)$"), re.compile(r"mul")
MEAN_NAME = re.compile(r"mean|mu$|^mu|loc$|_mu_")
SPREAD_NAME = re.compile(r"var|std|sigma|scale|dev")
_DRAWS_NAME = re.compile(r"(?<!up)(?<!down)(?<!up_)(?<!down_)sampl|reparam|stochastic|draw|^z(_?\d+)?$|^z_")
_NOISE_NAME = re.compile(r"^eps|noise|epsilon")
_LOSS_NAME = re.compile(r"kl|diverg|loss|regulari")
POSITIVE = frozenset({"softplus", "exponential", "exp", "sigmoid", "relu"})


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


def samplings(graph: FlatGraph) -> list[Sampling]:
    """Returns the steps that draw, first to last.

    Steps that operators, layer names or the names of what they take say to be ones may depend on each other and on
    layers whose code is not loaded. Where there is none, any custom layer of two inputs that do not depend on other
    code counts.
    """
    found = list(_candidates(graph))
    said = [item for item in found if is_said(item)]
    if said:
        return said
    return [item for item in found if not unknown_behind(inputs_of(item.latent))]


def _candidates(graph: FlatGraph) -> Iterator[Sampling]:
    for tensor in graph.tensors():
        sources = inputs_of(tensor)
        if not _is_noise_input(graph, tensor) and (not (is_foreign(tensor) or _draws(tensor)) or not sources):
            continue
        if _passed_on(tensor) is not tensor:
            continue
        shifted = _shifted(graph, tensor)
        if shifted is not None:
            yield shifted
        elif sources and is_foreign(tensor) and (len(sources) > 1 or is_twice(sources[0], tensor)):
            yield of_layer(tensor)


def is_said(sampling: Sampling) -> bool:
    """Whether operators or names say that a step draws, and its moments have the shape of its latent."""
    if sampling.roles is not None:
        return True
    latent, layer = sampling.latent, layer_of(sampling.latent)
    if not all(size_of(item) in (size_of(latent), _doubled(latent)) for item in sampling.moments):
        return False
    mean, *spread = [name_of(item).lower() for item in sampling.moments]
    called = any(_DRAWS_NAME.search(name.lower()) for name in (sampling.layer, type(layer).__name__))
    return called or bool(spread and MEAN_NAME.search(mean) and SPREAD_NAME.search(spread[0]))


def of_layer(tensor: Any) -> Sampling:
    """Returns the sampling of a custom layer that makes a latent."""
    sources = [_passed_on(source) for source in inputs_of(tensor)]
    layer = name_of(tensor)
    if len(sources) == 1:
        return Sampling(latent=tensor, moments=(sources[0],), layer=layer)
    alike = [source for source in sources if size_of(source) == size_of(tensor)] or sources
    spreads = [source for source in alike[:3] if SPREAD_NAME.search(name_of(source).lower())]
    means = [source for source in alike[:3] if not is_among(source, spreads)]
    if len(spreads) == 1 and means:
        return Sampling(latent=tensor, moments=(_best_mean(means), spreads[0]), layer=layer)
    mean, spread = alike[0], alike[1] if len(alike) > 1 else sources[1]
    return Sampling(latent=tensor, moments=(mean, spread), layer=layer)


def is_among(tensor: Any, tensors: Sequence[Any]) -> bool:
    """Whether a tensor is one of some; those of Keras 3 compare element by element."""
    return any(tensor is item for item in tensors)


def _best_mean(means: Sequence[Any]) -> Any:
    return next((tensor for tensor in means if MEAN_NAME.search(name_of(tensor).lower())), means[0])


def _shifted(graph: FlatGraph, noise: Any) -> Sampling | None:
    """Returns the sampling of a noise that is multiplied by a scale and added to a mean by layers that are known."""
    for product in graph.consumers(noise):
        if not _MULTIPLIES.search(_operator(product)):
            continue
        scales = [source for source in inputs_of(product) if source is not noise]
        if any(_draws(scale) or _is_noise_input(graph, scale) for scale in scales):
            continue  # What was taken for the noise is the scale.
        for total in graph.consumers(product):
            means = [source for source in inputs_of(total) if source is not product]
            if _ADDS.search(_operator(total)) and len(scales) == len(means) == 1:
                spread, role, doubt = _peeled_scale(scales[0])
                return Sampling(
                    latent=total,
                    moments=(_passed_on(means[0]), _passed_on(spread)),
                    roles=(Role.MEAN, role),
                    layer=name_of(noise),
                    doubt=doubt,
                )
    return None


def _is_noise_input(graph: FlatGraph, tensor: Any) -> bool:
    """Whether a model is given the noise, as an input beside its data."""
    is_extra = len(graph.inputs) > 1 and is_among(tensor, graph.inputs)
    return is_extra and bool(_NOISE_NAME.search(_input_name(tensor).lower()))


def _passed_on(tensor: Any) -> Any:
    """Returns what a layer took that only adds a loss, such as a KL divergence, and returns what it takes."""
    while is_hole(tensor):
        layer, sources = layer_of(tensor), inputs_of(tensor)
        names = (type(layer).__name__.lower(), str(layer.name).lower())
        place = tensor._keras_history.tensor_index
        is_loss = any(_LOSS_NAME.search(name) for name in names) and len(layer.hole.shapes) == len(sources)
        if not is_loss or size_of(sources[place]) != size_of(tensor):
            return tensor
        tensor = sources[place]
    return tensor


def _peeled_scale(scale: Any) -> tuple[Any, Role, str]:
    """Returns the log-variance or the logarithm that a scale is the exponential of, else the scale; and a doubt."""
    if is_hole(scale) and [size_of(source) for source in inputs_of(scale)] == [size_of(scale)]:
        (inner,) = inputs_of(scale)
        doubt = (
            f"{name_of(scale)!r} was assumed to make a standard deviation of the log-variance "
            f"{name_of(_passed_on(inner))!r}; state what that is with --encoder-outputs (for example mean,log_std)"
        )
        return inner, Role.LOG_VAR, doubt
    # The exponential that ends a layer with weights is not of what that layer takes.
    is_activation = _operator(scale) == "activation" and activation_of(scale) == "exponential"
    if _operator(scale) not in ("exp", "math.exp", "exponential") and not is_activation:
        return scale, Role.STD, ""
    (inner, *_) = inputs_of(scale)
    if _is_half(inner):
        return inputs_of(inner)[0], Role.LOG_VAR, ""
    return inner, Role.LOG_STD, ""


def _is_half(tensor: Any) -> bool:
    """Whether a tensor is half of another; with any other factor it is a logarithm like any other."""
    multiplies, divides = bool(_MULTIPLIES.search(_operator(tensor))), "div" in _operator(tensor)
    operands = operands_of(tensor) if multiplies or divides else []
    if len(operands) != 2 or len(inputs_of(tensor)) != 1:  # Two operands, one of them a number.
        return False
    numbers = operands[1:] if divides else [value for value in operands if isinstance(value, np.ndarray)]
    wanted = 2.0 if divides else 0.5
    return all(isinstance(value, np.ndarray) and bool(np.all(value == wanted)) for value in numbers)


def _operator(tensor: Any) -> str:
    """Returns what a layer or an operation does, in lower case."""
    layer = layer_of(tensor)
    symbol = getattr(layer, "symbol", None)  # what a TFOpLambda of Keras 2 calls
    return str(symbol or type(layer).__name__).lower()


def activation_of(tensor: Any) -> str:
    """Returns the name of the activation of the layer that makes a tensor; empty if it does not have one."""
    return str(getattr(getattr(layer_of(tensor), "activation", None), "__name__", ""))


def _draws(tensor: Any) -> bool:
    return bool(_RANDOM.search(str(getattr(layer_of(tensor), "symbol", ""))))


def unknown_behind(tensors: Sequence[Any], replaced: Mapping[int, Any] | None = None) -> list[Any]:
    """Returns the tensors behind some that are drawn or come from layers whose code is not loaded.

    Args:
        tensors: Where to start.
        replaced: What stands for a tensor, by the identity of that tensor, which then counts as known.
    """
    found = ancestors(tensors, [], replaced)
    return [item for key, item in found.items() if (is_hole(item) or _draws(item)) and key not in (replaced or {})]


def is_twice(source: Any, made: Any) -> bool:
    """Whether a tensor is twice as wide as another, as mean and log-variance in one are."""
    wide, narrow = (size_of(source) or (None,))[-1], (size_of(made) or (None,))[-1]
    return wide is not None and narrow is not None and wide == 2 * narrow


def _doubled(tensor: Any) -> tuple[int | None, ...]:
    *rest, last = size_of(tensor) or (None,)
    return (*rest, last and 2 * last)


def stand_ins(drawn: Sequence[Sampling]) -> dict[int, Any]:
    """Returns the mean that stands for each sample, or what holds it in its first half, by the sample's identity.

    Raises:
        ExportError: a mean does not have the shape of its sample.
    """
    for item in drawn:
        mean = item.moments[0]
        if size_of(mean) not in (size_of(item.latent), _doubled(item.latent)):
            raise ExportError(
                f"a latent depends on {name_of(item.latent)!r}, whose mean is not known: {name_of(mean)!r} does not "
                f"have its shape"
            )
    return {id(item.latent): item.moments[0] for item in drawn}


def given_samples(graph: FlatGraph, decoder: FlatGraph | None) -> list[Sampling]:
    """Returns the inputs of an encoder that are latents of its decoder, each with the mean that the encoder returns.

    Raises:
        ExportError: an input is called like a latent, and no output is its mean.
    """
    known = {(_input_name(tensor), size_of(tensor)) for tensor in (decoder.inputs if decoder else ())}
    found = []
    for tensor in graph.inputs if len(graph.inputs) > 1 else ():
        name = _input_name(tensor)
        role = role_by_name(name)
        if (name, size_of(tensor)) not in known or role not in (None, Role.Z):
            continue
        alike = [item for item in graph.outputs if size_of(item) == size_of(tensor) and not is_hole(item)]
        free = [item for item in alike if id(tensor) not in ancestors([item], [])]
        means = [item for item in free if named_role(name_of(item)) in (Role.MEAN, Role.X)]
        if means:
            found.append(Sampling(latent=tensor, moments=(_best_mean(means),), roles=(Role.MEAN,), layer=name))
        elif role is Role.Z:
            raise ExportError(
                f"the encoder takes the latent {name!r}, but does not return its mean, which stands for its sample: "
                f"join the encoders first, for example keras.Model(x, [*e1(x), *e2([x, e1(x)[0]])])"
            )
    return found


def _input_name(tensor: Any) -> str:
    return str(tensor.name).split(":")[0]
