"""The data that user-supplied models are calibrated and tested with."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from pocketvae.data.dataset import ImageSplits, load_splits
from pocketvae.data.embedded import MNIST, located
from pocketvae.data.folders import check_has_all_classes
from pocketvae.data.values import ValueSplits, load_value_splits
from pocketvae.data.window_values import value_blocks
from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.errors import DataError
from pocketvae.export.external.roles import outward
from pocketvae.kinds.registry import kind_of
from pocketvae.progress import ProgressCallback
from pocketvae.vae_spec import DataKind, VaeSpec

Splits: TypeAlias = ImageSplits | ValueSplits


def check_source(source: str, option: str = "--data") -> None:
    """Checks, before any model is loaded, that there is something to read.

    Raises:
        DataError: the source does not exist.
    """
    if source != MNIST and not located(source).exists():
        raise DataError(
            f"{option} must be 'mnist', a folder of images, or an .npz, .npy, .csv or idx file, or "
            f"recordings of sequences, got {source}, which does not exist"
        )


def load_data(source: str, vae: VaeSpec, windowing: Windowing, progress: ProgressCallback) -> Splits:
    """Loads data of the kind that a model takes.

    Args:
        source: Images as for training; of other data an `.npz`, `.npy` or `.csv` file, or recordings.
        vae: The interface of the model.
        windowing: How recordings of sequences are read and cut.
        progress: Called while a folder is read.

    Raises:
        DataError: the source is missing, damaged or too small, or its items or labels are not what the model takes.
    """
    if vae.encoder_conditions and not vae.has_one_label:
        names = " and ".join(repr(condition.name) for condition in vae.conditions)
        raise DataError(f"--data has one label an item, but the models take {names}: leave it out")
    if windowing != WHOLE and vae.data is not DataKind.SEQUENCE:
        raise DataError(f"--stride and --channels are for sequences, but the model is of {vae.data}s: leave them out")
    if vae.data is not DataKind.IMAGE:
        splits: Splits = load_value_splits(source, vae, windowing)
    else:
        splits = load_splits(source, progress=progress)
        if splits.image_shape != vae.image_shape:
            raise DataError(
                f"images must be {vae.image_shape} as for the decoder, got {splits.image_shape} in {source}"
            )
    if vae.has_one_label and not splits.label_count():
        raise DataError(
            f"the models take a label, which {source} does not have: add an array 'labels' or subfolders of classes, "
            f"or leave out --data"
        )
    if vae.label_count:
        check_has_all_classes(source, splits.label_count(), vae)
    if 0 < vae.label_count < splits.label_count():
        raise DataError(f"labels must be below {vae.label_count}, got {splits.label_count() - 1} in {source}")
    return splits


def with_range_of(splits: Splits, vae: VaeSpec) -> VaeSpec:
    """Returns the interface with a range that holds the data too, where only samples of the prior told the range.

    The range of an output that is clipped or squashed stays, and so does that of images.
    """
    if isinstance(splits, ImageSplits) or vae.range_is_strict:
        return vae
    found = [(float(block.min()), float(block.max())) for _, block in value_blocks(splits.train.items)]
    low, high = min(vae.data_range[0], *(low for low, _ in found)), max(vae.data_range[1], *(high for _, high in found))
    return replace(vae, data_range=outward(low, high))


def described(splits: Splits, vae: VaeSpec) -> str:
    """Returns what was loaded, in words."""
    return f"{kind_of(vae.data).plural} of {splits.name}"
