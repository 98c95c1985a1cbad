"""A mixture of Gaussians fitted to latents, with scikit-learn's EM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import InternalError, missing_package
from pocketvae.keras.mixtures import build_weighted_mixture

DoubleArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

_COUNTS = (1, 2, 4, 8, 16, 32)
# The parameters of a full covariance grow with the square of the dimensions, and so does the exported file.
_MOST_FULL = 64
_ROWS_A_COMPONENT, _ROWS_A_DIMENSION = 50, 5
# Of each dimension's variance: what is added to a component's.
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A fitted mixture of K Gaussians.

    Attributes:
        weights: `[K]`, probabilities.
        means: `[K, D]`.
        factors: `[K, D]`, standard deviations; or `[K, D, D]`, Cholesky factors of the covariances.
    """

    weights: DoubleArray
    means: DoubleArray
    factors: DoubleArray

    @property
    def is_full(self) -> bool:
        """Whether the covariances are full."""
        return self.factors.ndim > self.means.ndim

    @property
    def description(self) -> str:
        """What it is, in words."""
        count, form = len(self.weights), "full" if self.is_full else "diagonal"
        return f"{count} Gaussian{'s' if count > 1 else ''} with {form} covariance"

    def build(self, shape: tuple[int, ...]) -> Any:
        """Returns the sampling model: `eps [N, D + 1] -> z [N, *shape]`."""
        means, factors = (values.astype(np.float32) for values in (self.means, self.factors))
        return build_weighted_mixture(self.weights, means, factors, shape)

    @property
    def takes_label(self) -> bool:
        """False: labels do not change anything."""
        return False

    def log_density(self, z: DoubleArray, labels: Labels | None = None) -> DoubleArray:
        """Returns log p(z) in nats, `[N]`, of latents `[N, D]`, whatever their labels."""
        terms = []
        for weight, mean, factor in zip(self.weights, self.means, self.factors, strict=True):
            centred = z - mean
            noise = np.linalg.solve(factor, centred.T).T if self.is_full else centred / factor
            scales = np.diagonal(factor) if self.is_full else factor
            squares = np.square(noise) + np.log(2 * np.pi) + 2 * np.log(scales)
            terms.append(np.log(weight) - 0.5 * squares.sum(axis=1))
        together: DoubleArray = np.logaddexp.reduce(terms, axis=0)
        return together

    def sample(self, count: int, rng: np.random.Generator, labels: Labels | None = None) -> DoubleArray:
        """Returns `[count, D]` latents, whatever labels they are for."""
        chosen = rng.choice(len(self.weights), count, p=self.weights)
        noise = rng.standard_normal((count, self.means.shape[1]))
        factors = self.factors[chosen]
        moved = np.einsum("nij,nj->ni", factors, noise) if self.is_full else factors * noise
        samples: DoubleArray = self.means[chosen] + moved
        return samples


def fit_mixture(train: DoubleArray, validation: DoubleArray, seed: int) -> Mixture:
    """Fits mixtures of 1 to 32 Gaussians, diagonal ones and up to 64 dimensions full ones; returns the likeliest.

    A count that leaves a component with fewer than 50 latents, or a full one with fewer than 5 for each dimension, is
    not tried, nor is a larger one than the first that fits worse than the one before it.

    Args:
        train: `[N, D]` latents to fit to.
        validation: `[M, D]` other latents, whose mean log-likelihood chooses among the fits.
        seed: Of the clusters that EM starts from.

    Raises:
        TargetError: scikit-learn is not installed.
    """
    centre, scale = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    rows, dim = train.shape
    least = {"diag": _ROWS_A_COMPONENT, "full": max(_ROWS_A_COMPONENT, _ROWS_A_DIMENSION * dim)}
    best: tuple[float, Mixture] | None = None
    for form in ("diag", "full") if dim <= _MOST_FULL else ("diag",):
        before = -np.inf
        for count in _COUNTS:
            is_fitting = count * least[form] <= rows or (form, count) == ("diag", 1)
            if not is_fitting:
                break
            found = _unscaled(_fitted((train - centre) / scale, form, count, seed), centre, scale)
            likelihood = float(found.log_density(validation).mean())
            if best is None or likelihood > best[0]:
                best = likelihood, found
            if likelihood < before:
                break
            before = likelihood
    if best is None:
        raise InternalError("a mixture of one diagonal Gaussian is always tried")
    return best[1]


def _fitted(rows: DoubleArray, form: str, count: int, seed: int) -> Any:
    try:
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits
    except ImportError as e:
        raise missing_package("sklearn", "export") from e
    model = GaussianMixture(count, covariance_type=form, reg_covar=_LEAST_VARIANCE, random_state=seed, max_iter=100)
    # Its products are small: several threads wait for one another, for minutes where the machine has other work.
    with threadpool_limits(1):
        return model.fit(rows)


def _unscaled(fit: Any, centre: DoubleArray, scale: DoubleArray) -> Mixture:
    """Returns a fit to latents that were centred and scaled as a mixture of the latents themselves."""
    if fit.covariance_type == "full":
        factors = scale[None, :, None] * np.linalg.cholesky(fit.covariances_)
    else:
        factors = scale * np.sqrt(fit.covariances_)
    weights = np.asarray(fit.weights_, np.float64)
    return Mixture(weights=weights / weights.sum(), means=centre + scale * fit.means_, factors=factors)
