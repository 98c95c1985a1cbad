"""Anomaly scores: how unlike the training data an item is; higher is more anomalous."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.apps.anomaly.features import Doubles, Features, has_channel_noise
from pocketvae.apps.anomaly.offsets import OffsetDensity, has_offsets
from pocketvae.apps.sources import SourceImages
from pocketvae.errors import DataError, SpecError
from pocketvae.numerics.scoring import SCORE_KIND
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec


class ScoreKind(enum.StrEnum):
    """What an anomaly score measures.

    ELBO: the negative evidence lower bound in nats. RECONSTRUCTION: -log p(x|z) as a mean over L latents of the
    posterior (An and Cho 2015). COMPLEXITY: the negative ELBO of 8-bit pixels in bits, with a Gaussian likelihood,
    minus the length of the image as PNG, because simple images are likely whatever they show (Serra et al. 2020).
    DENSITY: the Mahalanobis distance of the reconstruction error, |z_mean| and z_var from those of normal items.
    OFFSET: the Mahalanobis distance of the mean error of each channel from those of normal items, for a small change
    that lasts for the whole window.
    ELBO_AT_MEAN: the negative ELBO with the posterior's mean in place of draws from it, the number that the artifact
    `scorer` returns.

    COMPLEXITY is for images, OFFSET for sequences and tables, ELBO_AT_MEAN for bundles with a scorer, and ELBO,
    COMPLEXITY and DENSITY need posteriors.
    """

    ELBO = "elbo"
    RECONSTRUCTION = "reconstruction"
    COMPLEXITY = "complexity"
    DENSITY = "density"
    OFFSET = "offset"
    ELBO_AT_MEAN = SCORE_KIND


# The score of an item that is too far from the training data for any other number: JSON cannot hold infinity.
LARGEST_SCORE = float(np.finfo(np.float64).max)
_OF_PRIOR = (ScoreKind.ELBO, ScoreKind.COMPLEXITY)
_OF_LIKELIHOOD = (ScoreKind.ELBO, ScoreKind.RECONSTRUCTION, ScoreKind.COMPLEXITY)
# Those that take the noise that a decoder returns.
_WITH_OWN_NOISE = (ScoreKind.ELBO, ScoreKind.RECONSTRUCTION)


@dataclass(frozen=True, kw_only=True)
class NormalDensity:
    """A Gaussian of the three features of normal items, see `Features.log_triple`.

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


@dataclass(frozen=True, kw_only=True)
class ScoredItems:
    """The scores of a source's items.

    Attributes:
        items: The items; perhaps without their values, unless they are windows of recordings.
        values: Every score, `[N]`.
        beyond: `[N]`, see `Features.beyond`.
    """

    items: SourceImages
    values: Mapping[ScoreKind, Doubles]
    beyond: npt.NDArray[np.bool_]


def fit_density(features: Features) -> NormalDensity:
    """Fits the Gaussian to the features of normal items; one that is the same for all of them does not count.

    An encoder whose log-variance is a constant has such a feature.

    Raises:
        DataError: there are too few items, or they are all the same.
        SpecError: there are no posteriors.
    """
    triples = features.log_triple()
    varies = np.ptp(triples, axis=0) > 0
    if len(triples) < 10 or not varies.any():
        raise DataError(f"a density needs at least 10 normal items that differ, got {len(triples)}")
    mean = triples.mean(axis=0)
    covariance = np.cov(triples.T) + 1e-9 * np.eye(3)
    precision, own = np.zeros((3, 3)), np.ix_(varies, varies)
    precision[own] = np.linalg.inv(covariance[own])
    rows = [(float(row[0]), float(row[1]), float(row[2])) for row in precision]
    return NormalDensity(mean=(float(mean[0]), float(mean[1]), float(mean[2])), precision=(rows[0], rows[1], rows[2]))


def approximations(vae: VaeSpec) -> tuple[str, ...]:
    """Returns the approximations in the scores of a VAE, one sentence each; empty if the scores are exact."""
    found, kinds = [], score_kinds(vae)
    if not vae.has_posterior:
        return ("the encoder is deterministic and has no posterior: all scores are of the reconstruction error",)
    densities = [kind for kind in _OF_PRIOR if kind in kinds]
    if vae.prior is not PriorKind.STANDARD and densities:
        found.append(
            f"{_named(densities)} N(0, I) instead of the learned prior {vae.prior}: prefer density or reconstruction"
        )
    treated = [kind for kind in _OF_LIKELIHOOD if kind in kinds and not (vae.own_noise and kind in _WITH_OWN_NOISE)]
    if treated and not _is_own_likelihood(vae):
        found.append(
            f"{_named(treated, 'treat')} the likelihood, {vae.likelihood}, as a Gaussian with one standard deviation"
        )
    return tuple(found)


def _is_own_likelihood(vae: VaeSpec) -> bool:
    """Whether scores use the likelihood of the VAE itself."""
    if vae.data is DataKind.IMAGE:
        return vae.likelihood in (Likelihood.BERNOULLI, Likelihood.GAUSSIAN)
    has_one_noise = vae.likelihood is Likelihood.GAUSSIAN and not vae.channels and vae.noise_scale is not None
    return has_one_noise or has_channel_noise(vae)


def score_kinds(vae: VaeSpec, *, has_scorer: bool = False) -> tuple[ScoreKind, ...]:
    """Returns the scores that there are for a VAE, and for its scorer if it has one."""
    absent = {ScoreKind.ELBO_AT_MEAN} if not has_scorer else set()
    if not vae.has_posterior:
        absent |= {ScoreKind.ELBO, ScoreKind.COMPLEXITY, ScoreKind.DENSITY}
    if vae.data is not DataKind.IMAGE:
        absent.add(ScoreKind.COMPLEXITY)
    if not has_offsets(vae):
        absent.add(ScoreKind.OFFSET)
    return tuple(kind for kind in ScoreKind if kind not in absent)


def default_score(vae: VaeSpec) -> ScoreKind:
    """Returns the score that decides if none is named."""
    return ScoreKind.DENSITY if vae.has_posterior else ScoreKind.RECONSTRUCTION


def check_score(kind: ScoreKind, vae: VaeSpec, *, has_scorer: bool = False) -> None:
    """Checks that there is a score for a VAE, or for its scorer.

    Raises:
        SpecError: there is not; the message says which there are.
    """
    kinds = score_kinds(vae, has_scorer=has_scorer)
    if kind is ScoreKind.ELBO_AT_MEAN and kind not in kinds:
        raise SpecError(
            f"the score {kind} is that of a scorer, which this bundle does not have: export it with --components "
            f"encoder,decoder,scorer, or use {' or '.join(kinds)}"
        )
    if kind is ScoreKind.OFFSET and kind not in kinds:
        raise SpecError(f"the score {kind} is for sequences and tables of few channels: use {' or '.join(kinds)}")
    if kind not in kinds:
        reason = "is for images" if vae.has_posterior else "needs posteriors, which this encoder does not have"
        raise SpecError(f"the score {kind} {reason}: use {' or '.join(kinds)}")


def _named(kinds: Sequence[ScoreKind], verb: str = "use") -> str:
    if len(kinds) == 1:
        return f"the score {kinds[0]} {verb}s"
    return f"the scores {', '.join(kinds[:-1])} and {kinds[-1]} {verb}"


def scores(
    features: Features,
    vae: VaeSpec,
    noise_scale: float | None,
    density: NormalDensity | None,
    offset: OffsetDensity | None = None,
) -> Mapping[ScoreKind, Doubles]:
    """Returns every score of every item, `[N]` each, finite; `LARGEST_SCORE` for those that are `beyond`.

    Args:
        features: Of the items.
        vae: Says which likelihood to use; the prior is taken to be N(0, I).
        noise_scale: Standard deviation of values scaled to 0 and 1, for the scores that treat them as Gaussian; None
            for the VAE's own likelihood, see `has_channel_noise`.
        density: Density of normal items; None without posteriors.
        offset: Density of their mean errors; None where `has_offsets` is false.

    Raises:
        SpecError: there is no `noise_scale`, and the noise of the channels is not known.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = _scores(features, vae, noise_scale, density, offset)
    return {
        kind: np.where(features.beyond | ~np.isfinite(values), LARGEST_SCORE, values) for kind, values in found.items()
    }


def _scores(
    features: Features,
    vae: VaeSpec,
    noise_scale: float | None,
    density: NormalDensity | None,
    offset: OffsetDensity | None,
) -> dict[ScoreKind, Doubles]:
    reconstruction = features.reconstruction_nats(vae, noise_scale)
    last = {} if features.at_mean_nats is None else {ScoreKind.ELBO_AT_MEAN: features.at_mean_nats}
    if offset is not None and features.offsets is not None:
        last = {ScoreKind.OFFSET: offset.distance(features.offsets), **last}
    if features.kl_nats is None or density is None:
        return {ScoreKind.RECONSTRUCTION: reconstruction, **last}
    found = {ScoreKind.ELBO: reconstruction + features.kl_nats, ScoreKind.RECONSTRUCTION: reconstruction}
    if features.png_bits is not None and noise_scale is not None:
        bits = (features.pixel_nats(noise_scale) + features.kl_nats) / np.log(2)
        found[ScoreKind.COMPLEXITY] = bits - features.png_bits
    return {**found, ScoreKind.DENSITY: density.distance(features.log_triple()), **last}
