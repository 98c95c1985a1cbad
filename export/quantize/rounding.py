"""Rounding of a layer's weights to few bits by what it does to the layer's outputs, not to the nearest step.

The inputs of a layer go together: what the rounding of one input's weights changes, the weights of others can take off.
So inputs are rounded one after another, the largest first, and what each leaves is taken off by those that follow, as
far as calibration samples have them go together (GPTQ, Frantar et al. 2022). That needs neither labels nor gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Of the mean square of an input, added to each: it limits how much of an error others are made to take off.
_DAMPING = 0.01
# Shares of a channel's largest weight that its steps reach.
_REACHES = np.linspace(0.35, 1.0, 27)


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """Rounded weights.

    Attributes:
        integers: `[O, K] int8`, at most `levels` and at least `-levels`.
        scales: Step of each output `[O] float32`.
        mean_error: What the rounding adds to each output on average `[O]`.
    """

    integers: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    mean_error: Array


def learned_rounding(weights: Array, inputs: Array, levels: int) -> Rounded:
    """Returns weights as integers with a scale for each output.

    Args:
        weights: `[O, K]`, of outputs `inputs @ weights.T`.
        inputs: The layer's inputs on calibration samples `[N, K]`.
        levels: The largest integer.

    Raises:
        FloatingPointError: a weight or an input is not finite.
    """
    weights, inputs = np.asarray(weights, np.float64), np.asarray(inputs, np.float64)
    if not (np.isfinite(weights).all() and np.isfinite(inputs).all()):
        raise FloatingPointError("a weight or an input is not finite")
    scales = _scales(weights, levels)
    integers = _rounded(weights, inputs.T @ inputs / len(inputs), scales.astype(np.float64), levels)
    error = integers * scales.astype(np.float64)[:, None] - weights
    return Rounded(integers=integers, scales=scales, mean_error=error @ inputs.mean(axis=0))


def _scales(weights: Array, levels: int) -> npt.NDArray[np.float32]:
    """Returns the step of each output with which its weights, rounded to the nearest, have the smallest error."""
    largest = np.abs(weights).max(axis=1)
    largest = np.where(largest > 0, largest, 1.0)
    best, smallest = largest, np.full(len(weights), np.inf)
    for reach in _REACHES:
        steps = (largest * reach / levels)[:, None]
        rounded = np.clip(np.rint(weights / steps), -levels, levels) * steps
        error = np.square(rounded - weights).sum(axis=1)
        best, smallest = np.where(error < smallest, largest * reach, best), np.minimum(error, smallest)
    return np.asarray(best / levels, np.float32)


def _rounded(weights: Array, products: Array, scales: Array, levels: int) -> npt.NDArray[np.int8]:
    """Returns the integers `[O, K]`, given the mean products of inputs `[K, K]`."""
    order = np.argsort(-np.diag(products), kind="stable")
    damped = products[np.ix_(order, order)]
    # Where all inputs are 0, any number will do.
    damped[np.diag_indices_from(damped)] += _DAMPING * np.mean(np.diag(damped)) or 1.0
    passed_on = np.linalg.cholesky(np.linalg.inv(damped)).T
    left = weights[:, order].copy()
    integers = np.empty(weights.shape, np.int8)
    for place, column in enumerate(order):
        chosen = np.clip(np.rint(left[:, place] / scales), -levels, levels)
        integers[:, column] = chosen
        error = (left[:, place] - chosen * scales) / passed_on[place, place]
        left[:, place + 1 :] -= np.outer(error, passed_on[place, place + 1 :])
    return integers
