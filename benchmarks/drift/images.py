"""The images for measuring drift: the bundle's golden images, or more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Array, Bundle
from pocketvae.bundle.manifest import Manifest
from pocketvae.data.dataset import load_splits, to_unit_interval
from pocketvae.data.values import load_value_splits, windowing_as_trained
from pocketvae.errors import DataError, ManifestError
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec

_MOST_IMAGES = 1000


@dataclass(frozen=True, kw_only=True)
class DriftImages:
    """Images in the form that the encoder takes.

    Attributes:
        x: `[N, ...] float32` in the image's range, binarized under a Bernoulli likelihood.
        conditions: What the models take beside images and latents, by name.
        source: Description of their source.
    """

    x: FloatArray
    conditions: Mapping[str, npt.NDArray[Any]]
    source: str


def golden_images(bundle: Bundle, rng: np.random.Generator) -> DriftImages | None:
    """Returns the golden images of the encoder; None if the bundle has no encoder."""
    try:
        inputs = bundle.goldens(Component.ENCODER).inputs
        conditions = golden_conditions(bundle, inputs)
    except ManifestError:
        return None
    x = inputs["x"].astype(np.float32)
    return DriftImages(
        x=_binarized(x, bundle.manifest.vae, rng), conditions=conditions, source=f"{len(x)} golden images"
    )


def golden_conditions(bundle: Bundle, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns every condition `[N, ...]` of golden images by name.

    What the encoder does not take is that of the decoder's goldens, in turn.

    Args:
        bundle: The bundle.
        inputs: The encoder's golden inputs `[N, ...]` by name.

    Raises:
        ManifestError: the decoder's goldens are needed, but missing or damaged.
    """
    conditions = bundle.manifest.vae.conditions
    found = {item.name: inputs[item.name] for item in conditions if item.encoded}
    others = [item for item in conditions if not item.encoded]
    drawn = bundle.goldens(Component.DECODER).inputs if others else {}
    return found | {item.name: np.resize(drawn[item.name], (len(inputs["x"]), *item.shape)) for item in others}


def source_images(bundle: Bundle, source: str, rng: np.random.Generator) -> DriftImages:
    """Returns up to 1,000 test images, or other items, of a source as `pocketvae train --data` takes it.

    Raises:
        DataError: the source cannot be read, has images of another shape, or no labels although the VAE needs them.
    """
    vae = bundle.manifest.vae
    if vae.data is not DataKind.IMAGE:
        return _source_items(bundle.manifest, source)
    test = load_splits(source).test
    if test.image_shape != vae.image_shape:
        raise DataError(f"the images must be {vae.image_shape} as for the bundle, got {test.image_shape}")
    if vae.label_count and test.labels is None:
        raise DataError("the bundle's VAE is class-conditional: the images need labels")
    if vae.conditions and not vae.has_one_label:
        raise DataError("images have one label each, but the bundle's VAE takes other conditions: leave out the images")
    chosen = test.take(slice(0, _MOST_IMAGES))
    images = to_unit_interval(np.asarray(chosen.images))
    x = (np.float32(vae.data_range[0]) + np.float32(vae.range_span) * images).reshape(
        -1, *vae.tensor_shape(Component.ENCODER)
    )
    return DriftImages(
        x=_binarized(x.astype(np.float32), vae, rng),
        conditions={item.name: chosen.labels_or_zeros() for item in vae.conditions},
        source=f"{len(x)} test images of {source if source == 'mnist' else 'the data'}",
    )


def _source_items(manifest: Manifest, source: str) -> DriftImages:
    vae = manifest.vae
    splits = load_value_splits(source, vae, windowing_as_trained(source, vae, manifest.config))
    test = splits.test.spaced(_MOST_IMAGES)
    if vae.conditions and not (vae.has_one_label and test.labels is not None):
        raise DataError("the bundle's VAE takes conditions, which the data do not have: leave out --data")
    x = test.whole().reshape(-1, *vae.tensor_shape(Component.ENCODER))
    conditions = {item.name: test.labels_or_zeros() for item in vae.conditions}
    return DriftImages(x=x, conditions=conditions, source=f"{len(x)} test {vae.data}s of the data")


def _binarized(x: FloatArray, vae: VaeSpec, rng: np.random.Generator) -> FloatArray:
    if vae.likelihood is not Likelihood.BERNOULLI:
        return x
    return (rng.random(x.shape) < x).astype(np.float32)
