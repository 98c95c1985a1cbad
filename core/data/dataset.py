"""Image data sets: loading a source and splitting it into training, validation and test images.

A source is `mnist` (embedded in the package), a folder of image files, an `.npz` or `.npy` file, or idx files. Pixels
are kept as uint8, which takes the least memory and is lossless.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.data import image_files, image_folder
from pocketvae.data.embedded import MNIST
from pocketvae.data.folders import data_files, splits_of
from pocketvae.data.image_decoder import resized
from pocketvae.data.items import random_indices
from pocketvae.errors import DataError
from pocketvae.progress import ProgressCallback, ignore_progress

_SPLIT_SEED = 0
_HELD_OUT_FRACTION = 0.1
_MNIST_VALIDATION_COUNT = 5000
MIN_IMAGES = 32


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images of one size, with their labels if there are any.

    Attributes:
        images: `[N, H, W, C] uint8`; C is 1 or 3.
        labels: `[N] int32` class indices, or None.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] not in (1, 3) or self.images.dtype != np.uint8:
            raise DataError(f"images must be [N, H, W, 1 or 3] uint8, got {self.images.shape} {self.images.dtype}")
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise DataError(f"labels must be one per image, got {self.labels.shape} for {len(self.images)} images")
        if self.labels is not None and len(self.labels) and self.labels.min() < 0:
            raise DataError(f"labels must be class indices from 0 up, got {self.labels.min()}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def items(self) -> npt.NDArray[np.uint8]:
        """The images."""
        return self.images

    @property
    def given(self) -> npt.NDArray[np.uint8]:
        """The images."""
        return self.images

    def labels_or_zeros(self) -> npt.NDArray[np.int32]:
        """Returns `[N] int32`: the labels, or zeros if there are none."""
        return np.zeros(len(self), np.int32) if self.labels is None else self.labels

    def take(self, indices: slice | npt.NDArray[np.intp]) -> ImageSet:
        """Returns the selected images with their labels."""
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, images=self.images[indices], labels=labels)

    def some(self, count: int, rng: np.random.Generator) -> ImageSet:
        """Returns at most `count` images, chosen at random, in their order."""
        return self.take(random_indices(len(self), count, rng))

    def spaced(self, count: int) -> ImageSet:
        """Returns at most `count` images, evenly spaced, in their order."""
        return self.take(np.linspace(0, len(self) - 1, min(len(self), count)).astype(np.intp))


@dataclass(frozen=True, kw_only=True)
class ImageSplits:
    """One source's images, each in exactly one split.

    Attributes:
        name: Name of the source, for reports.
        train: The images that the weights are fitted to.
        validation: The images for choosing between models.
        test: The images for the final figures, used for nothing else.
        skipped: Files that were skipped because they cannot be read, with the reason.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    skipped: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.train.image_shape

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the data, as text."""
        return tuple(f"skipped: {reason}" for reason in self.skipped)

    def with_validation(self, most: int) -> ImageSplits:
        """Returns the same images with at most so many for validation; the others come behind those of training."""
        moved = len(self.validation) - most
        if moved <= 0:
            return self
        parts = (self.train, self.validation.take(slice(moved)))
        images = image_folder.array_like(self.train.images, sum(map(len, parts)))
        images[: len(self.train)], images[len(self.train) :] = (part.images for part in parts)
        # A folder's own validation images need not lie in classes.
        own = [part.labels for part in parts if part.labels is not None]
        labels = np.concatenate(own) if len(own) == len(parts) else None
        train = ImageSet(images=images, labels=labels)
        return replace(self, train=train, validation=self.validation.take(slice(moved, None)))

    def label_count(self) -> int:
        """Returns one more than the largest label; 0 without labels."""
        labels = [part.labels for part in (self.train, self.validation, self.test) if part.labels is not None]
        return max((int(array.max()) + 1 for array in labels if len(array)), default=0)


def load_splits(
    source: str,
    *,
    skip_corrupt: bool = False,
    progress: ProgressCallback = ignore_progress,
    size: tuple[int, int] | None = None,
) -> ImageSplits:
    """Loads a source and splits it.

    `mnist` is split 55,000 / 5,000 / 10,000 (the test images are MNIST's own). Any other source without a test split
    is split 80 / 10 / 10 percent by a fixed permutation, so that the same files give the same splits.

    Args:
        source: `mnist`, or the path of a folder, an `.npz`, `.npy` or idx file.
        skip_corrupt: Skip files of a folder that cannot be read, instead of refusing the folder.
        progress: Called while a folder is read.
        size: Height and width to scale all images to; None keeps their own, which must all be the same.

    Raises:
        DataError: the source is missing, damaged, empty, too small or of mixed image sizes.
    """
    if source == MNIST:
        train, test = image_files.read_mnist()
        train_set, test_set = _image_set(train, size), _image_set(test, size)
        cut = len(train_set) - _MNIST_VALIDATION_COUNT
        train_part, validation = train_set.take(slice(cut)), train_set.take(slice(cut, None))
        return ImageSplits(name=MNIST, train=train_part, validation=validation, test=test_set)
    path = Path(source)
    if not path.exists():
        hint = f"; did you mean {MNIST!r}?" if difflib.get_close_matches(source.lower(), [MNIST]) else ""
        raise DataError(
            f"data must be 'mnist', a folder of images, or an .npz, .npy or idx file; {source} does not exist{hint}"
        )
    if image_files.is_image_folder(path):
        return _load_folder(path, size, skip_corrupt=skip_corrupt, progress=progress)
    train, own_test = image_files.read_source(path)
    return _split(path.name, _image_set(train, size), _image_set(own_test, size) if own_test else None)


def to_unit_interval(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Maps pixels 0..255 to intensities 0..1, `[N, H, W, C] float32`."""
    return images.astype(np.float32) / np.float32(255)


def _image_set(raw: image_files.RawImages, size: tuple[int, int] | None) -> ImageSet:
    images, labels = raw
    if size is not None and images.shape[1:3] != size:
        images = np.stack([resized(image, size) for image in images])
    return ImageSet(images=images, labels=labels)


def _load_folder(
    path: Path, size: tuple[int, int] | None, *, skip_corrupt: bool, progress: ProgressCallback
) -> ImageSplits:
    """Decodes a folder in the order of its splits, so that each is a slice of one array."""
    files = data_files(path, image_folder.SUFFIXES)
    own = splits_of(path, (file.relative_to(path).as_posix() for file in files))
    listing = image_folder.list_folder(path / "train" if own else path)
    decoded = {"train": _decoded(listing, size, skip_corrupt=skip_corrupt, progress=progress)}
    for part in own[1:]:
        listed = image_folder.list_folder(path / part, listing.classes or None)
        # In the order of their names they would begin with those of the first class, and so would a part of them.
        decoded[part] = _decoded(listed, size, skip_corrupt=skip_corrupt, progress=progress)
    sets = {name: ImageSet(images=part.images, labels=part.labels) for name, part in decoded.items()}
    skipped = tuple(reason for part in decoded.values() for reason in part.skipped)
    splits = _cut(path.name, sets["train"], sets.get("test"), sets.get("validation", sets.get("val")))
    return replace(splits, skipped=skipped)


def _decoded(
    listing: image_folder.FolderListing,
    size: tuple[int, int] | None,
    *,
    skip_corrupt: bool,
    progress: ProgressCallback,
) -> image_folder.FolderImages:
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(listing.files))
    return image_folder.decode_folder(listing, order, skip_corrupt=skip_corrupt, progress=progress, size=size)


def _split(name: str, images: ImageSet, test: ImageSet | None) -> ImageSplits:
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    return _cut(name, images.take(order), test)


def _cut(name: str, images: ImageSet, test: ImageSet | None, validation: ImageSet | None = None) -> ImageSplits:
    """Splits images that are already in random order: test first, then validation, the rest for training."""
    if len(images) < MIN_IMAGES:
        raise DataError(f"{name}: at least {MIN_IMAGES} images are needed for training and testing, got {len(images)}")
    for part, title in ((test, "test"), (validation, "validation")):
        if part is not None and part.image_shape != images.image_shape:
            raise DataError(
                f"{name}: {title} images must be {images.image_shape} like the others, got {part.image_shape}"
            )
    held_out = max(1, round(_HELD_OUT_FRACTION * len(images)))
    if test is None:
        test, images = images.take(slice(held_out)), images.take(slice(held_out, None))
    if validation is None:
        validation, images = images.take(slice(held_out)), images.take(slice(held_out, None))
    return ImageSplits(name=name, train=images, validation=validation, test=test)
