"""How far a window lies beside its reconstruction, channel by channel: what a sum of squares over the window drowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind, VaeSpec

Doubles = npt.NDArray[np.float64]
_MOST_CHANNELS = 128
_FEWEST_ITEMS = 10
# Of the largest scale: a channel that is always reconstructed alike keeps a finite weight.
_SMALLEST_SCALE = 1e-3


@dataclass(frozen=True, kw_only=True)
class OffsetDensity:
    """A Gaussian of the mean errors of normal items, one for each channel.

    Attributes:
        mean: `[C]`, mean of each.
        scale: `[C]`, standard deviation of each.
        precision: `[C, C]`, inverse of the covariance of what is left when both are taken out.
    """

    __pydantic_config__ = STRICT
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]

    def distance(self, offsets: Doubles) -> Doubles:
        """Returns the squared Mahalanobis distance of `[N, C]`, `[N]`."""
        centred = (offsets - np.array(self.mean)) / np.array(self.scale)
        squares: Doubles = np.einsum("ni,ij,nj->n", centred, np.array(self.precision), centred)
        return squares


def has_offsets(vae: VaeSpec) -> bool:
    """Whether a VAE's items have channels, few enough for a covariance of them."""
    return vae.data in (DataKind.SEQUENCE, DataKind.VECTOR) and vae.data_shape[-1] <= _MOST_CHANNELS


def mean_errors(target: Doubles, decoded: Doubles) -> Doubles:
    """Returns the mean error of each channel, `[N, C]`, of items `[N, ..., C]`."""
    error = target - decoded.reshape(target.shape)
    return np.asarray(error.reshape(len(error), -1, error.shape[-1]).mean(axis=1))


def fit_offsets(offsets: Doubles) -> OffsetDensity:
    """Fits the Gaussian to normal items `[N, C]`.

    Windows overlap and recordings are few, so that the covariance is shrunk towards equal variances as far as it is
    uncertain (Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004).

    Raises:
        DataError: there are too few items.
    """
    if len(offsets) < _FEWEST_ITEMS:
        raise DataError(f"a density needs at least {_FEWEST_ITEMS} normal items, got {len(offsets)}")
    mean, scale = offsets.mean(axis=0), offsets.std(axis=0)
    scale = np.maximum(scale, _SMALLEST_SCALE * float(scale.max()) or 1.0)
    standard = (offsets - mean) / scale
    count, width = standard.shape
    covariance = standard.T @ standard / count
    target = np.trace(covariance) / width * np.eye(width)
    distance = float(np.square(covariance - target).sum())
    uncertainty = float((np.square(np.square(standard).sum(axis=1)).mean() - np.square(covariance).sum()) / count)
    share = min(1.0, uncertainty / distance) if distance else 1.0
    precision = np.linalg.inv((1 - share) * covariance + share * target + 1e-6 * np.eye(width))
    rows = tuple(tuple(row) for row in precision.tolist())
    return OffsetDensity(mean=tuple(mean.tolist()), scale=tuple(scale.tolist()), precision=rows)
