"""Image data: where it comes from, and its split into training, validation and test images.

A source is `mnist` (embedded in the package), a folder of image files, an `.npz` or `.npy` file, or idx files. Pixels
are kept as uint8, the form in which they take the least memory and lose nothing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae import image_files
from pocketvae.errors import DataError

MNIST = "mnist"
_SPLIT_SEED = 0
_HELD_OUT_FRACTION = 0.1
_MNIST_VALIDATION_COUNT = 5000
MIN_IMAGES = 32


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images of one size, with their labels where they have any.

    Attributes:
        images: `[N, H, W, C] uint8`, C being 1 or 3.
        labels: `[N] int32` class indices, or None.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] not in (1, 3) or self.images.dtype != np.uint8:
            raise DataError(f"images must be [N, H, W, 1 or 3] uint8, got {self.images.shape} {self.images.dtype}")
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise DataError(f"labels must be one per image, got {self.labels.shape} for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def take(self, indices: slice | npt.NDArray[np.intp]) -> ImageSet:
        """Returns the chosen images with their labels."""
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, images=self.images[indices], labels=labels)


@dataclass(frozen=True, kw_only=True)
class ImageSplits:
    """One source's images, each in exactly one split.

    Attributes:
        name: Of the source, for reports.
        train: What the weights are fitted to.
        validation: What choices are made by.
        test: What the final figures come from, and nothing else.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.train.image_shape


def load_splits(source: str) -> ImageSplits:
    """Loads a source and splits it.

    `mnist` is split 55,000 / 5,000 / 10,000 (the test images are MNIST's own). Any other source that has no test split
    of its own is split 80 / 10 / 10 per cent by a fixed permutation, so that the same files give the same splits.

    Args:
        source: `mnist`, or the path of a folder, an `.npz`, `.npy` or idx file.

    Raises:
        DataError: the source is missing, damaged, empty, too small or of mixed image sizes.
    """
    if source == MNIST:
        train, test = image_files.read_mnist()
        train_set, test_set = _image_set(train), _image_set(test)
        cut = len(train_set) - _MNIST_VALIDATION_COUNT
        train_part, validation = train_set.take(slice(cut)), train_set.take(slice(cut, None))
        return ImageSplits(name=MNIST, train=train_part, validation=validation, test=test_set)
    path = Path(source)
    if not path.exists():
        hint = f"; did you mean {MNIST!r}?" if difflib.get_close_matches(source.lower(), [MNIST]) else ""
        raise DataError(
            f"data must be 'mnist', a folder of images, or an .npz, .npy or idx file; {source} is not there{hint}"
        )
    train, own_test = image_files.read_source(path)
    return _split(path.name, _image_set(train), _image_set(own_test) if own_test else None)


def to_unit_interval(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Maps pixels 0..255 to intensities 0..1, `[N, H, W, C] float32`."""
    return images.astype(np.float32) / np.float32(255)


def to_pixels(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Maps intensities 0..1 to pixels 0..255, rounding to the nearest and saturating."""
    return np.round(np.clip(images, 0.0, 1.0) * 255).astype(np.uint8)


def _image_set(raw: image_files.RawImages) -> ImageSet:
    images, labels = raw
    return ImageSet(images=images, labels=labels)


def _split(name: str, images: ImageSet, test: ImageSet | None) -> ImageSplits:
    if len(images) < MIN_IMAGES:
        raise DataError(f"{name}: at least {MIN_IMAGES} images are needed to train and test, got {len(images)}")
    if test is not None and test.image_shape != images.image_shape:
        raise DataError(f"{name}: test images must be {images.image_shape} like the others, got {test.image_shape}")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    held_out = max(1, round(_HELD_OUT_FRACTION * len(images)))
    if test is None:
        test, order = images.take(np.sort(order[:held_out])), order[held_out:]
    validation, train = images.take(np.sort(order[:held_out])), images.take(np.sort(order[held_out:]))
    return ImageSplits(name=name, train=train, validation=validation, test=test)
