"""Anomaly scores: how unlike the training images an image is; higher is more anomalous."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pocketvae.apps.anomaly.features import Doubles, Features
from pocketvae.errors import DataError
from pocketvae.spec import STRICT
from pocketvae.vae_spec import Likelihood, PriorKind, VaeSpec


class ScoreKind(enum.StrEnum):
    """What an anomaly score measures.

    ELBO: the negative evidence lower bound in nats. RECONSTRUCTION: -log p(x|z) as a mean over L latents of the
    posterior (An and Cho 2015). COMPLEXITY: the negative ELBO of 8-bit pixels in bits, with a Gaussian likelihood,
    minus the length of the image as PNG, because simple images are likely whatever they show (Serra et al. 2020).
    DENSITY: the Mahalanobis distance of the reconstruction error, |z_mean| and z_var from those of normal images.
    """

    ELBO = "elbo"
    RECONSTRUCTION = "reconstruction"
    COMPLEXITY = "complexity"
    DENSITY = "density"


@dataclass(frozen=True, kw_only=True)
class NormalDensity:
    """A Gaussian of the three features of normal images, see `Features.log_triple`.

    Attributes:
        mean: Mean of each feature.
        precision: Inverse of their covariance, row by row.
    """

    __pydantic_config__ = STRICT
    mean: tuple[float, float, float]
    precision: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

    def distance(self, triples: Doubles) -> Doubles:
        """Returns the squared Mahalanobis distance of `[N, 3]`, `[N]`."""
        centred = triples - np.array(self.mean)
        squares: Doubles = np.einsum("ni,ij,nj->n", centred, np.array(self.precision), centred)
        return squares


def fit_density(features: Features) -> NormalDensity:
    """Fits the Gaussian to the features of normal images.

    Raises:
        DataError: there are too few images, or they are all the same.
    """
    triples = features.log_triple()
    if len(triples) < 10 or (triples.std(axis=0) == 0).any():
        raise DataError(f"a density needs at least 10 different normal images, got {len(triples)}")
    mean = triples.mean(axis=0)
    precision = np.linalg.inv(np.cov(triples.T) + 1e-9 * np.eye(3))
    rows = [(float(row[0]), float(row[1]), float(row[2])) for row in precision]
    return NormalDensity(mean=(float(mean[0]), float(mean[1]), float(mean[2])), precision=(rows[0], rows[1], rows[2]))


def approximations(vae: VaeSpec) -> tuple[str, ...]:
    """Returns the approximations in the scores of a VAE, one sentence each; empty if the scores are exact."""
    found = []
    if vae.prior is not PriorKind.STANDARD:
        found.append(
            f"the scores elbo and complexity use N(0, I) instead of the learned prior {vae.prior}: prefer density or "
            f"reconstruction"
        )
    if vae.likelihood not in (Likelihood.BERNOULLI, Likelihood.GAUSSIAN):
        found.append(
            f"the scores elbo, reconstruction and complexity treat the likelihood, {vae.likelihood}, as a Gaussian "
            f"with one standard deviation"
        )
    return tuple(found)


def scores(features: Features, vae: VaeSpec, noise_scale: float, density: NormalDensity) -> Mapping[ScoreKind, Doubles]:
    """Returns every score of every image, `[N]` each.

    Args:
        features: Of the images.
        vae: Says which likelihood to use; the prior is taken to be N(0, I).
        noise_scale: Standard deviation of pixels, for the scores that treat them as Gaussian.
        density: Density of normal images.
    """
    reconstruction = features.reconstruction_nats(vae, noise_scale)
    elbo = reconstruction + features.kl_nats
    return {
        ScoreKind.ELBO: elbo,
        ScoreKind.RECONSTRUCTION: reconstruction,
        ScoreKind.COMPLEXITY: (features.pixel_nats(noise_scale) + features.kl_nats) / np.log(2) - features.png_bits,
        ScoreKind.DENSITY: density.distance(features.log_triple()),
    }
