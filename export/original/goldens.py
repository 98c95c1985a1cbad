"""The golden outputs of the original model, and how far it differs from itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import apply_component
from pocketvae.export.original.cost import affordable, is_costly, parameter_count
from pocketvae.export.original.doubles import in_doubles, without_optimizer
from pocketvae.export.original.inside import Inside
from pocketvae.keras.io import import_tensorflow
from pocketvae.numerics.ceilings import FLOAT_CEILING, output_range
from pocketvae.spec import Component
from pocketvae.vae_spec import ALARM, VaeSpec

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, FloatArray]

_GOLDEN_BATCH = 64
# Of a batch of outputs, 64 of 64x64x3: what is computed on the way, which an eager model keeps, can be 1,000 times as
# large.
_BATCH_BYTES = 3.2e6
# Samples in which a model is compared with itself: 64, and fewer of more than 32,768 values each.
_MOST_COMPARED, _LEAST_COMPARED, _COMPARED_VALUES = 64, 8, 2**21
# Samples of the same size in which it is compared with itself in double precision: TensorFlow's sums over a whole image
# lose digits that runtimes keep, alike in every sample and in every way of running.
_ROUNDED = 2


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Deviations of the original from its own golden outputs, per output name, as the largest absolute difference.

    Of integer codes it is the share that differ.

    Attributes:
        float32: The same model run in other ways: the effect of reordered sums and other instructions.
        float16: The same model with its weights rounded to half precision.
        cause: Description of the way of running that gave the value of `float32`.
        exact: Whether nothing is computed in floating point, so that there is no deviation anywhere.
        ranges: Range of each output; see `pocketvae.numerics.ceilings.output_range`.
        overflow: The layer that is not finite once the weights are rounded to half precision; empty if all are.
        rounding: The same model in double precision, of items so large that it can matter; empty if it was not run.
        normal_spread: Of a scorer, the standard deviation of the scores of normal goldens; 0 for others.
        decisions: Of a scorer, the number of goldens, of which each is a decision; 0 for others.
        elbo_spread_nats: How much log p(x|z) differs from item to item of observed data, see `Observed.spread_nats`; 0
            where there are none, and of images.
    """

    float32: dict[str, float]
    float16: dict[str, float]
    cause: dict[str, str] = field(default_factory=dict)
    exact: bool = False
    ranges: dict[str, float] = field(default_factory=dict)
    overflow: str = ""
    rounding: dict[str, float] = field(default_factory=dict)
    normal_spread: float = 0.0
    decisions: int = 0

    def of_scores(self, scores: npt.NDArray[np.float32], normal: int) -> NoiseFloor:
        """Returns the floor of a scorer whose goldens begin with `normal` normal ones and have the scores `[N]`."""
        return replace(self, normal_spread=float(scores[:normal].std()), decisions=len(scores))

    elbo_spread_nats: float = 0.0

    def excess(self) -> dict[str, float]:
        """Returns the outputs that deviate by more than rounding can explain, with the deviation as part of the range.

        They belong to an original that is random, or whose samples depend on one another.
        """
        known = {name: value for name, value in self.float32.items() if name != ALARM}
        shares = {name: value / self.ranges.get(name, 1.0) for name, value in known.items()}
        return {name: share for name, share in shares.items() if not share <= FLOAT_CEILING}

    def without(self, names: Collection[str]) -> NoiseFloor:
        """Returns the floor of all other outputs."""

        def others(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in values.items() if name not in names}

        return replace(
            self,
            float32=others(self.float32),
            float16=others(self.float16),
            cause=others(self.cause),
            ranges=others(self.ranges),
            rounding=others(self.rounding),
        )

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

    def __init__(
        self, component: Component, model: Any, vae: VaeSpec, *, halved: Any = None, one_by_one: bool = False
    ) -> None:
        """Stores the Keras model and its interface.

        Args:
            component: Which part of the VAE `model` is; of a composed one, what follows the noise.
            model: The Keras model.
            vae: The interface of the VAE.
            halved: The model inside whose weights a float16 artifact stores in half precision; None for all of it.
            one_by_one: Run every sample alone, because the others in its batch would change its outputs.
        """
        self._component, self._model, self._vae = component, model, vae
        self._halved = halved or model
        self.parameters = parameter_count(model)
        largest = 4 * max(math.prod(vae.data_shape), vae.latent_dim)
        self._batch = 1 if one_by_one else int(np.clip(_BATCH_BYTES / largest, 1, _GOLDEN_BATCH))

    @property
    def is_costly(self) -> bool:
        """Whether a call takes a good part of a second."""
        return is_costly(self.parameters, math.prod(self._vae.data_shape))

    def golden_outputs(self, inputs: Inputs) -> Outputs:
        """Runs the original eagerly in batches of 64, of fewer where its items are large, or one by one.

        Raises:
            ExportError: an output holds values that are not finite.
        """
        outputs = self.outputs(inputs)
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise ExportError(f"the original {self._component} returns values that are not finite in {name!r}")
        return outputs

    def outputs(self, inputs: Inputs) -> Outputs:
        """Returns the same whatever the values are."""
        return self._run(inputs, self._batch)

    def noise_floor(self, inputs: Inputs, golden: Outputs) -> NoiseFloor:
        """Measures how far the original differs from its golden outputs when it runs in another way."""
        # Of a costly model, half precision moves some samples about as far as all.
        some = (
            compared(arrays, self._vae, self.parameters) if self.is_costly else arrays for arrays in (inputs, golden)
        )
        given, expected = some
        halved, overflow = self._run_with_half_weights(given)
        floor = NoiseFloor(
            float32=dict.fromkeys(golden, 0.0),
            float16=_largest_difference(halved, expected),
            ranges=self._ranges(golden),
            overflow=overflow,
            rounding=self._rounding(inputs, golden),
        )
        for cause, spread in self.spreads(inputs, golden).items():
            floor = floor.widened(spread, cause)
        return floor

    def unmeasured_floor(self, golden: Outputs) -> NoiseFloor:
        """Returns a floor with the ranges of golden outputs alone."""
        zeros = dict.fromkeys(golden, 0.0)
        return NoiseFloor(float32=zeros, float16=zeros, ranges=self._ranges(golden))

    def _ranges(self, golden: Outputs) -> dict[str, float]:
        return {name: output_range(values, self._vae.span_of(name)) for name, values in golden.items()}

    def spreads(self, inputs: Inputs, golden: Outputs) -> dict[str, dict[str, float]]:
        """Returns, for each way of running, how far the original is from its golden outputs.

        Only 64 goldens are used, of large images fewer: their largest difference is within a few percent of that of
        all. One by one they go through the graph without TensorFlow's optimizer, which fuses operators: that gives the
        bits of eager execution in a tenth of its time, most of which is Keras's own for every layer.
        """
        tf = import_tensorflow()
        some, reference = (compared(arrays, self._vae, self.parameters) for arrays in (inputs, golden))
        graph = tf.function(self._apply, autograph=False)
        count = _count(some) if self._batch == _GOLDEN_BATCH else min(_count(some), self._batch)
        sizes = (1,) if self._batch == 1 else (1, count)
        with without_optimizer():
            variants = {"with batch size 1": _stack([graph(sample) for sample in _batches(some, 1)])}
        # One by one is how goldens of large items are made.
        if count in sizes and count > 1:
            variants[f"with batch size {count}"] = self._run(some, count)
        for size in sizes:
            batches = [graph(batch) for batch in _batches(some, size)]
            variants[f"as a graph with batch size {size}"] = _stack(batches)
        return {how: _largest_difference(variant, reference) for how, variant in variants.items()}

    def _rounding(self, inputs: Inputs, golden: Outputs) -> dict[str, float]:
        """Returns how far outputs are from those in double precision, where an item is large."""
        largest = max(values[0].size for values in (*inputs.values(), *golden.values()))
        if _MOST_COMPARED * largest <= _COMPARED_VALUES:
            return {}
        exact = in_doubles(self._apply, _batches(thinned(inputs, _ROUNDED), 1))
        if exact is None:
            return {}
        found = _largest_difference(_stack(exact), thinned(golden, _ROUNDED))
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def inside(self, inputs: Inputs) -> Inside:
        """Returns the graph inside, for inputs of these names, types and shapes."""
        return Inside(self._apply, inputs)

    def _run_with_half_weights(self, inputs: Inputs) -> tuple[Outputs, str]:
        """Returns the outputs, and the layer that is not finite, if one is not."""
        exact = self._halved.get_weights()
        try:
            self._halved.set_weights([_in_half(weight) for weight in exact])
            outputs = self._run(inputs, self._batch)
            is_finite = all(np.isfinite(values).all() for values in outputs.values())
            return outputs, "" if is_finite else self.inside(inputs).first_overflow(inputs)
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


def compared(arrays: Inputs, vae: VaeSpec, parameters: int) -> dict[str, npt.NDArray[Any]]:
    """Returns the samples in which a model is compared with itself: about 64, fewer where an item has many values.

    Args:
        arrays: All samples by name.
        vae: Gives the size of an item.
        parameters: Of the model: so many of them that a call takes seconds leave fewer samples.
    """
    count = min(max(_COMPARED_VALUES // math.prod(vae.data_shape), _LEAST_COMPARED), _MOST_COMPARED)
    return thinned(arrays, affordable(count, _ROUNDED, parameters, math.prod(vae.data_shape)))


def _in_half(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rounds to half precision; other types than float32, such as counters, stay unchanged."""
    with np.errstate(over="ignore"):  # What overflows becomes infinite, and is reported with its layer.
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


def _difference(values: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    if reference.dtype.kind == "i":
        return float(np.mean(values != reference))
    return float(np.abs(values - reference).max())


def _largest_difference(outputs: Inputs, reference: Inputs) -> dict[str, float]:
    """Returns the largest absolute difference by output, of codes the share; infinite where a value is not finite."""
    with np.errstate(invalid="ignore"):
        largest = {name: _difference(outputs[name], reference[name]) for name in reference}
    return {name: value if np.isfinite(value) else float("inf") for name, value in largest.items()}
