"""The search for the layers to keep in float so that a quantized artifact holds its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

_Artifact = TypeVar("_Artifact")


@dataclass(frozen=True, kw_only=True)
class Trial(Generic[_Artifact]):
    """One quantized variant and how it did.

    Attributes:
        float_layers: Layers that were kept in float.
        artifact: What was made.
        excess: Largest ratio of an error to its limit; at most 1 where the budget holds.
    """

    float_layers: tuple[str, ...]
    artifact: _Artifact
    excess: float

    @property
    def within_budget(self) -> bool:
        """Whether every error is within its limit."""
        return self.excess <= 1.0


def search_float_layers(
    layer_sizes: Mapping[str, int], attempt: Callable[[tuple[str, ...]], Trial[_Artifact]]
) -> Trial[_Artifact]:
    """Finds a small set of layers to keep in float.

    Greedy: starts with all layers quantized; while the budget does not hold, tries each remaining layer in float and
    keeps the one that removes most error per weight. Then takes back each layer whose float precision turned out not
    to be needed, largest first. With L layers that is at most L * (L + 3) / 2 + 1 attempts.

    Args:
        layer_sizes: Layer name to its number of weights.
        attempt: Makes and measures the variant with the given layers in float.

    Returns:
        The trial with the fewest float weights that was found within the budget, or, where none is, the one with the
        smallest excess.
    """
    best = attempt(())
    while not best.within_budget:
        remaining = [layer for layer in layer_sizes if layer not in best.float_layers]
        trials = [attempt((*best.float_layers, layer)) for layer in remaining]
        enough = [trial for trial in trials if trial.within_budget]
        if enough:
            best = min(enough, key=lambda trial: _weights(trial, layer_sizes))
            break
        better = [trial for trial in trials if trial.excess < best.excess]
        if not better:
            return best
        base = best
        best = max(better, key=lambda trial: (base.excess - trial.excess) / _added_weights(trial, base, layer_sizes))
    return _take_back(best, layer_sizes, attempt)


def _take_back(
    best: Trial[_Artifact],
    layer_sizes: Mapping[str, int],
    attempt: Callable[[tuple[str, ...]], Trial[_Artifact]],
) -> Trial[_Artifact]:
    if len(best.float_layers) < 2:
        return best
    for layer in sorted(best.float_layers, key=lambda name: -layer_sizes[name]):
        trial = attempt(tuple(name for name in best.float_layers if name != layer))
        if trial.within_budget:
            best = trial
    return best


def _weights(trial: Trial[_Artifact], layer_sizes: Mapping[str, int]) -> int:
    return sum(layer_sizes[layer] for layer in trial.float_layers)


def _added_weights(trial: Trial[_Artifact], base: Trial[_Artifact], layer_sizes: Mapping[str, int]) -> int:
    return max(1, _weights(trial, layer_sizes) - _weights(base, layer_sizes))
