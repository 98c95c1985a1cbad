"""The golden outputs of the original model, and how far it differs from itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import apply_component
from pocketvae.keras.io import import_tensorflow
from pocketvae.spec import Component, VaeSpec

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, FloatArray]

_GOLDEN_BATCH = 64
FLOOR_SAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Deviations of the original from its own golden outputs, per output name, as the largest absolute difference.

    Attributes:
        float32: The same model run in other ways: the effect of reordered sums and other instructions.
        float16: The same model with its weights rounded to half precision.
        cause: Description of the way of running that gave the value of `float32`.
        exact: Whether nothing is computed in floating point, so that there is no deviation anywhere.
    """

    float32: dict[str, float]
    float16: dict[str, float]
    cause: dict[str, str] = field(default_factory=dict)
    exact: bool = False

    def widened(self, spread: Mapping[str, float], cause: str) -> NoiseFloor:
        """Returns the floor with one more way of running, which counts where it differs most."""
        wider = [name for name, value in spread.items() if value > self.float32[name]]
        return replace(
            self,
            float32={**self.float32, **{name: spread[name] for name in wider}},
            cause={**self.cause, **dict.fromkeys(wider, cause)},
        )


class Original:
    """One component of the original model, run in the ways that a user could."""

    def __init__(self, component: Component, model: Any, vae: VaeSpec, *, halved: Any = None) -> None:
        """Stores the Keras model and its interface.

        Args:
            component: Which part of the VAE `model` is; of a composed one, what follows the noise.
            model: The Keras model.
            vae: The interface of the VAE.
            halved: The model inside whose weights a float16 artifact stores in half precision; None for all of it.
        """
        self._component, self._model, self._vae = component, model, vae
        self._halved = halved or model

    def golden_outputs(self, inputs: Inputs) -> Outputs:
        """Runs the original eagerly in batches of 64.

        Raises:
            ExportError: an output holds values that are not finite.
        """
        outputs = self._run(inputs, _GOLDEN_BATCH)
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise ExportError(f"the original {self._component} returns values that are not finite in {name!r}")
        return outputs

    def noise_floor(self, inputs: Inputs, golden: Outputs) -> NoiseFloor:
        """Measures how far the original differs from its golden outputs when it runs in another way."""
        floor = NoiseFloor(
            float32=dict.fromkeys(golden, 0.0),
            float16=_largest_difference(self._run_with_half_weights(inputs), golden),
        )
        for cause, spread in self.spreads(inputs, golden).items():
            floor = floor.widened(spread, cause)
        return floor

    def spreads(self, inputs: Inputs, golden: Outputs) -> dict[str, dict[str, float]]:
        """Returns, for each way of running, how far the original is from its golden outputs.

        Only 64 goldens are used: their largest difference is within a few percent of that of all.
        """
        tf = import_tensorflow()
        some, reference = thinned(inputs, FLOOR_SAMPLES), thinned(golden, FLOOR_SAMPLES)
        graph = tf.function(self._apply, autograph=False)
        count = _count(some)
        variants = {
            "with batch size 1": self._run(some, 1),
            f"with batch size {count}": self._run(some, count),
            f"as a graph with batch size {count}": {name: np.asarray(values) for name, values in graph(some).items()},
            "as a graph with batch size 1": _stack([graph(batch) for batch in _batches(some, 1)]),
        }
        return {how: _largest_difference(variant, reference) for how, variant in variants.items()}

    def _run_with_half_weights(self, inputs: Inputs) -> Outputs:
        exact = self._halved.get_weights()
        try:
            self._halved.set_weights([_in_half(weight) for weight in exact])
            return self._run(inputs, _GOLDEN_BATCH)
        finally:
            self._halved.set_weights(exact)

    def _run(self, inputs: Inputs, batch: int) -> Outputs:
        return _stack([self._apply(part) for part in _batches(inputs, batch)])

    def _apply(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return apply_component(self._component, self._model, self._vae, inputs)


def thinned(arrays: Inputs, count: int) -> dict[str, npt.NDArray[Any]]:
    """Returns about `count` samples, evenly spaced, so that every kind of sample is among them."""
    chosen = slice(None, None, max(1, _count(arrays) // count))
    return {name: values[chosen] for name, values in arrays.items()}


def _in_half(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rounds to half precision; other types than float32, such as counters, stay unchanged."""
    return weight.astype(np.float16).astype(np.float32) if weight.dtype == np.float32 else weight


def _batches(inputs: Inputs, size: int) -> list[dict[str, npt.NDArray[Any]]]:
    return [
        {name: values[start : start + size] for name, values in inputs.items()}
        for start in range(0, _count(inputs), size)
    ]


def _count(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))


def _stack(batches: list[dict[str, Any]]) -> Outputs:
    return {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in batches[0]}


def _largest_difference(outputs: Outputs, reference: Outputs) -> dict[str, float]:
    return {name: float(np.abs(outputs[name] - reference[name]).max()) for name in reference}
