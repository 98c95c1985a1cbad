"""The definition of a mutation, shared by both formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One fault in one file.

    Attributes:
        kind: What was done, the same words for both formats.
        where: To which tensor or operator.
        content: The file with the fault.
    """

    kind: str
    where: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class WeightChange:
    """A fault that is made in one weight tensor; None where the tensor has no such place."""

    kind: str
    apply: Callable[[Weights, np.random.Generator], Weights | None]


def flip_bit(weights: Weights, rng: np.random.Generator) -> Weights:
    """Flips one random bit of one random element."""
    changed = weights.copy()
    flat = changed.reshape(-1).view(np.uint8)
    flat[rng.integers(flat.size)] ^= np.uint8(1 << int(rng.integers(8)))
    return changed


def swap_channels(weights: Weights, rng: np.random.Generator) -> Weights | None:
    """Swaps two slices along the longest axis of a matrix or kernel."""
    axis = int(np.argmax(weights.shape)) if weights.ndim > 1 else 0
    count = weights.shape[axis] if weights.ndim else 1
    if count < 2:
        return None
    first, second = rng.choice(count, 2, replace=False)
    order = np.arange(count)
    order[[first, second]] = order[[second, first]]
    return weights.take(order, axis=axis)


def scale(weights: Weights, rng: np.random.Generator) -> Weights | None:
    """Multiplies float weights by 1.01 to 1.2: a scale that was taken from another export."""
    if weights.dtype.kind != "f":
        return None
    changed: Weights = (weights * (1 + float(rng.uniform(0.01, 0.2)))).astype(weights.dtype)
    return changed


def put_nan(weights: Weights, rng: np.random.Generator) -> Weights | None:
    """Makes one float weight NaN."""
    if weights.dtype.kind != "f":
        return None
    changed = weights.copy()
    changed.reshape(-1)[rng.integers(changed.size)] = np.nan
    return changed


def transpose_kernel(weights: Weights, rng: np.random.Generator, axes: tuple[int, int]) -> Weights | None:
    """Swaps the two spatial axes of a square convolution kernel."""
    if weights.ndim != 4 or weights.shape[axes[0]] != weights.shape[axes[1]] or weights.shape[axes[0]] < 2:
        return None
    return weights.swapaxes(*axes).copy()


def shift_kernel(weights: Weights, rng: np.random.Generator, axes: tuple[int, int]) -> Weights | None:
    """Moves a kernel by one pixel, which is what padding on the wrong side does."""
    if weights.ndim != 4 or weights.shape[axes[0]] < 2:
        return None
    return np.roll(weights, 1, axis=axes[int(rng.integers(2))])


def weight_changes(spatial_axes: tuple[int, int]) -> tuple[WeightChange, ...]:
    """Returns the changes of single weight tensors.

    Args:
        spatial_axes: Height and width of a convolution kernel in the format's layout.
    """
    return (
        WeightChange(kind="bit flip", apply=flip_bit),
        WeightChange(kind="swapped channels", apply=swap_channels),
        WeightChange(kind="wrong scale", apply=scale),
        WeightChange(kind="NaN", apply=put_nan),
        WeightChange(kind="transposed axes", apply=lambda w, rng: transpose_kernel(w, rng, spatial_axes)),
        WeightChange(kind="off-by-one padding", apply=lambda w, rng: shift_kernel(w, rng, spatial_axes)),
    )
