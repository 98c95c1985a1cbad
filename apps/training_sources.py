"""Input of what is fitted to data: the items that a model was trained on, and others of the same source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pocketvae.apps.sources import SourceImages, check_no_resize, check_windowing, from_array, of_values
from pocketvae.data import image_files
from pocketvae.data.dataset import load_splits
from pocketvae.data.embedded import MNIST
from pocketvae.data.values import load_value_splits
from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.vae_spec import DataKind, VaeSpec


def load_training_images(
    source: str,
    vae: VaeSpec,
    *,
    resize: bool = False,
    trained_on: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> tuple[SourceImages, SourceImages]:
    """Loads a source as training does; returns its training images and its validation images.

    Args:
        source: A source as for training: `mnist`, or a folder, an `.npz`, `.npy` or idx file.
        vae: The interface of the model.
        resize: Scale images to the model's size and convert between grey and colour.
        trained_on: How many images the model has learned from, if that is known: with the key `validation_images` they
            are more than the split has.
        progress: Called while a folder is read.

    Raises:
        DataError: the source is missing, damaged, too small or of mixed image sizes, or does not fit the model.
    """
    splits = load_splits(source, progress=progress, size=vae.image_shape[:2] if resize else None)
    moved = trained_on - len(splits.train)
    if 0 < moved < len(splits.validation):
        splits = splits.with_validation(len(splits.validation) - moved)
    of_folder = source != MNIST and image_files.is_image_folder(Path(source))
    classes = splits.label_count() if of_folder and splits.train.labels is not None else None
    train, validation = (
        from_array(part.images, part.labels, splits.name, vae, count=None, resize=resize)
        for part in (splits.train, splits.validation)
    )
    return replace(train, folder_classes=classes), replace(validation, folder_classes=classes)


def load_training_items(
    source: str,
    vae: VaeSpec,
    *,
    resize: bool = False,
    windowing: Windowing = WHOLE,
    in_memory: bool = True,
    trained_on: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> tuple[SourceImages, SourceImages]:
    """Loads images like `load_training_images`, or data of another kind, of which a tenth is held out.

    Windows are arrays, see `pocketvae.apps.sources.load_items`.

    Raises:
        DataError: the source is missing, damaged or too small, or its items are not what the model takes.
        SpecError: `resize` is on, and the data are not images; or `windowing` is given, and they are not sequences.
    """
    check_windowing(vae, windowing)
    if vae.data is DataKind.IMAGE:
        return load_training_images(source, vae, resize=resize, trained_on=trained_on, progress=progress)
    check_no_resize(vae, resize=resize)
    splits = load_value_splits(source, vae, windowing)
    train, held_out = (of_values(part, in_memory=in_memory) for part in (splits.train, splits.test))
    return train, held_out
