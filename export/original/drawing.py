"""Samples of one export: what calibrates, goldens, and the items that posteriors are taken of.

Each purpose has a stream of random numbers of its own, so that the same seed draws the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pocketvae.export.convert.graphs import apply_component
from pocketvae.export.original import samples
from pocketvae.export.original.cost import parameter_count
from pocketvae.export.original.samples import Purpose, Samples
from pocketvae.fields import ChannelKind
from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.numerics.latents import drawn_noise
from pocketvae.numerics.likelihoods import has_elbo
from pocketvae.numerics.pixels import from_pixels, to_pixels
from pocketvae.numerics.spectrogram import model_items
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, VaeSpec

# Of the random generator; Purpose has the others.
_OBSERVED_STREAM = 4
_REACH = np.float32(1.05)


class Drawing:
    """Draws the samples of the components of one VAE."""

    def __init__(self, vae: VaeSpec, seed: int, model: Callable[[Component], Any]) -> None:
        """Keeps what to draw for.

        Args:
            vae: Gives the interface.
            seed: Of all samples.
            model: Returns the original of a component.
        """
        self._vae, self._seed, self._model = vae, seed, model

    def observed(self, arrays: Mapping[str, Any]) -> tuple[Any, Any]:
        """Returns the observed items, always the same ones, and their labels."""
        count = samples.GOLDEN.posterior_count
        rng = np.random.default_rng([self._seed, samples.GOLDEN.stream, _OBSERVED_STREAM])
        items = model_items(arrays[samples.GOLDEN.name][:count], self._vae)
        images = samples.observed_items(items, self._vae, rng)
        return images, arrays[f"{samples.GOLDEN.name}_labels"][:count]

    def drawn(
        self, component: Component, arrays: dict[str, Any], purpose: Purpose, calibration_seed: int = 0
    ) -> Samples:
        """Returns the samples of a component for a purpose.

        Args:
            component: That they go into.
            arrays: Items and labels of the data by purpose; none if there are no data.
            purpose: What they are for.
            calibration_seed: Which set of calibration samples; 0 for others.
        """
        # Each purpose has its own stream: goldens must not be the samples that calibrated.
        more = [calibration_seed] if calibration_seed else []
        rng = np.random.default_rng([self._seed, purpose.stream, *more])
        vae = self._vae
        if not arrays and component is not Component.PRIOR:
            return self._samples_without_images(component, purpose, rng)
        images, labels = arrays[purpose.name], arrays[f"{purpose.name}_labels"]
        if component is Component.PRIOR:
            made = samples.stack("eps", self._noise(purpose, rng))
            taken = drawn_conditions(vae, made.count, rng) if vae.prior_takes_label else {}
            return samples.with_conditions(made, taken)
        if component is Component.ENCODER:
            most = samples.most_sounds(vae) if purpose is samples.GOLDEN else None
            made = samples.encoder_inputs(images[:most], vae, rng)
            chosen = samples.encoder_labels(labels[:most], vae)
            if purpose is samples.CALIBRATION and _has_reach(vae):
                made, chosen = self._with_reach(made, chosen)
        else:
            inputs, chosen = self._encoder_samples(arrays, purpose, rng)
            return self._latents(inputs, chosen, purpose, rng)
        return samples.with_conditions(made, _labelled(vae, chosen))

    def _with_reach(self, made: Samples, labels: Any) -> tuple[Samples, Any]:
        """Adds the items whose latents lie farthest out, a little enlarged.

        A recording that is measured later goes beyond those that trained, and means that integers cut off there cost
        more than the coarser steps of a wider range.
        """
        x, vae = made.inputs["x"], self._vae
        encoder = self._model(Component.ENCODER)
        given = samples.with_conditions(samples.stack("x", {"data": x}), _labelled(vae, labels)).inputs
        encoded = apply_component(Component.ENCODER, encoder, vae, given)
        means = np.concatenate(
            [np.asarray(encoded[latent.encoded(vae.posterior)[0]]).reshape(len(x), -1) for latent in vae.latents],
            axis=1,
        )
        farthest = np.unique(np.concatenate([means.argmin(axis=0), means.argmax(axis=0)]))
        parts = {part.name: x[part.start : part.start + part.count] for part in made.strata}
        wider = samples.stack("x", {**parts, "enlarged": _REACH * x[farthest]})
        return wider, np.concatenate([labels, labels[farthest]])

    def _samples_without_images(self, component: Component, purpose: Purpose, rng: np.random.Generator) -> Samples:
        """Returns latents of the prior and of its tails, or for an encoder what the decoder makes of such."""
        vae = self._vae
        noise = self._noise(samples.without_images(purpose), rng)
        made = samples.stack_latents(noise, vae)
        conditions = drawn_conditions(vae, made.count, rng)
        made = samples.with_conditions(made, conditions)
        if component is Component.DECODER:
            return made
        decoded = apply_component(Component.DECODER, self._model(Component.DECODER), vae, made.inputs)
        images = np.asarray(decoded[vae.output]).reshape(-1, *vae.tensor_shape(Component.ENCODER))
        if vae.range_is_strict and vae.data is DataKind.IMAGE:
            # As apps have them, and so that encoders of uint8 images are given the same.
            images = from_pixels(to_pixels(images, vae.data_range), vae.data_range)
        parts = {f"decoded {s.name}": images[s.start : s.start + s.count] for s in made.strata}
        taken = {condition.name: conditions[condition.name] for condition in vae.encoder_conditions}
        return samples.with_conditions(samples.stack("x", parts), taken)

    def _encoder_samples(
        self, arrays: Mapping[str, Any], purpose: Purpose, rng: np.random.Generator
    ) -> tuple[Samples, Any]:
        """Returns what posteriors are taken of, with labels; those of goldens are of images that p(x|z) can score.

        Of sounds they are taken of spectrograms.
        """
        vae = self._vae.behind_front_end
        if purpose is samples.GOLDEN and has_elbo(vae):
            images, labels = self.observed(arrays)
            return samples.from_observed(images, vae), labels
        count = purpose.posterior_count
        labels = samples.encoder_labels(arrays[f"{purpose.name}_labels"][:count], vae)
        return samples.encoder_inputs(model_items(arrays[purpose.name][:count], self._vae), vae, rng), labels

    def _latents(self, inputs: Samples, labels: Any, purpose: Purpose, rng: np.random.Generator) -> Samples:
        """Returns latents of the posterior, of the prior and of its tails, with labels."""
        vae = self._vae.behind_front_end
        inputs = samples.with_conditions(inputs, _labelled(vae, labels))
        encoder = self._model(Component.ENCODER)
        encoded = apply_component(Component.ENCODER, encoder, vae, inputs.inputs)
        parts = {
            samples.POSTERIOR_STRATUM: samples.encoded_latents(
                {name: np.asarray(value) for name, value in encoded.items()}, vae, rng=rng
            )
        }
        noise = self._noise(purpose, rng)
        drawn = drawn_conditions(vae, sum(map(len, noise.values())), rng)
        # Images have labels; other conditions, which only the decoder takes, are drawn.
        own = {name: labels.astype(np.int32) for name in drawn}
        own = own if vae.has_one_label else drawn_conditions(vae, len(labels), rng)
        start = 0
        for name, values in noise.items():
            end = start + len(values)
            parts[name] = self._of_prior(values, {item: more[start:end] for item, more in drawn.items()})
            start = end
        made = samples.stack_latents(parts, vae)
        return samples.with_conditions(made, {name: np.concatenate([own[name], more]) for name, more in drawn.items()})

    def _of_prior(self, noise: Any, conditions: Mapping[str, Any]) -> Any:
        """Returns the latents `[N, D]` that the prior makes of noise."""
        vae = self._vae
        if Component.PRIOR not in vae.components:
            return noise.reshape(len(noise), -1)
        taken = conditions if vae.prior_takes_label else {}
        found = apply_component(Component.PRIOR, self._model(Component.PRIOR), vae, {"eps": noise, **taken})
        return np.asarray(found[vae.latents[0].name]).reshape(len(noise), -1)

    def _noise(self, purpose: Purpose, rng: np.random.Generator) -> dict[str, Any]:
        vae = self._vae
        purpose = samples.fitting(purpose, vae, parameter_count(self._model(Component.DECODER)))
        drawn = drawn_noise(vae, purpose.prior_count, rng)
        if vae.is_discrete:
            return {"uniform": drawn, "one code": samples.equal_codes(purpose.tail_count, vae)}
        return {"prior": drawn, "tails": samples.tails(purpose.tail_count, vae, rng)}


def _has_reach(vae: VaeSpec) -> bool:
    """Whether items are real numbers without limits, whose mean is 0 in units of the model."""
    if vae.data is not DataKind.SEQUENCE or vae.log_mel or not vae.channels or vae.codes or vae.range_is_strict:
        return False
    return all(channel.kind is ChannelKind.REAL for channel in vae.channels)


def _labelled(vae: VaeSpec, labels: Any) -> dict[str, Any]:
    """Returns the labels of images by the name of the condition if the encoder takes it, which then is the only one."""
    return {condition.name: labels.astype(np.int32) for condition in vae.encoder_conditions}
