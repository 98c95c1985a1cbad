"""The search for the quantization of a network that holds its budget with the fewest layers left in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

# Narrower ranges give finer steps to the values that are common and clip the ones that are rare.
_RANGE_SCALES = (0.8, 0.6)
_WORTHWHILE_GAIN = 0.99
# A variant that uses all of its budget here may be over it where integer kernels round in another way.
_MARGIN = 0.95


@dataclass(frozen=True, kw_only=True)
class QuantizationPlan:
    """How to quantize each layer; a layer that is not mentioned is quantized with its full calibrated range.

    Attributes:
        float_layers: Layers to keep in float.
        range_scales: Layer to the fraction of its output's calibrated range that the integers cover.
    """

    float_layers: tuple[str, ...] = ()
    range_scales: Mapping[str, float] = field(default_factory=dict)

    def with_float(self, layer: str) -> QuantizationPlan:
        """Returns the plan with one more layer in float, which needs no range any more."""
        scales = {name: scale for name, scale in self.range_scales.items() if name != layer}
        return replace(self, float_layers=(*self.float_layers, layer), range_scales=scales)

    def without_float(self, layer: str) -> QuantizationPlan:
        """Returns the plan with a layer quantized again."""
        return replace(self, float_layers=tuple(name for name in self.float_layers if name != layer))

    def with_scale(self, layer: str, scale: float) -> QuantizationPlan:
        """Returns the plan with another range for a layer's output."""
        return replace(self, range_scales={**self.range_scales, layer: scale})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One quantized variant and how it did.

    Attributes:
        plan: What it was made with.
        content: The file.
        rmse: Root mean square error on samples that are not golden.
        excess: Largest ratio of an error on the goldens to its limit; at most 1 where verify will pass.
    """

    plan: QuantizationPlan
    content: bytes
    rmse: float
    excess: float

    @property
    def within_budget(self) -> bool:
        """Whether every error is within its limit, with room for the kernels of another CPU."""
        return self.excess <= _MARGIN


Attempt = Callable[[QuantizationPlan], Trial]


def search_quantization(layer_sizes: Mapping[str, int], attempt: Attempt) -> Trial:
    """Finds a quantization within the budget.

    First the ranges: layer by layer, a narrower range is kept where it lowers the error. Then, while the budget does
    not hold, each remaining layer is tried in float and the one that removes most error per weight is kept; last, each
    layer whose float precision turned out not to be needed is taken back, largest first. With L layers that is at
    most 2 L + L (L + 3) / 2 + 1 attempts.

    Args:
        layer_sizes: Layer name to its number of weights, in graph order.
        attempt: Makes and measures one variant.

    Returns:
        The variant with the fewest float weights that was found within the budget, or, where none is, the one with
        the smallest excess.
    """
    best = tune_ranges(layer_sizes, attempt)
    while not best.within_budget:
        remaining = [layer for layer in layer_sizes if layer not in best.plan.float_layers]
        trials = [attempt(best.plan.with_float(layer)) for layer in remaining]
        enough = [trial for trial in trials if trial.within_budget]
        if enough:
            best = min(enough, key=lambda trial: _float_weights(trial, layer_sizes))
            break
        better = [trial for trial in trials if trial.excess < best.excess]
        if not better:
            return best
        best = _best_per_weight(better, best, layer_sizes)
    return _take_back(best, layer_sizes, attempt)


def tune_ranges(layer_sizes: Mapping[str, int], attempt: Attempt) -> Trial:
    """Finds, layer by layer, the output range that gives the smallest error; every layer stays quantized."""
    best = attempt(QuantizationPlan())
    for layer in layer_sizes:
        for scale in _RANGE_SCALES:
            trial = attempt(best.plan.with_scale(layer, scale))
            if trial.rmse > best.rmse * _WORTHWHILE_GAIN:
                break
            best = trial
    return best


def _take_back(best: Trial, layer_sizes: Mapping[str, int], attempt: Attempt) -> Trial:
    if len(best.plan.float_layers) < 2:
        return best
    for layer in sorted(best.plan.float_layers, key=lambda name: -layer_sizes[name]):
        trial = attempt(best.plan.without_float(layer))
        if trial.within_budget:
            best = trial
    return best


def _best_per_weight(trials: list[Trial], base: Trial, layer_sizes: Mapping[str, int]) -> Trial:
    def gain(trial: Trial) -> float:
        added = _float_weights(trial, layer_sizes) - _float_weights(base, layer_sizes)
        return (base.excess - trial.excess) / max(1, added)

    return max(trials, key=gain)


def _float_weights(trial: Trial, layer_sizes: Mapping[str, int]) -> int:
    return sum(layer_sizes[layer] for layer in trial.plan.float_layers)
