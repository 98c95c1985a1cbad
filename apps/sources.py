"""Input of models: images in the model's size; other data from array files and tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data import image_files
from pocketvae.data.embedded import MNIST
from pocketvae.data.folders import check_is_one_part
from pocketvae.data.image_decoder import resized
from pocketvae.data.image_folder import SUFFIXES, FolderListing, list_folder, read_images, read_numbered_images
from pocketvae.data.item_files import ItemFile
from pocketvae.data.items import random_indices
from pocketvae.data.timeline import Timeline
from pocketvae.data.values import ValueSet, load_values
from pocketvae.data.window_values import selected
from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.errors import DataError, NotFiniteValuesError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.vae_spec import DataKind, VaeSpec

Pixels = npt.NDArray[np.uint8]
_PROGRESS_EVERY = 500
_TYPICAL_SEED = 0


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Images or other data that fit a model.

    Attributes:
        images: `[N, H, W, C] uint8`; `[N, *input_shape] float32` of data that are not images, which may be
            `WindowValues` where the loader says so.
        names: Name of every image: its file, or its number in the array.
        labels: `[N] int32`, or None.
        folder_classes: Number of subfolders that the labels were numbered from, in the order of their names; None
            for labels from another source.
        timeline: Where they lie, if they are windows of recordings.
    """

    images: Any
    names: Sequence[str]
    labels: npt.NDArray[np.int32] | None
    folder_classes: int | None = None
    timeline: Timeline | None = None

    def __len__(self) -> int:
        return len(self.images)

    def check(self, vae: VaeSpec) -> None:
        """Checks that there are items, and that images are pixels.

        Raises:
            DataError: there are none, or they are numbers of another kind.
        """
        if not len(self):
            raise DataError(f"at least one {kind_of(vae.data).noun} is needed, got none")
        if vae.data is DataKind.IMAGE and self.images.dtype != np.uint8:
            raise DataError(f"images must be uint8 pixels of 0 to 255, got {self.images.dtype}")

    def first(self, count: int | None) -> SourceImages:
        """Returns the first images; all if `count` is None.

        Raises:
            DataError: `count` is below 1.
        """
        _check_count(count)
        if count is None:
            return self
        labels = None if self.labels is None else self.labels[:count]
        timeline = None if self.timeline is None else self.timeline.take(slice(count))
        return replace(
            self, images=selected(self.images, slice(count)), names=self.names[:count], labels=labels, timeline=timeline
        )

    def without_anomalies(self) -> SourceImages:
        """Returns the items that hold none of the anomalies that their timeline knows.

        Raises:
            DataError: there are no others.
        """
        if self.timeline is None or self.timeline.truth is None:
            return self
        kept = np.flatnonzero(~self.timeline.anomalous())
        if not len(kept):
            raise DataError(f"normal windows are needed, but each of the {len(self)} holds an anomaly")
        return self._taken(kept)

    def typical(self, count: int) -> SourceImages:
        """Returns at most `count` items for a fit: windows of recordings at random, for they come in the order of time.

        Other sources are mixed already where they are split.
        """
        if self.timeline is None:
            return self.first(count)
        return self._taken(random_indices(len(self), count, np.random.default_rng(_TYPICAL_SEED)))

    def _taken(self, kept: npt.NDArray[np.intp]) -> SourceImages:
        return replace(
            self,
            images=selected(self.images, kept),
            names=tuple(self.names[index] for index in kept.tolist()),
            labels=None if self.labels is None else self.labels[kept],
            timeline=None if self.timeline is None else self.timeline.take(kept),
        )

    @contextlib.contextmanager
    def named_from(self, first: int, vae: VaeSpec) -> Iterator[None]:
        """Names the item that a model cannot compute with, in calls with the items from `first` on."""
        try:
            yield
        except NotFiniteValuesError as e:
            index, (low, high) = first + e.row, vae.input_range
            name, item = self.names[index], self.images[index]
            if vae.data is DataKind.IMAGE or (item.min() >= low and item.max() <= high):
                raise DataError(f"{name}: {e}") from e
            raise DataError(
                f"item {name} has values up to {np.abs(item).max():g}, too far from the training data, of [{low:g}, "
                f"{high:g}], for the model to compute with: leave it out, or scale it as for training"
            ) from e

    def labelled(self, label: int | None) -> SourceImages:
        """Returns the images with one label for all; None leaves their labels as they are."""
        if label is None:
            return self
        return replace(self, labels=np.full(len(self), label, np.int32), folder_classes=None)

    def labels_for(self, vae: VaeSpec, label: int | None) -> npt.NDArray[np.int32] | int | None:
        """Returns the labels to call a model with: the given one or, for a conditional VAE, the images' own.

        Raises:
            SpecError: a label is given but the VAE is not class-conditional, or does not have that class.
            DataError: a label is none of the model's classes, or the labels come from subfolders, and their number
                differs from the model's classes.
        """
        if vae.conditions and not vae.has_one_label:
            names = " and ".join(repr(condition.name) for condition in vae.conditions)
            raise SpecError(f"images have one label each, but this VAE takes {names}: use it from Python")
        if label is not None and vae.label_count == 0:
            raise SpecError(f"the model does not take a label, got {label}: this VAE is not class-conditional")
        if label is not None and not 0 <= label < vae.label_count:
            raise SpecError(f"the label must be 0 to {vae.label_count - 1}, got {label}")
        if label is not None or vae.label_count == 0:
            return label
        # In a folder without two of the classes, class 7 would become 5, and nothing would look wrong.
        if self.folder_classes not in (None, vae.label_count):
            raise DataError(
                f"the folder has {self.folder_classes} subfolders but the model {vae.label_count} classes, so their "
                f"numbering differs: name a folder with a subfolder for every class, or pass --label"
            )
        if self.labels is not None:
            unknown = self.labels[(self.labels < 0) | (self.labels >= vae.label_count)]
            if self.folder_classes is not None and (unknown < 0).any():
                raise DataError("windows of folders that --truth names have no class: pass --label")
            if len(unknown):
                raise DataError(f"labels must be 0 to {vae.label_count - 1}, got {unknown[0]}")
        return self.labels

    def decoder_labels(self, vae: VaeSpec, label: int | None) -> npt.NDArray[np.int32] | None:
        """Returns `[N]`, the class of every item, which a decoder needs also where the encoder takes none.

        Returns None for a VAE without classes.

        Raises:
            SpecError: see `labels_for`.
            DataError: see there, or neither the items have labels nor is one given.
        """
        own = self.labels_for(vae, label)
        if own is None and vae.label_count:
            raise DataError(
                f"the decoder needs a label of 0 to {vae.label_count - 1} for every item: name items with labels, "
                "or pass --label"
            )
        return None if own is None else np.broadcast_to(np.asarray(own, np.int32), (len(self),))


def load_images(
    source: str,
    vae: VaeSpec,
    *,
    resize: bool = False,
    count: int | None = None,
    progress: ProgressCallback = ignore_progress,
) -> SourceImages:
    """Loads images in the size and mode that a model takes.

    Args:
        source: `mnist` (its 10,000 test images), an image file, a folder of image files, an `.npz`, `.npy` or idx file.
        vae: The interface of the model.
        resize: Scale images to the model's size and convert between grey and colour.
        count: Load only the first images; all if None.
        progress: Called while a folder is read.

    Raises:
        DataError: the source is missing, empty or damaged, an image has another size or mode and `resize` is off,
            `count` is below 1, or a folder holds training and test images.
    """
    _check_count(count)
    if source == MNIST:
        _, (images, labels) = image_files.read_mnist()
        return from_array(images, labels, source, vae, count=count, resize=resize)
    path = Path(source)
    if not path.exists():
        raise DataError(
            f"images must be 'mnist', an image file, a folder, or an .npz, .npy or idx file; {source} does not exist"
        )
    if image_files.is_image_folder(path):
        check_is_one_part(path, "classes")
        return of_listing(path, list_folder(path), slice(count), vae, resize=resize, progress=progress)
    if path.suffix.lower() in SUFFIXES:
        (pixels,) = read_images([path])
        image = _fitted(pixels, str(path), vae, resize=resize)
        return SourceImages(images=image[None], names=(path.name,), labels=None)
    (images, array_labels), test = image_files.read_source(path)
    del test  # An app is given all images to process; splitting off a test set is a matter of training.
    return from_array(images, array_labels, path.name, vae, count=count, resize=resize)


def load_items(
    source: str,
    vae: VaeSpec,
    *,
    resize: bool = False,
    count: int | None = None,
    windowing: Windowing = WHOLE,
    in_memory: bool = True,
    skipped: dict[Path, str] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> SourceImages:
    """Loads images like `load_images`; data of another kind from an array file, a table, or recordings.

    Windows are an array, unless `in_memory` is off and they are so many that they stay in their recordings; so do then
    the images of a `.npy` file in the form that the model takes. Files of recordings that are damaged go into `skipped`
    with the reason, if there is one, and are refused otherwise.

    Raises:
        DataError: the source is missing, empty or damaged, or an item is not what the model takes.
        SpecError: `resize` is on, and the data are not images; or `windowing` is given, and they are not sequences.
    """
    check_windowing(vae, windowing)
    if vae.data is DataKind.IMAGE:
        filed = None if in_memory else _in_their_file(source, vae, count)
        return filed or load_images(source, vae, resize=resize, count=count, progress=progress)
    check_no_resize(vae, resize=resize)
    _check_count(count, kind_of(vae.data).noun)
    return of_values(load_values(source, vae, windowing, skipped), in_memory=in_memory).first(count)


def _in_their_file(source: str, vae: VaeSpec, count: int | None) -> SourceImages | None:
    """Returns the pixels of a `.npy` file as they are in it; None if they must be converted, or are something else."""
    path = Path(source)
    if path.suffix.lower() != ".npy" or not path.is_file():
        return None
    _check_count(count)
    try:
        images = ItemFile(path)
    except (ValueError, OSError):
        return None  # Reading it says what is wrong.
    if images.dtype != np.uint8 or images.shape[1:] != vae.image_shape or not len(images):
        return None
    images = images.first(count)
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


def of_values(items: ValueSet, *, in_memory: bool) -> SourceImages:
    """Returns items that are not images, with the names that they have or their numbers."""
    names = items.names or tuple(str(index) for index in range(len(items)))
    values = items.whole() if in_memory else items.values
    return SourceImages(
        images=values,
        names=names,
        labels=items.labels,
        folder_classes=len(items.classes) or None,
        timeline=items.timeline,
    )


def check_no_resize(vae: VaeSpec, *, resize: bool) -> None:
    """Checks that `resize`, which is for images, is off for other data.

    Raises:
        SpecError: it is on.
    """
    if resize:
        raise SpecError(f"--resize is for images, but this model is of {vae.data}s: leave it out")


def check_windowing(vae: VaeSpec, windowing: Windowing) -> None:
    """Checks that how recordings are cut is only said of sequences, and which columns also of vectors.

    Raises:
        SpecError: it is said of other data.
    """
    of_columns = vae.data is DataKind.VECTOR and replace(windowing, channels=()) == WHOLE
    if windowing != WHOLE and vae.data is not DataKind.SEQUENCE and not of_columns:
        raise SpecError(
            f"--stride, --channels, --truth and --fill-gaps are for sequences, but this model is of {vae.data}s: "
            f"leave them out"
        )


def _check_count(count: int | None, noun: str = "image") -> None:
    if count is not None and count < 1:
        raise DataError(f"at least one {noun} is needed, got --count {count}")


def of_listing(
    path: Path,
    listing: FolderListing,
    part: slice,
    vae: VaeSpec,
    *,
    resize: bool,
    skipped: dict[Path, str] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> SourceImages:
    """Reads some of a folder's images.

    Args:
        path: The folder.
        listing: Its files.
        part: Which of them.
        vae: The interface of the model.
        resize: Scale images to the model's size and convert between grey and colour.
        skipped: Takes the files that are damaged, with the reason; None refuses them.
        progress: Called after every 500 files.

    Raises:
        DataError: a file cannot be read, or has another size or mode and `resize` is off.
    """
    files, labels = listing.files[part], None if listing.labels is None else listing.labels[part]
    images = np.empty((len(files), *vae.image_shape), np.uint8)
    kept: list[int] = []
    for index, pixels in read_numbered_images(files, skipped):
        images[len(kept)] = _fitted(pixels, str(files[index]), vae, resize=resize)
        kept.append(index)
        if (index + 1) % _PROGRESS_EVERY == 0:
            progress(Progress(stage="reading images", done=index + 1, total=len(files)))
    return SourceImages(
        images=images[: len(kept)],
        names=tuple(files[index].relative_to(path).as_posix() for index in kept),
        labels=None if labels is None else labels[kept],
        folder_classes=len(listing.classes) or None,
    )


def from_array(
    images: Pixels, labels: npt.NDArray[np.int32] | None, name: str, vae: VaeSpec, *, count: int | None, resize: bool
) -> SourceImages:
    """Returns images of an array, numbered from 0.

    Args:
        images: `[N, H, W, C]`.
        labels: `[N]`, or None.
        name: Of the source, for messages.
        vae: The interface of the model.
        count: Only the first; all if None.
        resize: Scale images to the model's size and convert between grey and colour.

    Raises:
        DataError: there are none, the labels are not as many, or the images have another size or mode and `resize` is
            off.
    """
    if len(images) == 0:
        raise DataError(f"{name} holds no images")
    if labels is not None and len(labels) != len(images):
        raise DataError(f"{name} must hold one label per image, got {len(labels)} for {len(images)}")
    images, labels = images[:count], None if labels is None else labels[:count]
    names = tuple(str(index) for index in range(len(images)))
    if images.shape[1:] != vae.image_shape:
        first = _fitted(images[0], name, vae, resize=resize)
        images = np.stack([first, *(_fitted(image, name, vae, resize=resize) for image in images[1:])])
    return SourceImages(images=images, names=names, labels=labels)


def _fitted(image: Pixels, name: str, vae: VaeSpec, *, resize: bool) -> Pixels:
    if image.shape == vae.image_shape:
        return image
    if not resize:
        raise DataError(
            f"{name} is {_describe(image.shape)}, but the model takes {_describe(vae.image_shape)}: pass --resize"
        )
    height, width, channels = vae.image_shape
    if channels not in (1, 3):
        raise DataError(f"images cannot be converted to {channels} channels")
    return resized(image, (height, width), channels)


def _describe(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour' if channels == 3 else f'{channels} channels'}"
