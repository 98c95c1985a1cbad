"""Rounding of a layer's weights to few bits by what it does to the layer's outputs, not to the nearest step.

The inputs of a layer go together: what the rounding of one input's weights changes, the weights of others can take off.
So inputs are rounded one after another, the largest first, and what each leaves is taken off by those that follow, as
far as calibration samples have them go together (GPTQ, Frantar et al. 2022). That needs neither labels nor gradients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Of the mean square of an input, added to each: it limits how much of an error others are made to take off.
_DAMPING = 0.01
# Shares of a channel's largest weight that its steps reach.
_REACHES = np.linspace(0.35, 1.0, 27)
# Of the step with which weights that are rounded to the nearest have the smallest error: those that are tried.
_FACTORS = (1.0, 0.8, 0.9, 1.1, 1.2)
# Inputs whose errors are passed on to all later ones at once, which is faster.
_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class Moments:
    """How a layer's inputs vary on samples, and with them what they should be.

    Attributes:
        mean: `[K]`.
        products: Mean products of inputs `[K, K]`.
        wanted_mean: What the inputs would be without the rounding before the layer, on average `[K]`.
        wanted_products: Mean products of what they would be with what they are `[K, K]`.
    """

    mean: Array
    products: Array
    wanted_mean: Array
    wanted_products: Array

    def without_means(self) -> Moments:
        """Returns the moments of inputs from which their means are subtracted."""
        return Moments(
            mean=0 * self.mean,
            products=self.products - np.outer(self.mean, self.mean),
            wanted_mean=0 * self.mean,
            wanted_products=self.wanted_products - np.outer(self.wanted_mean, self.mean),
        )

    def suited(self, weights: Array) -> Array:
        """Returns the weights `[O, K]` of the inputs whose outputs are the nearest to what they should be."""
        if np.array_equal(self.products, self.wanted_products):
            return weights
        damping = _damping(self.products) * np.eye(len(self.products))
        return np.asarray(np.linalg.solve(self.products + damping, (weights @ (self.wanted_products + damping)).T).T)


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


def moments_of(blocks: Iterable[Array], wanted: Iterable[Array] | None = None) -> Moments:
    """Returns the moments of inputs.

    Args:
        blocks: Of a layer's inputs `[N, K]`.
        wanted: What the inputs should be, in the same blocks; None for what they are.

    Raises:
        FloatingPointError: an input is not finite.
    """
    count, sums = 0, [np.zeros(()) for _ in range(4)]
    for block, other in (
        zip(blocks, wanted, strict=True) if wanted is not None else ((block, block) for block in blocks)
    ):
        rows = np.asarray(block, np.float64)
        should = rows if wanted is None else np.asarray(other, np.float64)
        products = rows.T @ rows
        crossed = products if wanted is None else should.T @ rows
        count += len(rows)
        found = (rows.sum(axis=0), products, should.sum(axis=0), crossed)
        sums = [total + value for total, value in zip(sums, found, strict=True)]
    if not all(np.isfinite(total).all() for total in sums):
        raise FloatingPointError("an input is not finite")
    mean, products, wanted_mean, wanted_products = (total / count for total in sums)
    return Moments(mean=mean, products=products, wanted_mean=wanted_mean, wanted_products=wanted_products)


def learned_rounding(weights: Array, inputs: Moments, levels: int, *, has_bias: bool = True) -> Rounded:
    """Returns weights as integers with a scale for each output.

    Args:
        weights: `[O, K]`, of outputs `inputs @ weights.T`.
        inputs: Of the layer on calibration samples.
        levels: The largest integer.
        has_bias: Whether a bias will take off the mean error.

    Raises:
        FloatingPointError: a weight is not finite, or inputs have no inverse of their products.
    """
    weights = np.asarray(weights, np.float64)
    if not np.isfinite(weights).all():
        raise FloatingPointError("a weight is not finite")
    # What a bias takes off need not be taken off by other weights.
    moments = inputs.without_means() if has_bias else inputs
    suited, products = moments.suited(weights), moments.products
    nearest = _scales(suited, levels)
    integers, scales = np.zeros(weights.shape, np.int8), nearest
    smallest = np.full(len(weights), np.inf)
    for factor in _FACTORS:
        tried = (nearest * factor).astype(np.float32)
        found = _rounded(suited, products, tried.astype(np.float64), levels)
        error = _errors(found, tried, suited)
        size = np.einsum("ok,ok->o", error @ products, error)
        better = size < smallest
        integers, scales = np.where(better[:, None], found, integers), np.where(better, tried, scales)
        smallest = np.minimum(size, smallest)
    made = (integers * scales.astype(np.float64)[:, None]) @ inputs.mean
    return Rounded(integers=integers, scales=scales, mean_error=made - weights @ inputs.wanted_mean)


def _damping(products: Array) -> float:
    # Where all inputs are 0, any number will do.
    return float(_DAMPING * np.mean(np.diag(products))) or 1.0


def _errors(integers: Array, scales: Array, weights: Array) -> Array:
    return np.asarray(integers * scales.astype(np.float64)[:, None] - weights)


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
    damped[np.diag_indices_from(damped)] += _damping(damped)
    try:
        passed_on = np.linalg.cholesky(np.linalg.inv(damped)).T
    except np.linalg.LinAlgError as e:
        raise FloatingPointError("inputs are so large that their products have no inverse") from e
    left = weights[:, order].copy()
    integers = np.empty(weights.shape, np.int8)
    for start in range(0, len(order), _BLOCK):
        end = min(len(order), start + _BLOCK)
        errors = np.empty((len(weights), end - start))
        for place in range(start, end):
            chosen = np.clip(np.rint(left[:, place] / scales), -levels, levels)
            integers[:, order[place]] = chosen
            error = (left[:, place] - chosen * scales) / passed_on[place, place]
            left[:, place + 1 : end] -= np.outer(error, passed_on[place, place + 1 : end])
            errors[:, place - start] = error
        left[:, end:] -= errors @ passed_on[start:end, end:]
    return integers
