"""The data of a training run: a source read as the preset's kind of data, with one clear line where it is another."""

from __future__ import annotations

from pocketvae.data.dataset import ImageSplits, load_splits
from pocketvae.data.embedded import MNIST, located
from pocketvae.data.folders import data_files
from pocketvae.data.recordings import SUFFIXES as RECORDING_SUFFIXES
from pocketvae.data.recordings import TABLES
from pocketvae.data.training_values import Reading, TrainingValues, load_training_values
from pocketvae.data.windows import Windowing
from pocketvae.errors import DataError
from pocketvae.fields import check_frames
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.train.config import TrainConfig
from pocketvae.vae_spec import DataKind, Likelihood

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# A preset for each kind of data, for messages.
_PRESETS = {DataKind.IMAGE: "mnist-tiny", DataKind.SEQUENCE: "sensor-tiny", DataKind.VECTOR: "table"}


def load_data(
    source: str,
    config: TrainConfig,
    preset: str,
    *,
    skip_corrupt: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> ImageSplits | TrainingValues:
    """Loads and splits a source.

    Args:
        source: Images, see `load_splits`, or signals and tables, see `load_training_values`.
        config: Says which kind of data is trained, and how it is read.
        preset: Name of the preset, for messages.
        skip_corrupt: Skip images or recordings of a folder that cannot be read.
        progress: Called while a folder of images is read.

    Raises:
        DataError: the source is missing, damaged, too small, or of another kind than the preset.
        SpecError: frames do not fill a window, or bands do not fit the rate.
    """
    _check_kind(source, config.data, preset)
    if config.mel_bands:
        check_frames(config.window, config.frame, config.hop)
    if config.data is DataKind.IMAGE:
        splits = load_splits(source, skip_corrupt=skip_corrupt, progress=progress, size=config.image_size)
        return splits.with_validation(config.validation_images) if config.validation_images else splits
    if skip_corrupt and config.data is not DataKind.SEQUENCE:
        raise DataError(
            f"--skip-corrupt is for folders of images or recordings, but {preset} is for {config.data}s: leave it out"
        )
    reading = Reading(
        data=config.data,
        window=config.window,
        windowing=Windowing(
            stride=config.stride, channels=config.columns, truth=config.truth, fill_gaps=config.fill_gaps
        ),
        categories=config.categories,
        real_alone=config.likelihood is not Likelihood.MIXED,
        labelled=config.conditional,
        front_end=config.log_mel if config.mel_bands else None,
    )
    return load_training_values(source, reading, {} if skip_corrupt else None)


def _check_kind(source: str, wanted: DataKind, preset: str) -> None:
    """Checks what names of files tell of their content.

    Raises:
        DataError: they are of another kind of data than the preset.
    """
    found, what = _look(source)
    if found and wanted not in found:
        fitting = " or ".join(f"{_PRESETS[kind]} ({kind}s)" for kind in found)
        raise DataError(f"{source} {what}, but the preset {preset} is for {wanted}s: choose --preset {fitting}")


def _look(source: str) -> tuple[tuple[DataKind, ...], str]:
    """Returns the kinds of data that a source can be, none if its name does not tell, and what it is in words."""
    path = located(source)
    if source == MNIST and not path.exists():
        return (DataKind.IMAGE,), "is a set of images"
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        return (DataKind.IMAGE,), "is an image"
    if path.is_dir():
        if data_files(path, _IMAGE_SUFFIXES):
            return (DataKind.IMAGE,), "is a folder of images"
        return ((DataKind.SEQUENCE,), "is a folder of recordings") if data_files(path, RECORDING_SUFFIXES) else ((), "")
    if path.suffix.lower() in TABLES:
        return (DataKind.SEQUENCE, DataKind.VECTOR), "is a table"
    if path.suffix.lower() in RECORDING_SUFFIXES and path.suffix.lower() != ".npy":
        return (DataKind.SEQUENCE,), "is a recording"
    return (), ""
