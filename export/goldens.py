"""What the original model says: golden outputs, and how far it differs from itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.graphs import apply_component
from pocketvae.keras_io import import_tensorflow
from pocketvae.spec import Component

FloatArray = npt.NDArray[np.float32]
Outputs = dict[str, FloatArray]

_GOLDEN_BATCH = 64
_FLOOR_SAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Deviations of the original from its own golden outputs, per output name, as the largest absolute difference.

    Attributes:
        float32: The same model under other batch sizes, eagerly and as a graph: what reordering of sums alone does.
        float16: The same model with its weights rounded to half precision.
    """

    float32: dict[str, float]
    float16: dict[str, float]


def golden_outputs(component: Component, model: Any, inputs: FloatArray) -> Outputs:
    """Runs the original eagerly in batches of 64.

    Raises:
        ExportError: an output holds values that are not finite.
    """
    outputs = _run(component, model, inputs, _GOLDEN_BATCH)
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise ExportError(f"the original {component} returns values that are not finite in {name!r}")
    return outputs


def noise_floor(component: Component, model: Any, inputs: FloatArray, golden: Outputs) -> NoiseFloor:
    """Measures how far the original differs from its golden outputs when it runs in another way."""
    tf = import_tensorflow()
    some = inputs[:: max(1, len(inputs) // _FLOOR_SAMPLES)]
    reference = {name: values[:: max(1, len(inputs) // _FLOOR_SAMPLES)] for name, values in golden.items()}
    graph = tf.function(lambda value: apply_component(component, model, value), autograph=False)
    variants = [
        _run(component, model, some, 1),
        _run(component, model, some, len(some)),
        {name: np.asarray(values) for name, values in graph(some).items()},
        _stack([graph(sample[None]) for sample in some]),
    ]
    floors = [_largest_difference(variant, reference) for variant in variants]
    return NoiseFloor(
        float32={name: max(floor[name] for floor in floors) for name in golden},
        float16=_largest_difference(_with_half_weights(component, model, inputs), golden),
    )


def _with_half_weights(component: Component, model: Any, inputs: FloatArray) -> Outputs:
    exact = model.get_weights()
    try:
        model.set_weights([weight.astype(np.float16).astype(np.float32) for weight in exact])
        return _run(component, model, inputs, _GOLDEN_BATCH)
    finally:
        model.set_weights(exact)


def _run(component: Component, model: Any, inputs: FloatArray, batch: int) -> Outputs:
    return _stack(
        [apply_component(component, model, inputs[start : start + batch]) for start in range(0, len(inputs), batch)]
    )


def _stack(batches: list[dict[str, Any]]) -> Outputs:
    return {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in batches[0]}


def _largest_difference(outputs: Outputs, reference: Outputs) -> dict[str, float]:
    return {name: float(np.abs(outputs[name] - reference[name]).max()) for name in reference}
