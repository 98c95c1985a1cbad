"""Components that are composed of others: their parts, golden inputs and reference.

The reference is the noise of `pocketvae.numerics.noise` followed by the original Keras models. What takes data through
encoder and decoder is in `through`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import Stratum
from pocketvae.export.original.cost import affordable, is_costly
from pocketvae.export.original.samples import Samples, most_items, with_conditions
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.keras.loading import one_or_all
from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.numerics.latents import prior_noise, split_latents
from pocketvae.spec import Component
from pocketvae.vae_spec import VaeSpec

_EXTREMES = (-(2**31), -1, 0, 1, 2**31 - 1)
_SEQUENCE_COUNT, _RANDOM_COUNT = 128, 128
_FEWEST_OF_A_KIND = 3


def parts(component: Component, vae: VaeSpec) -> tuple[Component, ...]:
    """Returns the components whose files are merged into this one; none for those that are converted directly."""
    if component is Component.GENERATOR:
        return (Component.SAMPLER, Component.DECODER)
    if component.takes_data_through:
        return (Component.ENCODER, Component.DECODER)
    learned = component is Component.SAMPLER and Component.PRIOR in vae.components
    return (Component.PRIOR,) if learned else ()


def with_parts(components: tuple[Component, ...], vae: VaeSpec) -> tuple[Component, ...]:
    """Returns components and all of their parts, without duplicates."""
    found: dict[Component, None] = {}
    waiting = list(components)
    while waiting:
        component = waiting.pop(0)
        found.setdefault(component)
        waiting += parts(component, vae)
    return tuple(found)


def is_exact(component: Component, vae: VaeSpec) -> bool:
    """Whether a component computes nothing in floating point, so that every runtime must return the same bits."""
    return component is Component.SAMPLER and Component.PRIOR not in vae.components


def golden_inputs(component: Component, vae: VaeSpec, rng: np.random.Generator, *, parameters: int = 0) -> Samples:
    """Returns pairs of seed and index: the ends of the 32-bit range, one seed's first images, and random pairs.

    Where images are large, or the decoder has so many parameters that a call takes seconds, each kind has fewer.
    """
    limits = np.iinfo(np.int32)
    random = rng.integers(limits.min, limits.max, (_RANDOM_COUNT, 2), endpoint=True)
    seed = int(rng.integers(limits.max))
    kinds = {
        "extremes": np.array(list(product(_EXTREMES, repeat=2))),
        "sequence": np.array([(seed, index) for index in range(_SEQUENCE_COUNT)]),
        "random": random,
    }
    if component is Component.GENERATOR:
        most = affordable(most_items(vae), len(kinds), parameters, math.prod(vae.data_shape)) // len(kinds)
        is_small = not is_costly(parameters, math.prod(vae.data_shape))
        each = max(_FEWEST_OF_A_KIND if is_small else 1, most)
        kinds = {name: _evenly(pairs, each) for name, pairs in kinds.items()}
    starts = np.cumsum([0, *(len(pairs) for pairs in kinds.values())])
    strata = tuple(
        Stratum(name=name, start=int(start), count=len(pairs))
        for (name, pairs), start in zip(kinds.items(), starts, strict=False)
    )
    seeds, indices = np.concatenate(list(kinds.values())).astype(np.int32).T.copy()
    samples = Samples(inputs={"seed": seeds, "index": indices}, strata=strata)
    if len(vae.inputs(component)) == len(samples.inputs):
        return samples
    return with_conditions(samples, drawn_conditions(vae, len(seeds), rng))


def completed(samples: Samples, component: Component, vae: VaeSpec, rng: np.random.Generator) -> Samples:
    """Returns an encoder's samples as a component takes them that decodes too, with what the decoder alone takes."""
    known = {**drawn_conditions(vae, samples.count, rng), **samples.inputs}
    return replace(samples, inputs={spec.name: known[spec.name] for spec in vae.inputs(component)})


def _evenly(pairs: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    chosen: npt.NDArray[Any] = pairs[np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)]
    return chosen


def with_noise(inputs: Mapping[str, npt.NDArray[Any]], vae: VaeSpec) -> dict[str, npt.NDArray[Any]]:
    """Returns the inputs with `eps [N, E] float32`, the reference noise, in place of `seed` and `index`.

    Where the noise is the latents themselves, these take the place: of codes int32.
    """
    others = {name: values for name, values in inputs.items() if name not in ("seed", "index")}
    eps = prior_noise(inputs["seed"], inputs["index"], vae)
    return {**({"eps": eps} if vae.prior.is_learned else split_latents(eps, vae.latents)), **others}


def feed(component: Component, inputs: Mapping[str, npt.NDArray[Any]], vae: VaeSpec) -> dict[str, npt.NDArray[Any]]:
    """Returns what the original of a component takes for inputs of its files."""
    if component.has_noise:
        return with_noise(inputs, vae)
    names = {spec.name for spec in vae.inputs(component)}
    return {name: values for name, values in inputs.items() if name in names}


def chain(component: Component, vae: VaeSpec, models: Mapping[Component, Any]) -> Any:
    """Returns the original that follows the noise, as a Keras model: noise, conditions to latents or decoder's outputs.

    Args:
        component: A composed one.
        vae: Gives the interface.
        models: The originals of the VAE's parts.
    """
    keras = import_keras()
    prior = models.get(Component.PRIOR)
    if component is Component.SAMPLER:
        return prior or _unchanged(vae)
    decoder = models[Component.DECODER]
    if prior is None:
        return decoder
    if not isinstance(decoder, keras.Model):
        return Chained(prior, decoder, takes_label=vae.prior_takes_label)
    eps, *more = (keras.layers.Input(shape, dtype=dtype, name=name) for name, shape, dtype in _noise_inputs(vae))
    z = prior([eps, *more] if vae.prior_takes_label else eps)
    return keras.Model([eps, *more], decoder([z, *more] if more else z))


def _unchanged(vae: VaeSpec) -> Any:
    """Returns the model of latents that are noise: it returns what it is given."""
    keras = import_keras()
    inputs = [keras.layers.Input(item.shape, dtype=item.tensor.dtype, name=f"{item.name}_in") for item in vae.latents]
    outputs = [
        keras.layers.Activation("linear", name=item.name)(given)
        for item, given in zip(vae.latents, inputs, strict=True)
    ]
    return keras.Model(one_or_all(inputs), one_or_all(outputs))


class Chained:
    """A prior followed by a decoder of another library; called like a Keras model."""

    def __init__(self, prior: Any, decoder: Any, *, takes_label: bool = False) -> None:
        """Stores both, and whether the prior takes the label like the decoder."""
        self._prior, self._decoder, self._takes_label = prior, decoder, takes_label

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Runs both in inference mode, whatever `training` says."""
        # Keras 3 takes no arrays beside the latent, which is a tensor.
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        eps, *more = map(import_tensorflow().convert_to_tensor, given)
        z = self._prior([eps, *more] if self._takes_label else eps, training=False)
        return self._decoder([z, *more] if more else z, training=False)

    def get_weights(self) -> list[npt.NDArray[Any]]:
        """Returns the weights of both, as Keras does."""
        return [*self._prior.get_weights(), *self._decoder.get_weights()]


def _noise_inputs(vae: VaeSpec) -> list[tuple[str, tuple[int, ...], str]]:
    tensors = [condition.tensor for condition in vae.conditions]
    more = [(tensor.name, tensor.shape[1:], tensor.dtype) for tensor in tensors]
    return [("eps", (vae.eps_dim,), "float32"), *more]
