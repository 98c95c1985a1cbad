"""The search for the quantization of a network that costs least within its error budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

# Narrower ranges give finer steps to the values that are common and clip the ones that are rare.
_RANGE_SCALES = (0.8, 0.6)
_WORTHWHILE_GAIN = 0.99
# A variant that uses all of its budget here may exceed it where integer kernels round differently.
MARGIN = 0.95
# Networks of more layers, most of which hold next to no weights, are searched in groups of layers.
_FEW_LAYERS = 16
# The layers of a large network that are looked at one by one hold this share of its weights.
_WEIGHTY_SHARE = 0.95
# Narrower ranges lower an error, but they were never seen to bring one beyond this many times the budget within it.
HOPELESS_RATIO = 4.0
# Nor this many times the budget where each range was already chosen by the error that it leaves.
NEAR_RATIO = 2.0
# A range can only be worth an attempt where its layer causes this share of the squared error.
_NOTICEABLE_SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class QuantizationPlan:
    """How to quantize each layer; a layer that is not mentioned is quantized with its full calibrated range.

    Attributes:
        float_layers: Layers to keep in float.
        range_scales: Layer to the fraction of its output's calibrated range that the integers cover.
        weights_only: Those of the float layers whose weights are stored in 8 bits all the same.
        four_bits: Integer layers whose weights are stored in 4 bits.
    """

    float_layers: tuple[str, ...] = ()
    range_scales: Mapping[str, float] = field(default_factory=dict)
    weights_only: tuple[str, ...] = ()
    four_bits: tuple[str, ...] = ()

    def with_scale(self, layer: str, scale: float) -> QuantizationPlan:
        """Returns the plan with another range for a layer's output."""
        return replace(self, range_scales={**self.range_scales, layer: scale})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One quantized variant and its errors.

    Attributes:
        plan: What it was made with.
        content: The file.
        rmse: Root mean square error on samples that are not golden; NaN where it was not measured.
        error_ratio: Largest ratio of an error on the goldens to its limit; at most 1 where verify will pass.
        errors: Metric to its value on the goldens.
        fault: Why the file does not run; empty if it does.
    """

    plan: QuantizationPlan
    content: bytes
    rmse: float
    error_ratio: float
    errors: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""

    @property
    def within_budget(self) -> bool:
        """Whether every error is within its limit, with room for the kernels of another CPU."""
        return self.error_ratio <= MARGIN


Attempt = Callable[[QuantizationPlan], Trial]


class Search:
    """Tries variants and remembers them."""

    def __init__(
        self, layer_sizes: Mapping[str, int], attempt: Attempt, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Sets up the search.

        Args:
            layer_sizes: Layer name to its number of weights, in graph order.
            attempt: Function that makes and measures one variant.
            is_over: Whether the search has to end with what it has found.
        """
        self._sizes, self._attempt, self._is_over = layer_sizes, attempt, is_over
        self._trials: dict[tuple[object, ...], Trial] = {}
        self._alone: dict[str, float] = {}

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every variant that was tried, in order, each once."""
        return tuple(self._trials.values())

    def attempt(self, plan: QuantizationPlan) -> Trial:
        """Makes and measures a variant, once."""
        names = (plan.float_layers, plan.range_scales.items(), plan.weights_only, plan.four_bits)
        key = tuple(frozenset(chosen) for chosen in names)
        if key not in self._trials:
            self._trials[key] = self._attempt(plan)
        return self._trials[key]

    def run(self) -> Trial:
        """Finds a quantization within the budget.

        First the ranges: layer by layer, a narrower range is kept where it lowers the error. If that does not meet the
        budget, the search starts again from a network in float and quantizes layer by layer, the largest first, as
        long as the budget is met. Keeping layers in float one by one instead, by their gain per weight, ends with the
        large ones in float if many small errors add up. With L layers that is at most 3 L + 2 attempts, and far fewer
        in a large network: see `_groups`.

        Returns:
            See `best`.
        """
        tuned = self.tune_ranges()
        if not tuned.within_budget:
            self._quantize_within_budget(tuned.plan.range_scales)
        return self.best()

    def store_float_weights(self, storable: Collection[str]) -> Trial:
        """Stores the weights of float layers in 8 bits where the budget allows it, after `run`.

        Most of what 8 bits lose, they lose in activations. If the network is within its budget with the weights alone
        in 8 bits, layers become integers as long as the budget is met, the largest first; else the weights are added
        one layer after another. With L layers that is at most L + 1 more attempts.

        Args:
            storable: The layers whose weights can be stored so; the others, such as normalizations, stay in float.

        Returns:
            See `best`.
        """
        best = self.best()
        if not best.within_budget or not self.float_weights(best) or self._is_over():
            return best
        order = tuple(name for name in self._by_size() if name in storable)
        if self.attempt(self._plan((), {}, weights=order)).within_budget:
            self._add_integers(order, best.plan.range_scales, weights=order)
            return self.best()
        floats = [name for name in order if name in best.plan.float_layers]
        self._add(floats, lambda stored: replace(best.plan, weights_only=stored))
        return self.best()

    @property
    def is_large(self) -> bool:
        """Whether the network has so many layers that not each of them is looked at by itself."""
        return len(self._sizes) > _FEW_LAYERS

    def run_without_ranges(self) -> Trial:
        """Finds a quantization of weights alone: all of them, or the largest layers that keep within the budget."""
        whole = self.attempt(QuantizationPlan())
        if not whole.within_budget:
            self._quantize_within_budget(whole.plan.range_scales)
        return self.best()

    def sensitivities(self) -> dict[str, float]:
        """Returns the error ratio of each layer when it alone is quantized and all others are in float.

        In a large network, only of the layers that hold nearly all weights, as far as the search has time.
        """
        for name in self._weighty():
            if self._is_over():
                break
            self._alone[name] = self.attempt(self._plan((name,), {})).error_ratio
        return dict(self._alone)

    def tune_ranges(self, scales: Mapping[str, float] | None = None) -> Trial:
        """Finds, layer by layer, the output range that gives the smallest error; every layer stays quantized.

        Args:
            scales: Layer to a fraction of its range that is known to suit it. If the budget is met with all of them or
                with whole ranges, or if it is far, no others are tried.
        """
        whole = self.attempt(QuantizationPlan())
        starts = [trial for trial in self.trials if not trial.plan.float_layers and not trial.plan.four_bits]
        if scales:
            starts.append(self.attempt(QuantizationPlan(range_scales=scales)))
        if scales and not any(trial.within_budget for trial in starts):
            # Of ranges that were chosen one by one, each for an error in pixels, all together may clip too much.
            wider = {layer: math.sqrt(scale) for layer, scale in scales.items()}
            starts.append(self.attempt(QuantizationPlan(range_scales=wider)))
        best = _closest(starts)
        if scales is not None and (best.within_budget or not best.error_ratio <= NEAR_RATIO):
            return best
        found = self._narrow(best)
        # Narrowing cannot widen what was narrow from the start.
        return found if found.within_budget or best is whole else _closest([found, self._narrow(whole)])

    def _narrow(self, best: Trial) -> Trial:
        for layer in self._tunable(best):
            for scale in _RANGE_SCALES:
                if self._is_over():
                    return best
                trial = self.attempt(best.plan.with_scale(layer, scale))
                if trial.rmse > best.rmse * _WORTHWHILE_GAIN:
                    break
                best = trial
        return best

    def best(self) -> Trial:
        """Returns the best variant so far: of those within the budget the one that costs least, see `_cost`.

        Where none meets the budget, it is the one closest to it.
        """
        enough = [trial for trial in self.trials if trial.within_budget]
        if enough:
            return min(enough, key=lambda trial: (self._cost(trial), *self._floats(trial), trial.error_ratio))
        return min(self.trials, key=lambda trial: trial.error_ratio)

    def float_weights(self, trial: Trial) -> int:
        """Returns how many weights a variant stores in float."""
        plan = trial.plan
        return sum(self._sizes[layer] for layer in plan.float_layers if layer not in plan.weights_only)

    def _cost(self, trial: Trial) -> float:
        """Returns the bytes of a variant, counted twice as far as it computes in float.

        Floats take several times as long as integers, so that bytes alone would trade time for a few of them; and a
        file that is larger than another must gain by it.
        """
        computed, _ = self._floats(trial)
        return len(trial.content) * (1 + computed / max(1, sum(self._sizes.values())))

    def _floats(self, trial: Trial) -> tuple[int, int]:
        """Returns how many weights a variant computes with in float, and how many it stores in float."""
        return sum(self._sizes[layer] for layer in trial.plan.float_layers), self.float_weights(trial)

    def _quantize_within_budget(self, scales: Mapping[str, float]) -> None:
        self.attempt(self._plan((), scales))
        self._add_integers(self._by_size(), scales)

    def _add_integers(self, layers: Iterable[str], scales: Mapping[str, float], weights: tuple[str, ...] = ()) -> None:
        """Makes one layer after another an integer one where the budget is still met.

        In a large network, what exceeds the budget alone is not tried again among others.
        """
        if self.is_large:
            layers = [name for name in layers if self._alone.get(name, 0.0) <= MARGIN]
        self._add(layers, lambda quantized: self._plan(quantized, scales, weights))

    def _add(self, layers: Iterable[str], plan: Callable[[tuple[str, ...]], QuantizationPlan]) -> None:
        """Adds one layer after another to a plan where the budget is still met.

        In a large network as many as possible are added at once: where a group exceeds the budget, its halves are
        tried. That finds what one by one would, since an error grows with what is added.
        """
        added: tuple[str, ...] = ()
        waiting = self._groups(layers)
        while waiting and not self._is_over():
            group = waiting.pop(0)
            if self.attempt(plan((*added, *group))).within_budget:
                added = (*added, *group)
            elif any(self._sizes[name] for name in group) and len(group) > 1:
                half = len(group) // 2
                waiting[:0] = [group[:half], group[half:]]

    def _groups(self, layers: Iterable[str]) -> list[tuple[str, ...]]:
        """Returns what is added at once: in a large network all layers.

        Its operators without weights cost no bytes in float: they are a group of their own, which is not split.
        """
        names = tuple(layers)
        if not self.is_large:
            return [(name,) for name in names]
        weighty = self._weighty()
        groups = [tuple(name for name in names if (name in weighty) == chosen) for chosen in (True, False)]
        return [group for group in groups if group]

    def _weighty(self) -> list[str]:
        """Returns the layers to look at by themselves, in graph order: all, or those with nearly all weights."""
        if not self.is_large:
            return list(self._sizes)
        total, held, chosen = sum(self._sizes.values()), 0, set()
        for name in self._by_size():
            if held >= _WEIGHTY_SHARE * total or not self._sizes[name]:
                break
            held += self._sizes[name]
            chosen.add(name)
        return [name for name in self._sizes if name in chosen]

    def _tunable(self, whole: Trial) -> list[str]:
        """Returns the layers whose ranges are worth an attempt; in a large network those that cause the error."""
        if not self.is_large:
            return list(self._sizes)
        if whole.error_ratio > HOPELESS_RATIO:
            return []
        weighty = self._weighty()
        squares = {name: min(self._alone.get(name, 1.0), HOPELESS_RATIO) ** 2 for name in weighty}
        return [name for name in weighty if squares[name] >= _NOTICEABLE_SHARE * sum(squares.values())]

    def _by_size(self) -> list[str]:
        """Returns the layers, those with the most weights first."""
        return sorted(self._sizes, key=lambda name: -self._sizes[name])

    def _plan(
        self, quantized: tuple[str, ...], scales: Mapping[str, float], weights: tuple[str, ...] = ()
    ) -> QuantizationPlan:
        return QuantizationPlan(
            float_layers=tuple(name for name in self._sizes if name not in quantized),
            range_scales={name: scale for name, scale in scales.items() if name in quantized},
            weights_only=tuple(name for name in weights if name not in quantized),
        )


def _closest(trials: Sequence[Trial]) -> Trial:
    """Returns the variant with the smallest error of those within the budget, or of all where none is."""
    return min([trial for trial in trials if trial.within_budget] or trials, key=lambda trial: trial.rmse)
