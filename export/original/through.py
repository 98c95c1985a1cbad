"""What takes data through encoder and decoder: originals of reconstructors and scorers, their goldens, their threshold.

Goldens of a scorer are normal items and anomalies made of them, because a run has no others: scaled, shifted, permuted,
held, with spikes, with swapped channels. They say whether an artifact decides as the original does, not how well the
model finds the anomalies of a user's own data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.graphs import apply_component
from pocketvae.export.convert.scoring import normalized, scored
from pocketvae.export.original.samples import Samples, most_items, most_sounds, stack
from pocketvae.keras.front_end import encoded_items
from pocketvae.numerics.scoring import Scoring
from pocketvae.spec import Component
from pocketvae.vae_spec import WINDOW, DataKind, VaeSpec

Array = npt.NDArray[Any]
NORMAL_STRATUM = "normal"
_NORMAL_COUNT, _ANOMALOUS_COUNT = 256, 256


@dataclass(frozen=True, kw_only=True)
class Through:
    """Encoder and decoder as one original, called like a model of the component.

    Attributes:
        component: Reconstructor or scorer.
        vae: The interface.
        encoder: The original encoder.
        decoder: The original decoder.
        scoring: How a scorer decides.
    """

    component: Component
    vae: VaeSpec
    encoder: Any
    decoder: Any
    scoring: Scoring | None = field(default=None)

    def apply(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs of the component as tensors, by name."""
        vae, given = self.vae.behind_front_end, dict(inputs)
        name = vae.inputs(self.component)[0].name
        x = given.pop(name)
        if self.vae.log_mel:
            x = encoded_items(x, self.vae)
        elif name == WINDOW:
            x = normalized(x, vae)
        own = {condition.name: given[condition.name] for condition in vae.encoder_conditions}
        encoded = apply_component(Component.ENCODER, self.encoder, vae, {"x": x, **own})
        latents = {latent.name: encoded[latent.encoded(vae.posterior)[0]] for latent in vae.latents}
        decoded = apply_component(Component.DECODER, self.decoder, vae, {**latents, **given})
        if self.scoring is None:
            return decoded
        return scored(vae, self.scoring, {"x": x, **encoded, **decoded})

    def get_weights(self) -> list[Array]:
        """Returns the weights of both, as Keras does."""
        return [*self.encoder.get_weights(), *self.decoder.get_weights()]

    def set_weights(self, weights: list[Array]) -> None:
        """Replaces the weights of both."""
        count = len(self.encoder.get_weights())
        self.encoder.set_weights(weights[:count])
        self.decoder.set_weights(weights[count:])


def golden_items(x: Array, labels: Array, vae: VaeSpec, rng: np.random.Generator) -> tuple[Samples, Array, Array]:
    """Returns the goldens of a scorer in units of the model, their labels, and which are anomalies; samples of sounds.

    Args:
        x: `[M, ...]` normal items as the encoder takes them.
        labels: `[M]` of them.
        vae: The interface.
        rng: Of the anomalies.
    """
    most = most_sounds(vae) or max(len(_MAKERS), most_items(vae) // 2)
    normal, changed = (min(count, most, len(x)) for count in (_NORMAL_COUNT, _ANOMALOUS_COUNT))
    items = x.reshape(-1, *vae.input_shape).astype(np.float32)
    makers = {name: make for name, make in _MAKERS.items() if name in _fitting(vae)}
    groups = np.array_split(rng.permutation(len(items))[:changed], len(makers))
    parts = {NORMAL_STRATUM: items[:normal]}
    chosen = [labels[:normal]]
    for (name, make), group in zip(makers.items(), groups, strict=True):
        parts[name] = _limited(make(items[group], vae, rng), vae)
        chosen.append(labels[group])
    shaped = {name: values.reshape(len(values), *x.shape[1:]) for name, values in parts.items()}
    samples = stack("x", shaped)
    return samples, np.concatenate(chosen), np.arange(samples.count) >= normal


def _fitting(vae: VaeSpec) -> tuple[str, ...]:
    """Returns the anomalies that there are for a kind of data."""
    several = ("swapped channels",) if vae.input_shape[-1] > 1 and vae.data is not DataKind.VECTOR else ()
    held = ("held",) if vae.data is DataKind.SEQUENCE else ()
    return ("scaled", "shifted", "permuted", "spikes", *held, *several)


def _limited(items: Array, vae: VaeSpec) -> Array:
    return np.clip(items, *vae.data_range) if vae.range_is_strict else items


def _spread(items: Array) -> float:
    return float(items.std()) or 1.0


def _scaled(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    factors = rng.choice([0.4, 0.6, 1.5, 2.0, 3.0], (len(items),) + (1,) * (items.ndim - 1))
    scaled: Array = (items - items.mean()) * factors.astype(np.float32) + items.mean()
    return scaled


def _shifted(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    """Moves one channel of a sequence, or all of an item, by half a standard deviation to three."""
    steps = rng.uniform(0.5, 3.0, (len(items),) + (1,) * (items.ndim - 1)) * rng.choice([-1, 1], 1)
    moved = np.ones((len(items), *(1,) * (items.ndim - 2), items.shape[-1]))
    if vae.data is DataKind.SEQUENCE:
        moved = np.eye(items.shape[-1])[rng.integers(items.shape[-1], size=len(items))][:, None]
    shifted: Array = items + (steps * moved * _spread(items)).astype(np.float32)
    return shifted


def _permuted(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    """Puts a quarter of the positions of an item in another order."""
    rows = items.reshape(len(items), -1, items.shape[-1] if items.ndim > 2 else 1).copy()
    for row in rows:
        places = rng.permutation(len(row))[: max(2, len(row) // 4)]
        row[places] = row[rng.permutation(places)]
    return rows.reshape(items.shape)


def _spikes(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    """Sets one value in a hundred, but at least one, four to eight standard deviations off."""
    rows = items.reshape(len(items), -1).copy()
    for row in rows:
        places = rng.permutation(row.size)[: max(1, row.size // 100)]
        row[places] += (rng.choice([-1, 1], places.size) * rng.uniform(4, 8, places.size) * _spread(items)).astype(
            np.float32
        )
    return rows.reshape(items.shape)


def _held(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    """Holds every channel at one value from a quarter of a window on, as a sensor that hangs."""
    held = items.copy()
    start = items.shape[1] // 4
    held[:, start:] = held[:, start : start + 1]
    return held


def _swapped(items: Array, vae: VaeSpec, rng: np.random.Generator) -> Array:
    return np.roll(items, 1, axis=-1)


_MAKERS: Mapping[str, Callable[[Array, VaeSpec, np.random.Generator], Array]] = {
    "scaled": _scaled,
    "shifted": _shifted,
    "permuted": _permuted,
    "spikes": _spikes,
    "held": _held,
    "swapped channels": _swapped,
}
