"""Latents and images for calibration and goldens, seeded and stratified."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import Stratum
from pocketvae.data.dataset import to_unit_interval
from pocketvae.export.original.cost import affordable
from pocketvae.numerics.gaussian import reparameterize
from pocketvae.numerics.latents import code_counts, encoded_of, log_variances_of, real_columns, split_latents
from pocketvae.numerics.pixels import from_pixels
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

FloatArray = npt.NDArray[np.float32]

# One of the tails among them.
_FEWEST = 3
# Latents of the data.
POSTERIOR_STRATUM = "posterior"
_TAIL_LOW, _TAIL_HIGH = 3.0, 4.0
# Of all goldens' outputs together, 320 of 64 px in colour and 25 of 256 px, so that verify stays within its memory.
_MOST_BYTES = 20e6
_ITEM_BYTES = 4  # of a float32
# At least: of a second of sound at 48 kHz there are not 10 MB of many.
_LEAST_SOUNDS = 64


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """The purpose of samples, and how many of each kind are drawn.

    Attributes:
        name: Name, also of the images in the run's reference archive.
        stream: Stream of the random generator.
        posterior_count: Latents from the posteriors of as many images; None for one per image.
        prior_count: Draws from the prior.
        tail_count: Draws from its tails.
        fewest: How many are drawn at least of data whose items are large.
    """

    name: str
    stream: int
    posterior_count: int | None
    prior_count: int
    tail_count: int
    fewest: int

    @property
    def drawn_count(self) -> int:
        """How many latents are drawn that belong to no image."""
        return self.prior_count + self.tail_count


CALIBRATION = Purpose(name="calibration", stream=0, posterior_count=None, prior_count=256, tail_count=128, fewest=16)
GOLDEN = Purpose(name="golden", stream=1, posterior_count=128, prior_count=128, tail_count=64, fewest=8)


def without_images(purpose: Purpose) -> Purpose:
    """Returns the purpose with more draws from the prior, in place of those from posteriors."""
    return replace(purpose, posterior_count=0, prior_count=purpose.prior_count + (purpose.posterior_count or 0))


def fitting(purpose: Purpose, vae: VaeSpec, parameters: int) -> Purpose:
    """Returns the purpose with fewer draws where the data they stand for would take more than `_MOST_BYTES`.

    A percentile of an image's values rests on all of them: 8 images of 512 px have 25 times the values of 320 of 28 px.
    They are fewer still for a model with so many parameters that a call takes seconds.
    """
    count = affordable(max(purpose.fewest, most_items(vae)), _FEWEST, parameters, math.prod(vae.data_shape))
    if count >= purpose.drawn_count:
        return purpose
    tails = max(1, round(count * purpose.tail_count / purpose.drawn_count))
    return replace(purpose, prior_count=count - tails, tail_count=tails)


def most_items(vae: VaeSpec) -> int:
    """Returns how many items of a VAE's data fit into what goldens may take."""
    return int(_MOST_BYTES / (_ITEM_BYTES * math.prod(vae.data_shape)))


def most_sounds(vae: VaeSpec) -> int | None:
    """Returns how many goldens of a kind are samples of sounds at most; None where a VAE has no front end."""
    if vae.log_mel is None:
        return None
    return max(_LEAST_SOUNDS, int(_MOST_BYTES / 2 / (_ITEM_BYTES * vae.log_mel.samples)))


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of several kinds, one after another.

    Attributes:
        inputs: Inputs `[N, ...]` by name.
        strata: The kinds, in order, covering all N.
    """

    inputs: dict[str, npt.NDArray[Any]]
    strata: tuple[Stratum, ...]

    @property
    def count(self) -> int:
        """N."""
        return sum(stratum.count for stratum in self.strata)


def stack(name: str, parts: Mapping[str, npt.NDArray[Any]]) -> Samples:
    """Joins named parts of one input in order; empty ones are left out."""
    kept = {kind: part for kind, part in parts.items() if len(part)}
    starts = np.cumsum([0, *(len(part) for part in kept.values())])
    strata = tuple(
        Stratum(name=kind, start=int(start), count=len(part))
        for (kind, part), start in zip(kept.items(), starts, strict=False)
    )
    values = np.concatenate(list(kept.values()))
    # Codes stay integers.
    return Samples(inputs={name: values.astype(np.float32) if values.dtype.kind == "f" else values}, strata=strata)


def stack_latents(parts: Mapping[str, npt.NDArray[Any]], vae: VaeSpec) -> Samples:
    """Joins named parts of latents, all latents of a sample in one row: `stack` with an input for each latent."""
    joined = stack("z", parts)
    return replace(joined, inputs=split_latents(joined.inputs["z"], vae.latents))


def with_conditions(samples: Samples, conditions: Mapping[str, npt.NDArray[Any]]) -> Samples:
    """Adds conditions `[N, ...]` by name to N samples."""
    return replace(samples, inputs={**samples.inputs, **conditions})


def encoded_latents(
    outputs: Mapping[str, npt.NDArray[Any]], vae: VaeSpec, *, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Draws the latents `[N, D]` of an encoder's outputs from its posteriors; without them it returns what it does."""
    mean, log_var = encoded_of(outputs, vae), log_variances_of(outputs, vae)
    if log_var is None:
        return mean if vae.is_discrete else mean.astype(np.float32)
    return reparameterize(mean, log_var, rng.standard_normal(mean.shape)).astype(np.float32)


def normal_noise(count: int, dim: int, rng: np.random.Generator) -> FloatArray:
    """Draws from N(0, I), `[count, dim]`: latents of a standard prior, or what a learned one turns into latents."""
    return rng.standard_normal((count, dim)).astype(np.float32)


def tail_noise(count: int, dim: int, rng: np.random.Generator) -> FloatArray:
    """Draws from N(0, I) with one coordinate each moved out to an absolute value of 3 to 4, `[count, dim]`.

    One draw in 370 lies beyond 3 sigma in a given dimension, so with 16 dimensions one image in 23 has such a
    coordinate: rare enough to be missed by a small calibration set and common enough to be seen by users.
    """
    noise = np.clip(rng.standard_normal((count, dim)), -_TAIL_LOW, _TAIL_LOW)
    # Cycling through the dimensions gives each the same share of tails.
    dimensions = np.arange(count) % dim
    noise[np.arange(count), dimensions] = rng.choice([-1.0, 1.0], count) * rng.uniform(_TAIL_LOW, _TAIL_HIGH, count)
    return noise.astype(np.float32)


def tails(count: int, vae: VaeSpec, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Returns `tail_noise` of all real numbers that a prior begins with, `[count, E]`, beside `equal_codes`."""
    if not vae.codes:
        return tail_noise(count, vae.eps_dim, rng)
    joined = equal_codes(count, vae).astype(np.float32)
    real = real_columns(vae)
    joined[:, real] = tail_noise(count, len(real), rng)
    return joined


def equal_codes(count: int, vae: VaeSpec) -> npt.NDArray[np.int32]:
    """Returns latents of codes that are alike within a sample and cover all codes, `[count, D]`; 0 of real numbers."""
    order, counts = np.arange(count, dtype=np.int32)[:, None], np.asarray(code_counts(vae), np.int32)
    return order * np.broadcast_to(counts, vae.latent_dim) // max(1, count)


def encoder_inputs(images: npt.NDArray[Any], vae: VaeSpec, rng: np.random.Generator) -> Samples:
    """Returns what an encoder is fed, `[N, H, W, C]` or flat, in the image's range.

    Data that are not images are fed as they are. Apps feed grey values. Under a Bernoulli likelihood training fed
    binarized ones, so every second image is binarized: the encoder has to serve both.
    """
    if vae.data is not DataKind.IMAGE:
        return stack("x", {"data": images.reshape(-1, *vae.tensor_shape(Component.ENCODER))})
    intensities = encoder_grey(images, vae)
    if not _binarizes(vae):
        return stack("x", {"grey": intensities})
    grey, chosen = intensities[0::2], intensities[1::2]
    binarized = (rng.random(chosen.shape) < chosen).astype(np.float32)
    return stack("x", {"grey": grey, "binarized": binarized})


def encoder_grey(images: npt.NDArray[Any], vae: VaeSpec) -> npt.NDArray[Any]:
    """Returns items as an encoder takes them, none of them binarized."""
    if vae.data is not DataKind.IMAGE:
        return images.reshape(-1, *vae.tensor_shape(Component.ENCODER))
    return from_pixels(images, vae.data_range).reshape(-1, *vae.tensor_shape(Component.ENCODER))


def observed_items(images: npt.NDArray[Any], vae: VaeSpec, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Returns items as the likelihood sees them: images `[N, H, W, C] uint8`, others as they are.

    Under a Bernoulli likelihood images are binarized to 0 and 1.
    """
    if not _binarizes(vae):
        return images
    return (rng.random(images.shape) < to_unit_interval(images)).astype(np.uint8)


def from_observed(observed: npt.NDArray[Any], vae: VaeSpec) -> Samples:
    """Returns observed items as an encoder takes them."""
    scale = 255 if vae.data is DataKind.IMAGE and vae.likelihood is not Likelihood.BERNOULLI else 1
    return stack(
        "x",
        {
            "observed": (observed.astype(np.float32) / np.float32(scale)).reshape(
                -1, *vae.tensor_shape(Component.ENCODER)
            )
        },
    )


def encoder_labels(labels: npt.NDArray[np.int32], vae: VaeSpec) -> npt.NDArray[np.int32]:
    """Returns labels in the order in which `encoder_inputs` returns their images."""
    if not _binarizes(vae):
        return labels
    return np.concatenate([labels[0::2], labels[1::2]])


def _binarizes(vae: VaeSpec) -> bool:
    return vae.likelihood is Likelihood.BERNOULLI and vae.data is DataKind.IMAGE
