"""The noise of p(x|z) that fits residuals best: a variance for each channel, or scales and degrees of freedom."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pocketvae.train.likelihoods import SMALLEST_VARIANCE

Doubles = npt.NDArray[np.float64]

# Fewer than 1 degree of freedom would take most data for outliers; more than 100 are a Gaussian.
_FEWEST_DEGREES, _MOST_DEGREES = 1.0, 100.0
_GOLDEN = (math.sqrt(5) - 1) / 2
_SEARCH_STEPS, _SCALE_STEPS = 16, 20
# Values of each channel that decide; more would cost time and change the third digit.
_MOST_VALUES = 20_000


def channel_variances(squares: npt.NDArray[np.float32]) -> Doubles:
    """Returns the variance of each channel of highest Gaussian likelihood, `[C]`, of squared residuals `[..., C]`."""
    return np.asarray(np.maximum(_columns(squares).mean(axis=0), SMALLEST_VARIANCE))


def square_scales(squares: npt.NDArray[np.float32], degrees: float) -> Doubles:
    """Returns the squared scale of each channel of highest Student's t likelihood, `[C]` (Lange et al. 1989).

    Args:
        squares: Squared residuals, `[..., C]`.
        degrees: Degrees of freedom.
    """
    return _square_scales(_thinned(_columns(squares)), degrees)


def student_t_noise(squares: npt.NDArray[np.float32]) -> tuple[float, Doubles]:
    """Returns degrees of freedom, between 1 and 100, and squared scales `[C]` of highest likelihood.

    The degrees of freedom are shared by all channels, and searched by golden section on a logarithmic axis.

    Args:
        squares: Squared residuals, `[..., C]`.
    """
    columns = _thinned(_columns(squares))

    def cost(log_degrees: float) -> float:
        degrees = math.exp(log_degrees)
        return -_mean_log_density(columns, degrees, _square_scales(columns, degrees))

    low, high = math.log(_FEWEST_DEGREES), math.log(_MOST_DEGREES)
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    costs = [cost(point) for point in inner]
    for _ in range(_SEARCH_STEPS):
        if costs[0] < costs[1]:
            high, inner[1], costs[1] = inner[1], inner[0], costs[0]
            inner[0] = high - _GOLDEN * (high - low)
            costs[0] = cost(inner[0])
        else:
            low, inner[0], costs[0] = inner[0], inner[1], costs[1]
            inner[1] = low + _GOLDEN * (high - low)
            costs[1] = cost(inner[1])
    degrees = math.exp((low + high) / 2)
    return degrees, _square_scales(columns, degrees)


def _columns(squares: npt.NDArray[np.float32]) -> Doubles:
    return squares.reshape(-1, squares.shape[-1]).astype(np.float64)


def _thinned(columns: Doubles) -> Doubles:
    """Returns at most `_MOST_VALUES` rows, evenly spread."""
    return columns[np.linspace(0, len(columns) - 1, min(len(columns), _MOST_VALUES)).astype(np.intp)]


def _square_scales(columns: Doubles, degrees: float) -> Doubles:
    scales = np.maximum(columns.mean(axis=0), SMALLEST_VARIANCE)
    for _ in range(_SCALE_STEPS):
        weighted = (degrees + 1) * columns / (degrees + columns / scales)
        scales = np.maximum(weighted.mean(axis=0), SMALLEST_VARIANCE)
    return np.asarray(scales)


def _mean_log_density(columns: Doubles, degrees: float, scales: Doubles) -> float:
    constant = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    tails = 0.5 * (degrees + 1) * np.log1p(columns / (degrees * scales))
    return float(np.mean(constant - 0.5 * np.log(scales) - tails))
