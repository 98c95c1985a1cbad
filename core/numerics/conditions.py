"""Values of a VAE's conditions where no data give them: for calibration, goldens and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketvae.vae_spec import Condition, VaeSpec


def drawn_conditions(vae: VaeSpec, count: int, rng: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    """Draws every condition for `count` samples, by name: labels `[N] int32`, others `[N, ...] float32`.

    Classes are equally likely. Every second sample has the ends of a continuous condition's range alone, as attributes
    that are present or absent do; the others are uniform in between.
    """
    return draw(vae.conditions, count, rng)


def draw(conditions: Sequence[Condition], count: int, rng: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    """Draws conditions as `drawn_conditions` does."""
    return {condition.name: _drawn(condition, count, rng) for condition in conditions}


def _drawn(condition: Condition, count: int, rng: np.random.Generator) -> npt.NDArray[np.generic]:
    if condition.is_label:
        return rng.integers(0, condition.count, count).astype(np.int32)
    low, high = condition.range
    values = rng.uniform(low, high, (count, *condition.shape))
    values[1::2] = np.where(values[1::2] < (low + high) / 2, low, high)
    return values.astype(np.float32)
