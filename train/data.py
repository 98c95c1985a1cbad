"""Preparation of the data before the first training step."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.data.image_folder import array_like
from pocketvae.data.items import ItemSet, Splits
from pocketvae.data.window_values import value_blocks
from pocketvae.train.checkpoints import DataIdentity


def identify(data: Splits) -> DataIdentity:
    """Returns the identity of this data, so that training is only resumed with the same data."""
    counts = (len(data.train), len(data.validation), len(data.test))
    return DataIdentity(
        name=data.name,
        counts=counts,
        sha256=sha256_of(data.train),
        held_out_sha256=sha256_of(data.validation, data.test),
    )


def sha256_of(*parts: ItemSet) -> str:
    """Returns the SHA-256 of items with their labels, one set behind the other."""
    digest = hashlib.sha256()
    for items in parts:
        for _, block in value_blocks(items.items):
            digest.update(block.tobytes())
        digest.update(items.labels_or_zeros().tobytes())
    return digest.hexdigest()


def binarize_once(data: ImageSplits, seed: int) -> ImageSplits:
    """Draws binary pixels, 0 or 255, whose probability of 255 is the grey value (static binarization).

    Args:
        data: Grey values.
        seed: Seed of the draws; every split has its own.
    """
    return replace(
        data,
        train=_binarize(data.train, seed, 0),
        validation=_binarize(data.validation, seed, 1),
        test=_binarize(data.test, seed, 2),
    )


def _binarize(part: ImageSet, seed: int, stream: int) -> ImageSet:
    rng = np.random.default_rng([seed, 4, stream])
    images = array_like(part.images, len(part))
    for first, grey in value_blocks(part.images):
        images[first : first + len(grey)] = np.where(rng.random(grey.shape) * 255 < grey, 255, 0)
    return replace(part, images=images)
