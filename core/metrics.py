"""Deviation of an artifact's outputs from the original's, by the names that tolerances use.

A value that is not finite, on either side, makes every metric NaN, and NaN passes no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pocketvae.errors import unknown_name
from pocketvae.gaussian import kl_divergence
from pocketvae.manifest import Tolerance

FloatArray = npt.NDArray[np.float32]
Outputs = Mapping[str, FloatArray]

# The name under which a tolerance speaks of z_mean and z_log_var together.
POSTERIOR = "posterior"


def _max_abs(difference: npt.NDArray[np.float64]) -> float:
    return float(difference.max())


def _mean_abs(difference: npt.NDArray[np.float64]) -> float:
    return float(difference.mean())


def _p99_abs(difference: npt.NDArray[np.float64]) -> float:
    return float(np.quantile(difference, 0.99))


def _rmse(difference: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(difference))))


def _share_off_by_1(difference: npt.NDArray[np.float64]) -> float:
    return float(np.mean(difference > 1 / 255))


def _share_off_by_4(difference: npt.NDArray[np.float64]) -> float:
    return float(np.mean(difference > 4 / 255))


_ELEMENTWISE: Mapping[str, Callable[[npt.NDArray[np.float64]], float]] = {
    "max_abs": _max_abs,
    "mean_abs": _mean_abs,
    "p99_abs": _p99_abs,
    "rmse": _rmse,
    "share_off_by_1": _share_off_by_1,
    "share_off_by_4": _share_off_by_4,
}
_POSTERIOR: Mapping[str, Callable[[npt.NDArray[np.float64]], float]] = {
    "kl_max": lambda kl: float(kl.max()),
    "kl_mean": lambda kl: float(kl.mean()),
}
METRICS = (*_ELEMENTWISE, *_POSTERIOR)


def measure(tolerance: Tolerance, original: Outputs, artifact: Outputs) -> float:
    """Returns the value that a tolerance limits, NaN where an output is not finite.

    Elementwise metrics are of |artifact - original| over all samples and elements; `share_off_by_1` and
    `share_off_by_4` are the shares of elements that differ by more than 1/255 and 4/255. `kl_mean` and `kl_max` are of
    KL(original || artifact) in nats over the samples.

    Args:
        tolerance: Names the output and the metric.
        original: Output name to `[N, ...]`.
        artifact: Output name to `[N, ...]`.

    Raises:
        SpecError: the metric is unknown, or the output is unknown.
    """
    if tolerance.metric not in METRICS:
        raise unknown_name("metric", tolerance.metric, METRICS)
    if tolerance.metric in _POSTERIOR:
        names = ("z_mean", "z_log_var")
        values = [_as_double(outputs, name) for outputs in (original, artifact) for name in names]
        if not all(np.isfinite(value).all() for value in values):
            return float("nan")
        kl = kl_divergence(*values)
        return _POSTERIOR[tolerance.metric](np.asarray(kl, np.float64))
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is the answer
        difference = np.abs(_as_double(artifact, tolerance.output) - _as_double(original, tolerance.output))
    return _ELEMENTWISE[tolerance.metric](difference) if np.isfinite(difference).all() else float("nan")


def _as_double(outputs: Outputs, name: str) -> npt.NDArray[np.float64]:
    if name not in outputs:
        raise unknown_name("output", name, outputs)
    return outputs[name].astype(np.float64)
