"""Mean, variance and range of columns that come block by block, after Chan, Golub and LeVeque 1983."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of N rows of C columns.

    Attributes:
        count: N.
        mean: `[C]`.
        squares: `[C]`, sums of squared deviations from the mean.
        low: `[C]`, the smallest values.
        high: `[C]`, the largest ones.
    """

    count: int
    mean: Doubles
    squares: Doubles
    low: Doubles
    high: Doubles

    @property
    def deviation(self) -> Doubles:
        """`[C]`, the standard deviations, of the rows themselves and not as a sample of others."""
        return np.sqrt(self.squares / self.count)

    def merged(self, other: Moments) -> Moments:
        """Returns those of both together; means stay exact where both are far from 0."""
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + step * (other.count / count),
            squares=self.squares + other.squares + step**2 * (self.count * other.count / count),
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )


def moments(blocks: Iterable[npt.NDArray[Any]]) -> Moments:
    """Returns the moments of the last dimension's columns over all others.

    Args:
        blocks: `[..., C]`, at least one, none of them empty.
    """
    found = None
    for block in blocks:
        own = _of_block(block)
        found = own if found is None else found.merged(own)
    if found is None:
        raise ValueError("at least one block is needed")
    return found


def _of_block(block: npt.NDArray[Any]) -> Moments:
    columns = np.ascontiguousarray(block.reshape(-1, block.shape[-1]).T, np.float64)
    mean = columns.mean(axis=1)
    return Moments(
        count=columns.shape[1],
        mean=mean,
        squares=np.square(columns - mean[:, None]).sum(axis=1),
        low=columns.min(axis=1),
        high=columns.max(axis=1),
    )
