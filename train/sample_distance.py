"""Distances between two sets of feature vectors: the kernel distance, and precision and recall, in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Kynkaanniemi et al. 2019, section 3.
NEIGHBOURS = 3
_DEGREE = 3


def kernel_distance(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Returns the unbiased estimate of the squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

    The KID of Binkowski et al. 2018, here of all pairs: around 0, and also below, for sets of one distribution.

    Args:
        first: `[N, D]`, N at least 2.
        second: `[M, D]`, M at least 2.
    """
    return _mean_of_others(first) + _mean_of_others(second) - 2 * float(_kernel(first, second).mean())


def precision_and_recall(real: npt.NDArray[np.float64], drawn: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Returns the share of the drawn that are like the real, and of the real that are like the drawn.

    A vector is like a set if it is within the distance of one of its vectors to that one's third nearest neighbour in
    the set (Kynkaanniemi et al. 2019, improved precision and recall).

    Args:
        real: `[N, D]`, N at least 4.
        drawn: `[M, D]`, M at least 4; the two depend on the numbers, so they should be equal.
    """
    between = _square_distances(real, drawn)
    precision = (between <= _square_radii(real)[:, None]).any(axis=0).mean()
    recall = (between <= _square_radii(drawn)[None]).any(axis=1).mean()
    return float(precision), float(recall)


def _kernel(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    kernel: npt.NDArray[np.float64] = (first @ second.T / first.shape[1] + 1) ** _DEGREE
    return kernel


def _mean_of_others(vectors: npt.NDArray[np.float64]) -> float:
    """Returns the mean kernel of all pairs of two different vectors."""
    count, kernel = len(vectors), _kernel(vectors, vectors)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _square_distances(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None]
    distances: npt.NDArray[np.float64] = np.maximum(squares - 2 * first @ second.T, 0)
    return distances


def _square_radii(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the squared distance of every vector to its third nearest other one."""
    distances = _square_distances(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    radii: npt.NDArray[np.float64] = np.partition(distances, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    return radii
