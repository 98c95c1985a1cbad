"""The calibration of anomaly scores: fitted once to normal data, stored as a small JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pocketvae.apps.anomaly.features import Features, Sampling, has_channel_noise, image_features
from pocketvae.apps.anomaly.offsets import OffsetDensity, fit_offsets
from pocketvae.apps.anomaly.scores import NormalDensity, ScoreKind, fit_density, score_kinds, scores
from pocketvae.apps.choice import Choice
from pocketvae.apps.compression.codec_tables import decoder_id, goldens_id
from pocketvae.apps.sources import SourceImages
from pocketvae.errors import DataError, ManifestError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.conformal import check_rate, conformal_threshold, needed_items
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.spec import STRICT, Component, Precision
from pocketvae.vae_spec import DataKind, VaeSpec

# 4: without a `noise_scale`, likelihoods have the noise of each channel.
# 5: names of columns, and the rate.
# 6: the encoder.
SCHEMA_VERSION = 6


def _of_items(document: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew images alone."""
    names = {"fitted_images": "fitted_items", "held_out_images": "held_out_items"}
    return {"data": DataKind.IMAGE.value} | {names.get(name, name): value for name, value in document.items()}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Thresholds of every score.

    Attributes:
        bundle: Name of the bundle's model.
        decoder: Identifies the decoder, see `decoder_id`, hexadecimal.
        encoder: Identifies the encoder, see `goldens_id`, hexadecimal; None in files before version 6, which are taken
            for any encoder behind the decoder.
        precision: Precision of the encoder and decoder that it was fitted with.
        samples: L, latents per item.
        seed: Seed of their noise.
        data: The kind of data.
        noise_scale: Standard deviation that the Gaussian likelihood uses, of values scaled to 0 and 1. None where the
            VAE says the noise of each channel, which is used then; files before version 4 have one for all channels.
        density: Density of the features of normal items; None without posteriors.
        offset: Density of their mean errors by channel; None where there is no such score, and in files of version 2.
        false_positive_rate: The largest expected share of other normal items above each threshold, averaged over the
            choice of the held-out items.
        thresholds: For each score, the value above which an item is an anomaly.
        normal: Name of the normal items.
        fitted_items: Number of normal items that the density was fitted to.
        held_out_items: Number of other normal items that the thresholds were fitted to.
        columns: Names of the columns of recordings, in the order of the model's channels, by which later ones are read;
            empty where they have none.
        rate_hz: Their time steps in a second; None where that is not known.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {1: _of_items}
    schema_version: int = SCHEMA_VERSION
    bundle: str
    decoder: str
    encoder: str | None = None
    precision: Precision
    samples: int
    seed: int
    data: DataKind
    noise_scale: float | None
    density: NormalDensity | None
    offset: OffsetDensity | None = None
    false_positive_rate: float
    thresholds: dict[ScoreKind, float]
    normal: str
    fitted_items: int
    held_out_items: int
    columns: tuple[str, ...] = ()
    rate_hz: float | None = None

    @property
    def sampling(self) -> Sampling:
        """How latents are drawn."""
        return Sampling(samples=self.samples, seed=self.seed)

    def pools_noise(self, vae: VaeSpec) -> bool:
        """Whether the scores have one noise for all channels though the VAE says that of each: in older files."""
        return self.noise_scale is not None and has_channel_noise(vae)

    def check_bundle(self, bundle: ModelBundle, chosen: ScoreKind | None = None) -> None:
        """Checks that the calibration was fitted to this bundle.

        Args:
            bundle: The bundle.
            chosen: The score that is to decide.

        Raises:
            ManifestError: the bundle holds another model, or a threshold is missing.
        """
        decoder, encoder = decoder_id(bundle).hex(), goldens_id(bundle, Component.ENCODER).hex()
        if decoder != self.decoder:
            raise ManifestError(
                f"the calibration was fitted to {self.bundle!r} ({self.decoder}), but the bundle is "
                f"{bundle.manifest.name!r} ({decoder}): calibrate this bundle"
            )
        if self.encoder is not None and encoder != self.encoder:
            raise ManifestError(
                f"the calibration was fitted to the encoder {self.encoder}, but that of {bundle.manifest.name!r} is "
                f"another behind the same decoder ({encoder}): calibrate this bundle"
            )
        missing = [
            kind
            for kind in score_kinds(bundle.vae, has_scorer=bundle.scoring is not None)
            # Files of version 2 know no offsets, and do for all other scores.
            if kind not in self.thresholds and (kind is not ScoreKind.OFFSET or kind is chosen)
        ]
        if self.density is None and bundle.vae.has_posterior and not missing:
            missing = [ScoreKind.DENSITY]
        lacks_noise = self.noise_scale is None and not has_channel_noise(bundle.vae)
        if missing or lacks_noise:
            names = ", ".join(missing) or "noise_scale"
            raise ManifestError(f"the calibration does not hold what this bundle needs ({names}): calibrate it again")

    def differences(self, vae: VaeSpec, precision: Precision) -> Iterator[str]:
        """Yields a sentence on each way in which the scores of a precision are others than those of the thresholds."""
        if self.pools_noise(vae):
            yield (
                "the calibration is older, and its elbo and reconstruction have one noise for all channels: calibrate "
                "again"
            )
        if precision is not self.precision:
            yield f"the thresholds were fitted with {self.precision}: calibrate with the same --precision"


def calibrate(
    bundle: ModelBundle,
    fitted: SourceImages,
    held_out: SourceImages,
    *,
    normal: str,
    choice: Choice,
    sampling: Sampling,
    false_positive_rate: float,
    label: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Calibration:
    """Fits density and thresholds to normal images or other data.

    Args:
        bundle: The model.
        fitted: Normal items for the density; those that the model was trained on are fine.
        held_out: Normal items that it was not trained on, for the thresholds.
        normal: Name of the items.
        choice: Which encoder and decoder to use.
        sampling: How latents are drawn.
        false_positive_rate: The share of normal items that may be called anomalies.
        label: Class of all items, for a class-conditional VAE; by default each item's own label.
        progress: Called while items are scored.

    Raises:
        SpecError: the rate is not between 0 and 1.
        DataError: there are too few items for the rate, or one is too far from the training data.
    """
    plural = kind_of(bundle.vae.data).plural
    _check_rate(false_positive_rate, len(held_out), plural, len(fitted) + len(held_out))
    features = image_features(bundle, fitted, choice, sampling, label, progress)
    _check_finite(features, fitted, bundle.vae)
    noise_scale = None if has_channel_noise(bundle.vae) else _noise_scale(features, bundle.vae)
    density = fit_density(features) if bundle.vae.has_posterior else None
    offset = None if features.offsets is None else fit_offsets(features.offsets)
    others = image_features(bundle, held_out, choice, sampling, label, progress)
    _check_finite(others, held_out, bundle.vae)
    strange = scores(others, bundle.vae, noise_scale, density, offset)
    return Calibration(
        bundle=bundle.manifest.name,
        decoder=decoder_id(bundle).hex(),
        encoder=goldens_id(bundle, Component.ENCODER).hex(),
        precision=choice.precision,
        samples=sampling.samples,
        seed=sampling.seed,
        data=bundle.vae.data,
        noise_scale=noise_scale,
        density=density,
        offset=offset,
        false_positive_rate=false_positive_rate,
        thresholds={kind: conformal_threshold(value, false_positive_rate, plural) for kind, value in strange.items()},
        normal=normal,
        fitted_items=len(fitted),
        held_out_items=len(held_out),
        columns=() if fitted.timeline is None else _names(fitted.timeline.channels),
        rate_hz=None if fitted.timeline is None else fitted.timeline.rate_hz,
    )


def _names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of columns; none where they are their places, as of a table without a header."""
    return () if columns == tuple(map(str, range(len(columns)))) else columns


def _noise_scale(features: Features, vae: VaeSpec) -> float:
    return vae.noise_scale or float(np.sqrt(features.square_error.mean() / features.pixels)) or 1.0


def _check_finite(features: Features, items: SourceImages, vae: VaeSpec) -> None:
    """Refuses normal items that a density or a threshold would be infinite with."""
    beyond = np.flatnonzero(features.beyond)
    if len(beyond):
        low, high = vae.data_range
        largest = np.abs(items.images[beyond[0]]).max()
        raise DataError(
            f"normal {kind_of(vae.data).plural} must be like the training data, of [{low:g}, {high:g}], but the scores "
            f"of {len(beyond)} of {len(items)} are not finite, the first with values up to {largest:g}: leave them out"
        )


def _check_rate(false_positive_rate: float, held_out: int, plural: str, total: int) -> None:
    advice = ""
    if 0 < false_positive_rate < 1 and held_out:
        needed = math.ceil(needed_items(false_positive_rate) * total / held_out)
        advice = f"about {needed} {plural} instead of {total}"
    check_rate(false_positive_rate, held_out, plural, advice)
