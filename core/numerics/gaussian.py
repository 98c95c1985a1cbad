"""Diagonal Gaussians in numpy: the reference formulas that other implementations are tested against.

A posterior q(z|x) is given by its mean and log-variance, both `[N, D]`. All results are in nats.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]


def reparameterize(z_mean: FloatArray, z_log_var: FloatArray, eps: FloatArray) -> FloatArray:
    """Returns z = mean + sigma * eps, `[N, D]` (Kingma and Welling 2014, section 2.4).

    Args:
        z_mean: `[N, D]`.
        z_log_var: `[N, D]`, the logarithm of the variance.
        eps: `[N, D]` standard normal noise.
    """
    z: FloatArray = z_mean + np.exp(0.5 * z_log_var) * eps
    return z


def kl_to_standard_normal(z_mean: FloatArray, z_log_var: FloatArray) -> FloatArray:
    """Returns KL(N(mean, sigma^2) || N(0, I)) summed over dimensions, `[N]` (Kingma and Welling 2014, appendix B)."""
    kl: FloatArray = 0.5 * np.sum(np.exp(z_log_var) + np.square(z_mean) - 1.0 - z_log_var, axis=-1)
    return kl


def kl_divergence(mean_p: FloatArray, log_var_p: FloatArray, mean_q: FloatArray, log_var_q: FloatArray) -> FloatArray:
    """Returns KL(p || q) of two diagonal Gaussians summed over dimensions, `[N]`.

    Args:
        mean_p: `[N, D]`.
        log_var_p: `[N, D]`.
        mean_q: `[N, D]`.
        log_var_q: `[N, D]`.
    """
    variance_ratio = np.exp(log_var_p - log_var_q)
    distance = np.square(mean_p - mean_q) * np.exp(-log_var_q)
    kl: FloatArray = 0.5 * np.sum(variance_ratio + distance - 1.0 - (log_var_p - log_var_q), axis=-1)
    return kl


def log_normal(z: FloatArray, z_mean: FloatArray, z_log_var: FloatArray) -> FloatArray:
    """Returns log N(z; mean, sigma^2) summed over dimensions, `[N]`."""
    squared_distance = np.square(z - z_mean) * np.exp(-z_log_var)
    log_density: FloatArray = -0.5 * np.sum(np.log(2 * np.pi) + z_log_var + squared_distance, axis=-1)
    return log_density
