"""How far two sets of samples are from one another, without a model of either."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
DoubleArray: TypeAlias = npt.NDArray[np.float64]


def median_distance(samples: Array) -> float:
    """Returns the median distance of two different samples, the usual bandwidth of a Gaussian kernel.

    Args:
        samples: `[N, D]`, at least two.
    """
    squared = _squared_distances(samples, samples)
    return float(np.sqrt(np.median(squared[np.triu_indices(len(samples), 1)])))


def mmd_squared(samples: Array, others: Array, bandwidth: float) -> float:
    """Returns the unbiased estimate of MMD² with the kernel exp(-|a - b|² / (2 bandwidth²)).

    It is near 0, and may be below, for samples of one distribution (Gretton et al. 2012, equation 3).

    Args:
        samples: `[N, D]`, at least two.
        others: `[M, D]`, at least two.
        bandwidth: In the unit of the samples.
    """
    within = [_kernel(part, part, bandwidth) for part in (samples, others)]
    means = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in within]
    return float(means[0] + means[1] - 2 * _kernel(samples, others, bandwidth).mean())


def _kernel(a: Array, b: Array, bandwidth: float) -> DoubleArray:
    values: DoubleArray = np.exp(-_squared_distances(a, b) / (2 * bandwidth**2))
    return values


def _squared_distances(a: Array, b: Array) -> DoubleArray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    squared: DoubleArray = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squared, 0.0)
