"""The aggregate posterior: the latents of all data together, which should be distributed as the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Of squared errors: a VAE that learned nothing is at 1, and drawn latents add a little.
LOST = 1.1
# Nats a dimension. A standard deviation of 0.7 or 1.33, or a mean of 0.45, is as far; the quickstart is at 0.014.
FAR_NATS = 0.1


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Moments of latents, per dimension, summarised.

    Attributes:
        kl_nats: KL(N(mean, std²) || N(0, 1)), mean over dimensions.
        largest_mean: The largest absolute mean of a dimension.
        smallest_std: The smallest standard deviation of a dimension.
        largest_std: The largest.
    """

    kl_nats: float
    largest_mean: float
    smallest_std: float
    largest_std: float

    @property
    def is_far(self) -> bool:
        """Whether N(0, I) is no good prior of these latents."""
        return not self.kl_nats <= FAR_NATS

    @property
    def text(self) -> str:
        """The figures."""
        return (
            f"{self.kl_nats:.2g} nats a dimension; means to {self.largest_mean:.2g}, standard deviations "
            f"{self.smallest_std:.2g} to {self.largest_std:.2g}"
        )


def label_share(latents: npt.NDArray[np.float64], labels: npt.NDArray[np.int32]) -> float:
    """Returns which share of the variance of latents lies between labels, the mean over dimensions; 0 with one label.

    Args:
        latents: `[N, D]`.
        labels: `[N]`.
    """
    total, between = np.maximum(latents.var(axis=0), 1e-12), np.zeros(latents.shape[1])
    for label in np.unique(labels):
        chosen = labels == label
        between += chosen.mean() * np.square(latents[chosen].mean(axis=0) - latents.mean(axis=0))
    return float((between / total).mean())


def aggregate_of(latents: npt.NDArray[Any]) -> Aggregate:
    """Returns the moments of latents `[N, ...]`, drawn from the posteriors of as many items."""
    flat = latents.reshape(len(latents), -1).astype(np.float64)
    mean, variance = flat.mean(axis=0), np.maximum(flat.var(axis=0), 1e-12)
    kl = 0.5 * (variance + np.square(mean) - 1 - np.log(variance))
    return Aggregate(
        kl_nats=float(kl.mean()),
        largest_mean=float(np.abs(mean).max()),
        smallest_std=float(np.sqrt(variance.min())),
        largest_std=float(np.sqrt(variance.max())),
    )


def lost_by(items: npt.NDArray[Any], decoded: npt.NDArray[Any], usual: npt.NDArray[Any]) -> float:
    """Returns how many times as far items are from what a VAE makes of them as from what is usual.

    From 1 on, the pair carries nothing of an item, or something between encoder and decoder is not as was assumed.

    Args:
        items: `[N, ...]` as the encoder takes them.
        decoded: `[N, ...]`, what the decoder makes of their latents.
        usual: `[...]`, the mean of other items.
    """
    flat = items.reshape(len(items), -1).astype(np.float64)
    error = np.square(decoded.reshape(flat.shape).astype(np.float64) - flat).mean()
    spread = np.square(usual.reshape(-1).astype(np.float64) - flat).mean()
    return float(error / max(spread, 1e-30))
